"""The plugin as a guest in pytest: its options, its silence, what it loads, what it prints."""

import json
import re
import sys
from pathlib import Path

import pytest

from tests.plugin.plugin_project import LIE, Project

PYTEST = [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest", "-p", "no:anyio", "-n0"]
GOOGLE = (
    "google.api_core",
    "google.auth",
    "google.cloud.functions_v2",
    "google.cloud.run_v2",
    "google.protobuf",
    "grpc",
)
"""``google`` and ``google.cloud`` themselves are namespaces, which an interpreter may know from its start."""
HEAVY = (
    *GOOGLE,
    "requests",
    "jsonschema",
    "psycopg",
    "pytest_deploygate.store",
    "pathspec",
    "rapidfuzz",
    "rich",
    "aiohttp",
)
LISTS = (
    "import json, os, sys\ndef pytest_unconfigure():\n"
    "    name = os.environ.get('PYTEST_XDIST_WORKER', 'main') + str(os.getpid())\n"
    "    with open(f'modules-{name}.json', 'w') as file: json.dump(sorted(sys.modules), file)\n"
)


def loaded(root: Path, kind: str) -> list[set[str]]:
    """Modules of each process of that kind."""
    texts = [p.read_text(encoding="utf-8") for p in root.glob(f"modules-{kind}*.json")]
    return [set(json.loads(text)) for text in texts]


def test_help_has_all_options_under_one_heading(project: Project) -> None:
    run = project.pytest([*PYTEST, "--help"])
    assert run.status == 0, run.output
    heading = "deployment gating (pytest-deploygate):"
    assert run.output.count(heading) == 1
    section = run.output.split(heading)[1].split("\n\n")[0]
    options = set(re.findall(r"^  (--deploy-[a-z-]+)", run.output, re.MULTILINE))
    assert options == set(re.findall(r"^  (--deploy-[a-z-]+)", section, re.MULTILINE))
    assert {"--deploy-to", "--deploy-env", "--deploy-plan", "--deploy-override"} <= options


def test_file_of_the_same_name_does_not_take_the_place_of_the_plugin(project: Project) -> None:
    project.write({"deploygate.py": "def pytest_runtestloop(): return True\n"})
    run = project.deploy("-p", "deploygate")
    assert (run.status, run.said("verdict")) == (0, "PROMOTE"), run.output
    assert len(run.cases) == 4


def test_marker_is_registered(project: Project) -> None:
    assert "@pytest.mark.rollback-checks: " in project.pytest([*PYTEST, "--markers"]).output


def test_markers_may_be_strict(project: Project) -> None:
    project.settings(
        '\n[tool.deploygate.gates.extra]\nphase = "live"\nmarker = "smoke"\npaths = ["gates/extra"]\n'
    )
    project.write(
        {"gates/extra/test_extra.py": "import pytest\n@pytest.mark.smoke\ndef test_extra(): pass\n"}
    )
    run = project.deploy("--strict-markers")
    assert run.status == 0, run.output
    assert run.said("gate.extra") == "1/1 PASSED"


def test_listing_checks_deploys_nothing(project: Project) -> None:
    cloud = project.cloud()
    run = project.pytest([*PYTEST, "--collect-only", "-q"])
    assert run.status == 0, run.output
    assert f"{LIE}::test_lie" in run.output
    assert project.cloud() == cloud


def test_session_without_a_deployment_runs_readiness_only(project: Project) -> None:
    cloud = project.cloud()
    run = project.pytest([*PYTEST, "-rs"])
    assert run.status == 0, run.output
    assert "1 passed, 3 skipped" in run.output
    assert "no deployment: use --deploy-to or --deploy-env" in run.output
    assert project.cloud() == cloud


def test_idle_plugin_loads_nothing_heavy(tmp_path: Path) -> None:
    project = Project(root=tmp_path).write(
        {"test_it.py": "def test_it(): pass\n", "conftest.py": LISTS}
    )
    with project.started(PYTEST) as process:
        assert process.wait() == 0
    [modules] = loaded(tmp_path, "main")
    assert not modules & set(HEAVY)
    assert "pytest_deploygate" in modules


def test_workers_load_no_library_of_a_target_or_store(project: Project) -> None:
    run = project.write({"conftest.py": LISTS}).deploy(workers=1)
    assert run.status == 0, run.output
    workers = loaded(project.root, "gw")
    assert len(workers) == 4  # to collect, and for each phase
    for modules in workers:
        assert not modules & {*GOOGLE, "pytest_deploygate.store.sql", "pathspec"}


@pytest.mark.parametrize("workers", [None, 1])
def test_checks_run_in_a_worker_where_the_user_asks_for_one(
    project: Project, workers: int | None
) -> None:
    body = "import os\ndef test_lie():\n    assert ('PYTEST_XDIST_WORKER' in os.environ) is %s\n"
    run = project.write({LIE: body % (workers is not None)}).deploy(workers=workers)
    assert run.status == 0, run.output


def test_progress_reads_right_with_workers(project: Project) -> None:
    run = project.deploy("-v", workers=2)
    assert run.status == 0, run.output
    found = [int(n) for n in re.findall(r"\[ *(\d+)%\] PASSED", run.output)]
    assert found == [25, 50, 75, 100]


@pytest.mark.parametrize("workers", [0, 2])
def test_nothing_is_printed_twice(project: Project, workers: int) -> None:
    run = project.deploy(workers=workers)
    for line in (
        "deploygate: candidate: holds",
        "PROMOTE: ",
        "state PROMOTED",
        "deploygate: gate cand: ",
    ):
        assert run.output.count(line) == 1, run.output
    assert run.output.count("bringing up nodes") <= 1


@pytest.mark.parametrize("amount", ["-q", "-qq", "-vv", "--no-summary"])
def test_verdict_is_printed_at_any_verbosity(project: Project, amount: str) -> None:
    run = project.deploy(amount)
    assert run.status == 0, run.output
    assert "PROMOTE: the live phase holds" in run.output


def test_no_colours_where_there_is_no_terminal(project: Project) -> None:
    run = project.deploy(env={"NO_COLOR": ""})
    assert run.status == 0
    assert "\x1b[" not in run.output


def test_promotion_stays_one_whatever_pytest_counts_afterwards(project: Project) -> None:
    """``--max-warnings`` changes the exit status after the decision: traffic is what it says."""
    if pytest.version_tuple < (9,):
        pytest.skip("an option of pytest 9")
    body = "import warnings\ndef test_lie(): warnings.warn('x')\n"
    run = project.write({LIE: body}).deploy("--max-warnings=0")
    assert (run.status, run.said("state")) == (0, "PROMOTED"), run.output
