"""The JUnit file of every kind of ending, as CI reads it."""

import sys

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped

from pytest_deploygate.judge.source_scan import suite_digest
from tests.plugin.plugin_project import LIE, Project, Run

ALWAYS = {
    "schema", "rollout_id", "environment", "verdict", "state", "reason_code", "reason", "reasons", "score", "threshold",
    "baseline_revision", "candidate_revision", "serving_revision", "backup_identifier", "rollback_seconds",
    "checks_digest",
}  # fmt: skip
FILES = ["gates/cand/test_lie.py", "gates/ready/test_ready.py", "gates/live/test_live.py"]
CHECKS = [
    ("gates.ready.test_ready", "test_honest", "ready"),
    ("gates.cand.test_honest", "test_honest", "cand"),
    ("gates.cand.test_lie", "test_lie", "cand"),
    ("gates.live.test_live", "test_honest", "live"),
]


def properties(run: Run) -> dict[str, str]:
    assert run.junit is not None, run.output
    [suite] = run.junit
    found = [(p.name, str(p.value)) for p in suite.properties()]  # type: ignore[no-untyped-call]  # junitparser
    assert len({name for name, _ in found}) == len(found), "a property is there twice"
    return {name.removeprefix("deploygate."): value for name, value in found}


def cases(run: Run) -> list[tuple[str, str, str]]:
    return sorted(
        (str(c.classname), str(c.name), dict(run.properties_of(c))["deploygate.gate"])
        for c in run.cases
    )


def results(run: Run) -> dict[str, list[type]]:
    return {f"{c.classname}.{c.name}": [type(r) for r in c.result] for c in run.cases}


@pytest.mark.parametrize("workers", [0, 2])
def test_promotion(project: Project, before: str, workers: int) -> None:
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


@pytest.mark.parametrize("workers", [0, 2])
def test_refusal(project: Project, before: str, workers: int) -> None:
    project.write({"gates/ready/test_ready.py": "def test_honest(): assert False\n"})
    run = project.deploy(workers=workers)
    said = properties(run)
    assert (said["verdict"], said["state"]) == ("REFUSE", "REFUSED")
    assert said["reason_code"] == "gate_failed"
    assert said["reason"] == "gate ready failed: 0/1 checks passed, it needs 1"
    assert (said["serving_revision"], said["candidate_revision"]) == (before, "")
    assert cases(run) == sorted(CHECKS)
    found = results(run)
    assert found.pop("gates.ready.test_ready.test_honest") == [Failure]
    assert set(map(tuple, found.values())) == {(Skipped,)}


@pytest.mark.parametrize("workers", [0, 2])
def test_return_to_the_baseline(project: Project, before: str, workers: int) -> None:
    project.write({LIE: "def test_lie(): assert False\n"})
    run = project.deploy(workers=workers)
    said = properties(run)
    assert (said["verdict"], said["state"]) == ("ROLL_BACK", "ROLLED_BACK")
    assert said["gate.cand"] == "1/2 FAILED"
    assert said["serving_revision"] == before
    assert said["candidate_revision"] not in ("", before)
    assert float(said["rollback_seconds"]) >= 0
    assert cases(run) == sorted(CHECKS)
    assert results(run)["gates.cand.test_lie.test_lie"] == [Failure]
    assert results(run)["gates.live.test_live.test_honest"] == [Skipped]


@pytest.mark.parametrize("workers", [0, 2])
def test_judgement_of_what_serves(project: Project, before: str, workers: int) -> None:
    options = ["-m", "rollback-checks", f"-n{workers}", "--junitxml=junit.xml"]
    run = project.pytest([sys.executable, "-m", "pytest", *options])
    said = properties(run)
    assert run.status == 0, run.output
    assert (said["verdict"], said["state"]) == ("KEEP", "JUDGED")
    assert (said["serving_revision"], said["candidate_revision"]) == (before, "")
    assert f"serving: {before}" in run.output
    assert cases(run) == [("gates.live.test_live", "test_honest", "live")]


def test_check_whose_worker_died_carries_its_gate(project: Project) -> None:
    project.write({LIE: "import os\ndef test_lie(): os._exit(0)\n"})
    run = project.deploy(workers=2)
    assert cases(run) == sorted(CHECKS)
    assert results(run)["gates.cand.test_lie.test_lie"] == [Error]


def test_file_of_an_earlier_run_does_not_speak_for_one_that_dies(project: Project) -> None:
    good = project.deploy()
    assert good.said("verdict") == "PROMOTE"
    project.write({"source.txt": "v3", "conftest.py": "import os\nos._exit(0)\n"})
    run = project.deploy()
    assert (run.status, run.serving) == (1, good.serving)
    assert (run.said("verdict"), run.said("reason_code")) == ("REFUSE", "interrupted")
    assert run.cases == []


def test_digest_of_the_checks_changes_with_every_file_that_has_a_say(project: Project) -> None:
    files = {
        "gates/cand/test_lie.py": "def test_lie(): assert 1\n",
        "gates/cand/helping.py": "X = 1\n",
        "gates/conftest.py": "X = 1\n",
        "conftest.py": "X = 1\n",
    }
    digests = [suite_digest(project.root, FILES)]
    for name, text in files.items():
        project.write({name: text})
        digests.append(suite_digest(project.root, FILES))
    assert len(set(digests)) == 5
    project.write({"source.txt": "v3", "notes.txt": "x"})
    assert suite_digest(project.root, FILES) == digests[-1]
    run = project.deploy()
    assert run.status == 0, run.output
    assert run.record is not None
    assert run.said("checks_digest") == run.record.facts["checks_digest"] == digests[-1]


def test_file_says_pending_while_nothing_is_decided(project: Project) -> None:
    body = "import shutil\ndef test_lie(): shutil.copy('junit.xml', 'early.xml')\n"
    run = project.write({LIE: body}).deploy()
    assert run.status == 0, run.output
    [suite] = JUnitXml.fromfile(str(project.root / "early.xml"))
    early = {p.name: p.value for p in suite.properties()}  # type: ignore[no-untyped-call]  # junitparser
    assert early["deploygate.verdict"] == "PENDING"
    assert early["deploygate.reason"] == "the session died before it decided"
