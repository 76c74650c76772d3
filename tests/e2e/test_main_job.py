"""The main job: deploy, deploy again, change, break, judge and go back, each seen from outside."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.e2e.checkout import Checkout, copy_repository, journal, revision_of, until

pytestmark = pytest.mark.e2e

RELEASES = pytest.mark.xdist_group("releases")
"""What shares one deployed checkout runs in one process."""
PRODUCTION_TAB = "Update 20230525"
DEPLOYED = "os.environ.get('K_REVISION')"
"""Holds only where the platform runs the function: the readiness gates see nothing wrong."""
APPEND = "        appended = sheet.append(_sheet(), invoice.rows)\n"
BREAKS = {
    "it cannot be imported": (
        "logger = logging.getLogger",
        "raise RuntimeError('no such thing')\nlogger = logging.getLogger",
        "gate readiness failed",
    ),
    "it does not start": (
        "logger = logging.getLogger",
        f"if {DEPLOYED}:\n    raise RuntimeError('no such thing')\nlogger = logging.getLogger",
        "no such thing",
    ),
    "it answers wrong": (
        'raise _Refused("Method Not Allowed", 405)',
        f'raise _Refused("Method Not Allowed", 404 if {DEPLOYED} else 405)',
        "gate health failed",
    ),
    "it loses line items": (
        APPEND,
        f"        kept = invoice.rows[:-3] if {DEPLOYED} else invoice.rows\n"
        + APPEND.replace("invoice.rows", "kept"),
        "gate creative_coop failed",
    ),
    "it writes no sheet rows": (
        APPEND,
        (
            "        appended = sheet.Appended(rows=len(invoice.rows), updated_range=None)\n"
            f"        if not {DEPLOYED}:\n    {APPEND}"
        ),
        "gate creative_coop failed",
    ),
    "it is too slow": (
        "        invoice = extract(pdf)\n",
        (
            "        invoice = extract(pdf)\n"
            f"        if {DEPLOYED} and len(invoice.rows) > 100:\n            __import__('time').sleep(2)\n"
        ),
        "gate performance failed",
    ),
}
"""What breaks in main.py: what stands there, what comes instead, and what the reason says."""

REPEATED = set(BREAKS) - {"it answers wrong"}
"""Their gates see the same in tests/variants; whole sessions of them are run before an issue is called done."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, build_cache: Path) -> Iterator[Checkout]:
    """A checkout whose function was deployed once; each test leaves what serves as it found it, or good."""
    root = tmp_path_factory.mktemp("main-job") / "checkout"
    copy_repository(root)
    project = Checkout(root=root, variables={"DEPLOYGATE_BUILD_CACHE": str(build_cache)})
    try:
        run = project.deploy()
        assert run.status == 0, run.output
        yield project
    finally:
        project.close()


@pytest.fixture
def source(served: Checkout) -> Iterator[Checkout]:
    """The same, with the source as it was when the test is over."""
    kept = {p: p.read_bytes() for p in served.function.rglob("*.py")}
    try:
        yield served
    finally:
        for path, content in kept.items():
            path.write_bytes(content)


@RELEASES
def test_first_deployment_serves_and_takes_an_invoice(served: Checkout) -> None:
    invoice = served.root / "test_invoices" / "creative_coop_CS003837319.pdf"
    before = served.rows(PRODUCTION_TAB)
    with invoice.open("rb") as file:
        answer = requests.post(served.url, files={"invoice_file": file}, timeout=60)
    assert answer.status_code == 200
    assert answer.json()["rows_added"] == 135
    assert len(served.rows(PRODUCTION_TAB)) == len(before) + 135
    assert served.shares == {revision_of(answer): 100}


@RELEASES
@pytest.mark.full
def test_unchanged_source_stages_nothing_and_still_proves_the_gates(served: Checkout) -> None:
    quiet = served.deploy("-q")  # of whatever release the tests before left
    assert quiet.status == 0, quiet.output
    for text in ("PROMOTE: ", "serving: ", f"url: {served.url}"):
        assert text in quiet.output
    assert "\x1b[" not in quiet.output
    before, shares = served.answering(), served.shares
    run = served.deploy()
    assert run.status == 0, run.output
    assert "nothing to deploy" in run.output
    assert run.property("reason_code") == "nothing_to_deploy"
    assert run.property("gate.creative_coop").endswith("PASSED")
    assert (served.answering(), served.shares) == (before, shares)


@RELEASES
def test_changed_source_takes_the_traffic_and_loses_no_request(source: Checkout) -> None:
    before = source.answering()
    production = source.rows(PRODUCTION_TAB)
    source.touch_source("another release")
    with source.watched() as watch:
        run = source.deploy()
    assert run.status == 0, run.output
    after = source.answering()
    assert after != before
    assert run.property("state") == "PROMOTED"
    assert run.property("baseline_revision") == before
    assert run.property("candidate_revision") == run.property("serving_revision") == after
    assert watch.failures == []
    assert watch.revisions == [before, after]
    assert source.rows(PRODUCTION_TAB) == production
    assert {case.property("gate") for case in run.cases} == {
        "readiness", "health", "creative_coop", "vendor_regression", "zapier", "performance", "rollback_checks",
    }  # fmt: skip


@pytest.mark.xdist_group("broken releases")
@pytest.mark.parametrize(
    "what",
    [pytest.param(what, marks=pytest.mark.full if what in REPEATED else ()) for what in BREAKS],
)
def test_broken_release_never_serves(source: Checkout, what: str) -> None:
    old, new, why = BREAKS[what]
    before = source.answering()
    production = source.rows(PRODUCTION_TAB)
    source.edit("fixtures/process_invoice/main.py", old, new)
    with source.watched() as watch:
        run = source.deploy()
    assert run.status == 1, run.output
    assert why in run.property("reasons"), run.output
    assert watch.failures == []
    assert watch.revisions == [before]
    assert source.shares == {before: 100}
    assert run.property("serving_revision") == before
    assert source.rows(PRODUCTION_TAB) == production


@RELEASES
@pytest.mark.full
def test_rollback_checks_go_back_when_what_serves_goes_bad(source: Checkout) -> None:
    before = source.answering()
    source.touch_source("a release that goes bad an hour later")
    assert source.deploy().status == 0
    bad = source.answering()
    assert source.pytest("-m", "rollback-checks").status == 0

    source.call_emulator(f"revisions/{bad}/inject_fault", error_ratio=0.5)
    run = source.pytest("-m", "rollback-checks")
    assert run.status == 1, run.output
    assert run.property("state") == "ROLLED_BACK"
    assert source.answering() == before
    assert source.shares == {before: 100}


@RELEASES
@pytest.mark.full
def test_signal_while_a_candidate_serves_ends_with_the_baseline(source: Checkout) -> None:
    """One signal on the whole project; test_interrupted.py has all of them."""
    before = source.answering()
    source.touch_source("interrupted")
    process = source.start("--deploy-to=local")
    until(lambda: source.answering() != before, seconds=120, what="the candidate serves")
    process.send_signal(signal.SIGTERM)
    run = source.finish(process)
    assert run.status == 2, run.output
    assert run.property("state") == "ROLLED_BACK"
    assert source.answering() == before


@RELEASES
@pytest.mark.full
def test_sigkill_while_a_candidate_serves_ends_with_the_baseline(source: Checkout) -> None:
    before = source.answering()
    source.touch_source("killed")
    process = source.start("--deploy-to=local")
    until(lambda: source.answering() != before, seconds=120, what="the candidate serves")
    process.send_signal(signal.SIGKILL)
    assert source.finish(process).status == -signal.SIGKILL
    until(lambda: source.answering() == before, seconds=120, what="the baseline serves again")
    until(
        lambda: bool(journal(source)) and journal(source)[-1]["state"] == "ROLLED_BACK",
        seconds=120,
        what="the record says so",
    )
    # The watchdog may still hold the lease for a moment: the next command waits for it.
    run = source.deploy()
    assert run.status == 0, run.output


@RELEASES
def test_record_of_a_session_is_found_by_a_second_process(served: Checkout) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "pytest_deploygate.cli", "history", "local", "--json"],
        cwd=served.root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"PROMOTED"' in listed.stdout
