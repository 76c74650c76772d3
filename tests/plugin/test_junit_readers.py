"""The JUnit file as the programs read it that people have: each counts the checks and names what failed."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped

from pytest_deploygate.testing import DeploygateProject
from tests.plugin.plugin_project import SUBJECT, copy_project

HARD = """
    import os

    import pytest


    @pytest.fixture
    def broken():
        raise RuntimeError("fixture <b> & ]]> broke")


    def test_subject():
        print("\\x1b[31mred\\x1b[0m \\x00 ::error::forged ]]> \\ud83d")
        assert "<script>" == "&amp; \\x08 \\uffff"


    def test_error(broken):
        pass


    def test_skip():
        pytest.skip("not <today>")


    @pytest.mark.parametrize("text", ["a/b::c", "<&>", "\\x1b[1m", ""])
    def test_names(text):
        assert True
"""
DIES = """
    import os


    def test_subject():
        os._exit(0)
"""


@pytest.fixture(params=["promoted", "failed", "died", "unreadable"], scope="module")
def ending(
    request: pytest.FixtureRequest,
    baseline: DeploygateProject,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """The JUnit file of a session that came to this end."""
    project = copy_project(baseline, tmp_path_factory.mktemp("ending") / "project")
    options = project.deploy_options()
    if request.param == "unreadable":
        options = ["--deploy-to=nowhere"]
    elif request.param != "promoted":
        project.write({SUBJECT: HARD if request.param == "failed" else DIES})
    run = project.pytest(*options)
    assert (run.status == 0) is (request.param == "promoted"), run.output
    assert run.junit is not None
    yield run.junit.path
    project.close()


def test_numbers_of_the_suite_are_those_of_its_cases(ending: Path) -> None:
    [suite] = ET.parse(ending).getroot()
    cases = list(suite)[1:]
    assert {one.tag for one in cases} == {"testcase"}
    counted = {
        "tests": len(cases),
        **{
            name: sum(case.find(tag) is not None for case in cases)
            for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
        },
    }
    assert {name: int(suite.attrib[name]) for name in counted} == counted


def test_every_reader_finds_what_it_takes_for_granted(ending: Path) -> None:
    """dorny/test-reporter 3, mikepenz/action-junit-report 6 and xunit-viewer 10 use these without asking for them."""
    root = ET.parse(ending).getroot()
    assert root.tag == "testsuites"
    [suite] = root
    assert suite.attrib["name"]
    assert float(suite.attrib["time"]) >= 0
    for case in suite.iter("testcase"):
        assert case.attrib["classname"]
        assert case.attrib["name"]
        assert float(case.attrib["time"]) >= 0
        ends = [one for one in case if one.tag in ("failure", "error", "skipped")]
        assert all(one.attrib["message"] for one in ends), ET.tostring(case)


def test_junitparser_reads_and_writes_it(ending: Path, tmp_path: Path) -> None:
    read = JUnitXml.fromfile(str(ending))
    kinds = (Failure, Error, Skipped)
    for kind, count in zip(kinds, (read.failures, read.errors, read.skipped), strict=True):
        found = [
            case for suite in read for case in suite for one in case.result if type(one) is kind
        ]
        assert len({id(case) for case in found}) == count
    copy = tmp_path / "copy.xml"
    read.write(str(copy))
    assert [s.tests for s in JUnitXml.fromfile(str(copy))] == [s.tests for s in read]


def test_junit2html_shows_each_check(ending: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    subprocess.run(
        [sys.executable, "-m", "junit2htmlreport", str(ending), str(page)], check=True, timeout=60
    )
    text = page.read_text(encoding="utf-8")
    cases = [str(c.get("name")) for c in ET.parse(ending).getroot().iter("testcase")]
    assert "verdict" in cases
    for name in cases:
        assert re.sub(r"[<>&].*", "", name) in text


@pytest.mark.skipif(
    "DEPLOYGATE_NPM_CLIENTS" not in os.environ, reason="npm programs are for tox -e npm"
)
def test_npm_xunit_viewer_counts_the_same(ending: Path, tmp_path: Path) -> None:
    node = shutil.which("node")
    assert node is not None, "node is not installed"
    program = Path(
        os.environ["DEPLOYGATE_NPM_CLIENTS"], "node_modules/xunit-viewer/bin/xunit-viewer.js"
    )
    done = subprocess.run(
        [node, str(program), "-r", str(ending), "-o", str(tmp_path / "page.html"), "-c", "-n"],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    [suite] = ET.parse(ending).getroot()
    counted = {
        word: int(suite.attrib[name])
        for word, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped"))
        if suite.attrib[name] != "0"
    }
    found = re.findall(r"(\d+) (failure|error|skipped)", done.stdout.splitlines()[-2])
    assert {word: int(count) for count, word in found} == counted
