"""What the suites share: the sheet that is judged, one posting of the big order, and served documents."""

from collections.abc import Callable, Iterator

import pytest

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.checks.file_server import FileHost, serve_files, serve_files_publicly
from pytest_deploygate.checks.probe import Probe, is_loopback
from pytest_deploygate.core.record import RolloutRecord
from suites.invoices import DELIVERY, DOCUMENTS, ORDER, ROOT, Posting, sheet_of
from suites.posting import Poster
from suites.support.sheet import SheetReader
from suites.support.write_intents import WriteIntentLog

TRY: pytest.StashKey[str] = pytest.StashKey()
INVOICE_TO_TRY = "test_invoices/creative_coop_CS003837319.pdf"
Measure = Callable[..., None]
"""``measure(name, value, unit="s")``."""
Remark = Callable[[str, str], None]


@pytest.fixture(scope="session")
def sink(deployment: Deployment) -> SheetReader:
    """The tab that the verification revision writes to."""
    return sheet_of(deployment, deployment.verify_variables, may_write=True)


@pytest.fixture(scope="session")
def production_sheet(deployment: Deployment) -> SheetReader:
    """The tab that production writes to; it can only be read."""
    return sheet_of(deployment, deployment.production_variables, may_write=False)


@pytest.fixture(scope="session")
def poster(
    verification: Probe, sink: SheetReader, production_sheet: SheetReader, deployment: Deployment
) -> Iterator[Poster]:
    """Posts documents to the verification revision; all processes of this machine take turns.

    When everything has been posted, the production tab is held against what it was before.
    """
    is_shared = (sink.spreadsheet_id, sink.tab) == (
        production_sheet.spreadsheet_id,
        production_sheet.tab,
    )
    traces = WriteIntentLog(
        ROOT / ".deploygate" / "rows" / deployment.environment,
        spreadsheet_id=sink.spreadsheet_id,
        tab=sink.tab,
    )
    made = Poster(verification, sink, traces, is_shared=is_shared)
    with made.watching(production_sheet):
        yield made


@pytest.fixture(scope="session")
def order(poster: Poster) -> Posting:
    """Creative-Coop CS003837319, posted once for all checks of this process."""
    return poster.post(ORDER)


@pytest.fixture(scope="session")
def delivery(poster: Poster) -> Posting:
    """Creative-Coop CI004848705, posted once for all checks of this process."""
    return poster.post(DELIVERY)


@pytest.fixture
def remark(request: pytest.FixtureRequest) -> Remark:
    """Put a text beside the check in the JUnit file, where ``record_property`` warns, which counts as an error."""
    return lambda name, value: request.node.user_properties.append((name, value))


@pytest.fixture(scope="session")
def documents(deployment: Deployment) -> Iterator[FileHost]:
    """Serves the test invoices by URL: from loopback to a function on this machine, else where the settings say."""
    assert deployment.verification is not None, "there is no function that could fetch documents"
    if is_loopback(deployment.verification.url):
        with serve_files(DOCUMENTS) as host:
            yield host
        return
    url = deployment.services.get("documents")
    if not url:
        where = f"[tool.deploygate.environments.{deployment.environment}.services]"
        pytest.fail(
            f"a function in the cloud cannot fetch documents from this machine: say under {where} at which public URL "
            'it reaches it: documents = "https://..." (docs/google.md, "Documents by URL")',
            pytrace=False,
        )
    listen = deployment.services.get("documents-listen", "")
    with serve_files_publicly(DOCUMENTS, url=url, listen=listen) as host:
        yield host


@pytest.hookimpl(optionalhook=True)
def pytest_deploygate_finished(config: pytest.Config, rollout: RolloutRecord) -> None:
    """Keep what people can try after a deployment on this machine."""
    url = rollout.facts.get("url")
    if rollout.environment == "local" and rollout.serving and url:
        config.stash[TRY] = f"curl -F invoice_file=@{INVOICE_TO_TRY} {url}"


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how to send an invoice to what serves."""
    if line := config.stash.get(TRY, None):
        terminalreporter.write_line(f"try it: {line}")
