"""The JUnit file of every kind of ending, as CI reads it."""

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped

from pytest_deploygate.judge.source_scan import digest_files, suite_digest
from pytest_deploygate.testing import DeploygateProject, SessionOutcome
from tests.plugin.plugin_project import SUBJECT

ALWAYS = {
    "schema", "rollout_id", "environment", "verdict", "state", "reason_code", "reason", "reasons", "score", "threshold",
    "baseline_revision", "fresh_baseline_revision", "candidate_revision", "serving_revision", "backup_identifier",
    "rollback_seconds", "drill_seconds", "checks_digest",
}  # fmt: skip
FILES = ["gates/cand/test_subject.py", "gates/ready/test_ready.py", "gates/live/test_live.py"]
CHECKS = [
    ("gates.ready.test_ready", "test_honest", "ready"),
    ("gates.cand.test_honest", "test_honest", "cand"),
    ("gates.cand.test_subject", "test_subject", "cand"),
    ("gates.live.test_live", "test_honest", "live"),
]


def read(run: SessionOutcome) -> JUnitXml:
    assert run.junit is not None, run.output
    return JUnitXml.fromfile(str(run.junit.path))


def properties(run: SessionOutcome) -> dict[str, str]:
    """Of the suite, as a library of others reads them."""
    assert run.junit is not None, run.output
    [suite] = read(run)
    found = [(p.name, str(p.value)) for p in suite.properties()]  # type: ignore[no-untyped-call]  # junitparser
    assert len({name for name, _ in found}) == len(found), "a property is there twice"
    return {name.removeprefix("deploygate."): value for name, value in found}


def cases(run: SessionOutcome) -> list[tuple[str, str, str]]:
    return sorted((case.classname, case.name, case.property("gate")) for case in run.cases)


def results(run: SessionOutcome) -> dict[str, list[type]]:
    """Of the checks; the case that stands for the verdict has to agree with the exit status."""
    found = {
        f"{c.classname}.{c.name}": [type(r) for r in c.result] for suite in read(run) for c in suite
    }
    assert found.pop("deploygate.verdict") == ([] if run.status == 0 else [Failure])
    return found


@pytest.mark.parametrize("workers", [0, 1])
def test_promotion(project: DeploygateProject, before: str, workers: int) -> None:
    run = project.deploy(workers=workers)
    said = properties(run)
    gates = {"gate.ready": "1/1 PASSED", "gate.cand": "2/2 PASSED", "gate.live": "1/1 PASSED"}
    assert set(said) == ALWAYS | set(gates)
    assert gates.items() <= said.items()
    assert (said["verdict"], said["state"]) == ("PROMOTE", "PROMOTED")
    assert (said["baseline_revision"], said["serving_revision"]) == (before, run.serving)
    assert said["candidate_revision"] == run.serving
    assert said["backup_identifier"] == f"backup-{before}"
    assert (said["score"], said["threshold"]) == ("1.000000", "1")
    assert cases(run) == sorted(CHECKS)
    assert all(not found for found in results(run).values())


@pytest.mark.parametrize("workers", [0, 1])
def test_refusal(project: DeploygateProject, before: str, workers: int) -> None:
    project.write(
        {
            "gates/ready/test_ready.py": """
        def test_honest():
            assert False
    """
        }
    )
    run = project.deploy(workers=workers)
    said = properties(run)
    assert (said["verdict"], said["state"]) == ("REFUSE", "REFUSED")
    assert said["reason_code"] == "gate_failed"
    assert said["reason"] == ("gate ready failed: 0/1 checks passed, it needs 1; first: honest")
    assert (said["serving_revision"], said["candidate_revision"]) == (before, "")
    assert cases(run) == sorted(CHECKS)
    found = results(run)
    assert found.pop("gates.ready.test_ready.test_honest") == [Failure]
    assert set(map(tuple, found.values())) == {(Skipped,)}


@pytest.mark.parametrize("workers", [0, 1])
def test_return_to_the_baseline(project: DeploygateProject, before: str, workers: int) -> None:
    project.write(
        {
            SUBJECT: """
        def test_subject():
            assert False
    """
        }
    )
    run = project.deploy(workers=workers)
    said = properties(run)
    assert (said["verdict"], said["state"]) == ("ROLL_BACK", "ROLLED_BACK")
    assert said["gate.cand"] == "1/2 FAILED"
    assert said["serving_revision"] == before
    assert said["candidate_revision"] not in ("", before)
    assert float(said["rollback_seconds"]) >= 0
    assert cases(run) == sorted(CHECKS)
    assert results(run)["gates.cand.test_subject.test_subject"] == [Failure]
    assert results(run)["gates.live.test_live.test_honest"] == [Skipped]


@pytest.mark.parametrize("workers", [0, 1])
def test_judgement_of_what_serves(project: DeploygateProject, before: str, workers: int) -> None:
    options = ["-m", "rollback-checks", f"-n{workers}"]
    run = project.pytest(*options)
    said = properties(run)
    assert run.status == 0, run.output
    assert (said["verdict"], said["state"]) == ("KEEP", "JUDGED")
    assert (said["serving_revision"], said["candidate_revision"]) == (before, "")
    assert f"serving: {before}" in run.output
    assert cases(run) == [("gates.live.test_live", "test_honest", "live")]


def test_check_whose_worker_died_carries_its_gate(project: DeploygateProject) -> None:
    project.write(
        {
            SUBJECT: """
        import os


        def test_subject():
            os._exit(0)
    """
        }
    )
    run = project.deploy(workers=2)
    assert cases(run) == sorted(CHECKS)
    assert results(run)["gates.cand.test_subject.test_subject"] == [Error]


def test_file_of_an_earlier_run_does_not_speak_for_one_that_dies(
    project: DeploygateProject,
) -> None:
    good = project.deploy()
    assert good.property("verdict") == "PROMOTE"
    project.write(
        {
            "function/main.py": "v3",
            "conftest.py": """
        import os

        os._exit(0)
    """,
        }
    )
    run = project.deploy()
    assert (run.status, run.serving) == (1, good.serving)
    assert (run.property("verdict"), run.property("reason_code")) == (
        "REFUSE",
        "interrupted",
    )
    assert cases(run) == []
    assert results(run) == {}


def test_digest_of_the_checks_changes_with_every_file_that_has_a_say(
    project: DeploygateProject,
) -> None:
    files = {
        "gates/cand/test_subject.py": """
            def test_subject():
                assert 1
        """,
        "gates/cand/helping.py": "X = 1\n",
        "gates/conftest.py": "X = 1\n",
        "conftest.py": "X = 1\n",
    }
    digests = [suite_digest(digest_files(project.root, FILES))]
    for name, text in files.items():
        project.write({name: text})
        digests.append(suite_digest(digest_files(project.root, FILES)))
    assert len(set(digests)) == 5
    project.write({"function/main.py": "v3", "notes.txt": "x"})
    assert suite_digest(digest_files(project.root, FILES)) == digests[-1]
    run = project.deploy()
    assert run.status == 0, run.output
    assert run.record is not None
    assert run.property("checks_digest") == run.record.checks_digest == digests[-1]


def test_file_says_pending_while_nothing_is_decided(project: DeploygateProject) -> None:
    body = """\
import shutil
def test_subject(): shutil.copy('junit.xml', 'early.xml')
"""
    run = project.write({SUBJECT: body}).deploy()
    assert run.status == 0, run.output
    [suite] = JUnitXml.fromfile(str(project.root / "early.xml"))
    early = {p.name: p.value for p in suite.properties()}  # type: ignore[no-untyped-call]  # junitparser
    assert early["deploygate.verdict"] == "PENDING"
    assert early["deploygate.reason"] == "the session died before it decided"
