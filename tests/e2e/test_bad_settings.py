"""Bad input: a clear error, exit 4 or 10, nothing touched, nothing lost."""

import socket
from pathlib import Path

import pytest

from tests.e2e.checkout import Checkout

pytestmark = pytest.mark.e2e


def _refused(project: Checkout, *arguments: str, status: int, says: str, **variables: str) -> None:
    run = project.pytest("--deploy-to=local", "-n0", *arguments, **variables)
    assert run.status == status, run.output
    assert says in run.output
    assert "Traceback" not in run.output


def test_unknown_environment(fresh: Checkout) -> None:
    run = fresh.pytest("--deploy-to=moon")
    assert run.status == 4
    assert "unknown environment 'moon'" in run.output
    assert "local, production" in run.output


def test_broken_toml(fresh: Checkout) -> None:
    with (fresh.root / "pyproject.toml").open("a") as file:
        file.write("[tool.deploygate\n")
    run = fresh.deploy()
    assert run.status in (1, 4)
    assert "pyproject.toml" in run.output
    assert "line" in run.output


def test_setting_with_a_misspelt_key(fresh: Checkout) -> None:
    fresh.edit("pyproject.toml", 'paths = ["suites/health"]', 'pahts = ["suites/health"]')
    _refused(fresh, status=4, says="tool.deploygate.gates.health.pahts: unknown key")


def test_missing_source(fresh: Checkout) -> None:
    fresh.edit("pyproject.toml", 'source = "fixtures/process_invoice"', 'source = "nowhere"')
    _refused(fresh, status=4, says="nowhere does not exist")


def test_missing_entry_point(fresh: Checkout) -> None:
    fresh.edit(
        "pyproject.toml", 'entry-point = "process_invoice"', 'entry-point = "process_invoices"'
    )
    _refused(fresh, status=4, says="process_invoices")


def test_gate_without_checks(fresh: Checkout) -> None:
    for path in (fresh.root / "suites" / "health").glob("test_*.py"):
        path.unlink()
    _refused(fresh, status=4, says="gate health needs at least 1 checks, 0 were collected")


def test_path_of_a_gate_that_does_not_exist(fresh: Checkout) -> None:
    fresh.edit("pyproject.toml", 'paths = ["suites/health"]', 'paths = ["suites/helth"]')
    _refused(fresh, status=4, says="the path suites/helth does not exist")


def test_port_that_is_taken(fresh: Checkout) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        fresh.edit("pyproject.toml", 'target = "local"\n', f'target = "local"\nport = {port}\n')
        _refused(fresh, status=4, says=str(port))


def test_missing_credentials_for_google(fresh: Checkout, tmp_path: Path) -> None:
    run = fresh.pytest(
        "--deploy-to=production",
        "-n0",
        GOOGLE_APPLICATION_CREDENTIALS="",
        HOME=str(tmp_path),
        CLOUDSDK_CONFIG=str(tmp_path),
        NO_GCE_CHECK="true",
    )
    assert run.status == 4, run.output
    assert "credentials" in run.output
    assert "Traceback" not in run.output


def test_target_that_cannot_be_reached(fresh: Checkout) -> None:
    fresh.edit(
        "pyproject.toml",
        'target = "google"\n',
        'target = "google"\nendpoint = "http://127.0.0.1:9"\n',
    )
    run = fresh.pytest("--deploy-to=production", "-n0")
    assert run.status in (4, 10), run.output
    assert "Traceback" not in run.output


def test_nothing_of_a_refused_run_is_left(fresh: Checkout) -> None:
    run = fresh.deploy("-k", "health")
    assert run.status == 4
    assert not (fresh.root / ".deploygate").exists()
