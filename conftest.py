"""What the suites share: the profile of the function that is judged, its sink, postings, served documents."""

from collections.abc import Callable, Iterator, Mapping

import pytest

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.checks.file_server import FileHost, serve_files, serve_files_publicly
from pytest_deploygate.checks.probe import Probe, is_loopback
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.record import RolloutRecord
from suites.faulty_postings import FaultyPostings
from suites.invoices import Posting, Sink, service_of, sink_of
from suites.posting import Poster, Postings
from suites.support.answer_leaks import AnswerLeaks, hidden_values
from suites.support.known_defects import known_defects, mark_known_defects
from suites.support.profile import DEFAULT, ROOT, profile, use_profile
from suites.support.write_intents import WriteIntentLog

TRY: pytest.StashKey[str] = pytest.StashKey()
Measure = Callable[..., None]
"""``measure(name, value, unit="s")``."""
Remark = Callable[[str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the settings name the profile."""
    parser.addini("suite_profile", "what the suites must know of the function", default=DEFAULT)


def pytest_configure(config: pytest.Config) -> None:
    """Read the profile and the known defects before any suite is imported."""
    try:
        use_profile(ROOT / str(config.getini("suite_profile")))
        known_defects()
    except ConfigError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the checks whose failure is known."""
    mark_known_defects(item)


@pytest.fixture(scope="session")
def answer_leaks(deployment: Deployment) -> AnswerLeaks:
    """What answers showed that they may not."""
    return AnswerLeaks(hidden_values(deployment), shown=(profile().answer.range,))


@pytest.fixture(scope="session")
def verification(verification: Probe, answer_leaks: AnswerLeaks) -> Probe:
    """The plugin's, and every answer is looked at."""
    verification.watch(answer_leaks.look_at)
    return verification


@pytest.fixture(scope="session")
def verification_variants(
    verification_variants: Mapping[str, Probe], answer_leaks: AnswerLeaks
) -> Mapping[str, Probe]:
    """The plugin's, and every answer is looked at."""
    for probe in verification_variants.values():
        probe.watch(answer_leaks.look_at)
    return verification_variants


@pytest.fixture(scope="session")
def candidate(candidate: Probe, answer_leaks: AnswerLeaks) -> Probe:
    """The plugin's, and every answer is looked at."""
    candidate.watch(answer_leaks.look_at)
    return candidate


@pytest.fixture(scope="session")
def live(live: Probe, answer_leaks: AnswerLeaks) -> Probe:
    """The plugin's, and every answer is looked at."""
    live.watch(answer_leaks.look_at)
    return live


@pytest.fixture(scope="session")
def sink(deployment: Deployment) -> Sink:
    """Where the verification revision writes."""
    return sink_of(deployment, deployment.verify_variables, may_write=True)


@pytest.fixture(scope="session")
def production_sink(deployment: Deployment) -> Sink:
    """Where production writes; it can only be read."""
    return sink_of(deployment, deployment.production_variables, may_write=False)


@pytest.fixture(scope="session")
def poster(
    verification: Probe, sink: Sink, production_sink: Sink, deployment: Deployment
) -> Iterator[Poster]:
    """Posts documents to the verification revision; all processes of this machine take turns.

    When everything has been posted, the production sink is held against what it was before.
    """
    spreadsheet_id, tab = sink.place
    traces = WriteIntentLog(
        ROOT / ".deploygate" / "rows" / deployment.environment,
        spreadsheet_id=spreadsheet_id,
        tab=tab,
    )
    made = Poster(verification, sink, traces, is_shared=sink.place == production_sink.place)
    with made.watching(production_sink):
        yield made


@pytest.fixture(scope="session")
def postings(poster: Poster) -> Postings:
    """Documents, each posted once for all checks of this process."""
    return Postings(poster)


@pytest.fixture(scope="session")
def order(postings: Postings) -> Posting:
    """The largest order, posted by itself so that its time counts."""
    return postings.alone(profile().roles.order)


@pytest.fixture(scope="session")
def delivery(postings: Postings) -> Posting:
    """A delivery in part, whose time counts as well."""
    return postings.alone(profile().roles.delivery)


@pytest.fixture(scope="session")
def faulty(poster: Poster, deployment: Deployment) -> FaultyPostings:
    """A document, posted once for each fault of the sink; for a sink that can be made to fail."""
    return FaultyPostings(poster, service_of(deployment))


@pytest.fixture
def remark(request: pytest.FixtureRequest) -> Remark:
    """Put a text beside the check in the JUnit file, where ``record_property`` warns, which counts as an error."""
    return lambda name, value: request.node.user_properties.append((name, value))


@pytest.fixture(scope="session")
def documents(deployment: Deployment) -> Iterator[FileHost]:
    """Serves the test documents by URL: from loopback to a function on this machine, else where the settings say."""
    assert deployment.verification is not None, "there is no function that could fetch documents"
    folder = profile().documents
    if is_loopback(deployment.verification.url):
        with serve_files(folder) as host:
            yield host
        return
    url = deployment.services.get("documents")
    if not url:
        where = f"[tool.deploygate.environments.{deployment.environment}.services]"
        pytest.fail(
            f"a function in the cloud cannot fetch documents from this machine: say under {where} at which public URL "
            'it reaches it: documents = "https://..." (docs/how-to/google.md, "Documents by URL")',
            pytrace=False,
        )
    listen = deployment.services.get("documents-listen", "")
    with serve_files_publicly(folder, url=url, listen=listen) as host:
        yield host


@pytest.hookimpl(optionalhook=True)
def pytest_deploygate_finished(config: pytest.Config, rollout: RolloutRecord) -> None:
    """Keep what people can try after a deployment on this machine."""
    if rollout.environment == "local" and rollout.serving and rollout.url:
        known = profile()
        document = (known.documents / f"{known.roles.order}{known.suffix}").relative_to(ROOT)
        config.stash[TRY] = f"curl -F {known.file_field}=@{document} {rollout.url}"


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how to send an invoice to what serves."""
    if line := config.stash.get(TRY, None):
        terminalreporter.write_line(f"try it: {line}")
