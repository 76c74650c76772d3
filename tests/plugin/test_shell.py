"""The plugin as a guest in pytest: its options, its silence, what it loads, what it prints."""

import json
import re
from pathlib import Path

import pytest

from pytest_deploygate.testing import DeploygateProject
from tests.plugin.plugin_project import SUBJECT

FRESH = {"PYTHONHASHSEED": "0"}
"""Has a session begin in a new interpreter, in which nothing is loaded."""
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


def test_help_has_all_options_under_one_heading(project: DeploygateProject) -> None:
    run = project.pytest("-n0", "--help")
    assert run.status == 0, run.output
    heading = "deployment gating (pytest-deploygate):"
    assert run.output.count(heading) == 1
    section = run.output.split(heading)[1].split("\n\n")[0]
    options = set(re.findall(r"^  (--deploy-[a-z-]+)", run.output, re.MULTILINE))
    assert options == set(re.findall(r"^  (--deploy-[a-z-]+)", section, re.MULTILINE))
    assert {"--deploy-to", "--deploy-env", "--deploy-plan", "--deploy-override"} <= options


def test_file_of_the_same_name_does_not_take_the_place_of_the_plugin(
    project: DeploygateProject,
) -> None:
    project.write(
        {
            "deploygate.py": """
        def pytest_runtestloop():
            return True
    """
        }
    )
    run = project.deploy("-p", "deploygate")
    assert (run.status, run.property("verdict")) == (0, "PROMOTE"), run.output
    assert len(run.cases) == 4


def test_marker_is_registered(project: DeploygateProject) -> None:
    assert "@pytest.mark.rollback-checks: " in project.pytest("-n0", "--markers").output


def test_markers_may_be_strict(project: DeploygateProject) -> None:
    project.add_settings(
        '\n[tool.deploygate.gates.extra]\nphase = "live"\nmarker = "smoke"\npaths = ["gates/extra"]\n'
    )
    project.write(
        {
            "gates/extra/test_extra.py": """
            import pytest


            @pytest.mark.smoke
            def test_extra():
                pass
        """
        }
    )
    run = project.deploy("--strict-markers")
    assert run.status == 0, run.output
    assert run.property("gate.extra") == "1/1 PASSED"


def test_listing_checks_deploys_nothing(project: DeploygateProject) -> None:
    platform = project.platform_digest()
    run = project.pytest("-n0", "--collect-only", "-q")
    assert run.status == 0, run.output
    assert f"{SUBJECT}::test_subject" in run.output
    assert project.platform_digest() == platform


def test_session_without_a_deployment_runs_readiness_only(project: DeploygateProject) -> None:
    platform = project.platform_digest()
    run = project.pytest("-n0", "-rs")
    assert run.status == 0, run.output
    assert "1 passed, 3 skipped" in run.output
    assert "no deployment: use --deploy-to or --deploy-env" in run.output
    assert project.platform_digest() == platform


def test_idle_plugin_loads_nothing_heavy(tmp_path: Path) -> None:
    project = DeploygateProject(root=tmp_path).write(
        {
            "test_it.py": """
            def test_it():
                pass
        """,
            "conftest.py": LISTS,
        }
    )
    run = project.pytest("-n0", "-p", "no:anyio", **FRESH)
    assert run.status == 0, run.output
    [modules] = loaded(tmp_path, "main")
    assert not modules & set(HEAVY)
    assert "pytest_deploygate" in modules


def test_workers_load_no_library_of_a_target_or_store(project: DeploygateProject) -> None:
    run = project.write({"conftest.py": LISTS}).deploy(workers=1)
    assert run.status == 0, run.output
    workers = loaded(project.root, "gw")
    assert len(workers) == 4  # to collect, and for each phase
    for modules in workers:
        assert not modules & {*GOOGLE, "pytest_deploygate.store.sql", "pathspec"}


@pytest.mark.parametrize("workers", [None, 1])
def test_checks_run_in_a_worker_where_the_user_asks_for_one(
    project: DeploygateProject, workers: int | None
) -> None:
    body = """\
import os
def test_subject():
    assert ('PYTEST_XDIST_WORKER' in os.environ) is %s
"""
    number = [] if workers is None else [f"-n{workers}"]
    run = project.write({SUBJECT: body % (workers is not None)}).pytest(
        "--deploy-to=fake", "--deploy-no-watchdog", *number
    )
    assert run.status == 0, run.output


def test_progress_reads_right_with_workers(project: DeploygateProject) -> None:
    run = project.deploy("-v", workers=2)
    assert run.status == 0, run.output
    found = [int(n) for n in re.findall(r"\[ *(\d+)%\] PASSED", run.output)]
    assert found == [25, 50, 75, 100]


@pytest.mark.parametrize("workers", [0, 1])
def test_nothing_is_printed_twice(project: DeploygateProject, workers: int) -> None:
    run = project.deploy("-v", workers=workers)
    for line in (
        "deploygate: candidate: holds",
        "PROMOTE: ",
        "state PROMOTED",
        "deploygate: gate cand: ",
    ):
        assert run.output.count(line) == 1, run.output
    assert run.output.count("bringing up nodes") <= 1


@pytest.mark.parametrize("amount", ["-q", "-qq", "-vv", "--no-summary"])
def test_verdict_is_printed_at_any_verbosity(project: DeploygateProject, amount: str) -> None:
    run = project.deploy(amount)
    assert run.status == 0, run.output
    assert "PROMOTE: the live phase holds" in run.output


def test_no_colours_where_there_is_no_terminal(project: DeploygateProject) -> None:
    run = project.deploy(NO_COLOR="")
    assert run.status == 0
    assert "\x1b[" not in run.output


def test_promotion_stays_one_whatever_pytest_counts_afterwards(project: DeploygateProject) -> None:
    """``--max-warnings`` changes the exit status after the decision: traffic is what it says."""
    if pytest.version_tuple < (9,):
        pytest.skip("an option of pytest 9")
    body = """\
import warnings
def test_subject(): warnings.warn('x')
"""
    run = project.write({SUBJECT: body}).deploy("--max-warnings=0")
    assert (run.status, run.property("state")) == (0, "PROMOTED"), run.output
