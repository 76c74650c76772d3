"""Who answers at an address: what the function itself says counts, a page of the platform proves nothing."""

from collections.abc import Iterator

import pytest
import requests

from pytest_deploygate.core.errors import TargetUnavailable
from pytest_deploygate.core.function_spec import ConfirmRequest
from pytest_deploygate.core.identifiers import Secret
from pytest_deploygate.targets.revision_probe import AccessDenied, RevisionProbe
from tests.loopback_server import LoopbackServer, Reply, ServerMaker, serving

HTML = {"content-type": "text/html;charset=utf-8", "server": "Google Frontend"}
PAGES = {
    403: b"<html><head><title>403 Forbidden</title></head><body><h1>Error: Forbidden</h1></body>",
    404: b"<html><head><title>404 Page not found</title></head><h1>Error: Page not found</h1>",
    429: b"Rate exceeded.",
    500: b"<html><head><title>500 Server Error</title></head><h1>Error: Server Error</h1>",
    503: b"<html><head><title>503 Server Error</title></head><h1>Error: Server Error</h1>",
    502: b"upstream connect error or disconnect/reset before headers. reset reason: protocol error",
    504: b"upstream request timeout",
}
"""Pages of Cloud Run and of the proxy in front of it, by what they have in common."""


@pytest.fixture
def start() -> Iterator[ServerMaker]:
    """Starts servers that answer as the test says."""
    with serving() as maker:
        yield maker


def ask(server: LoopbackServer, confirm: ConfirmRequest, token: Secret | None = None) -> str | None:
    return RevisionProbe(requests.Session(), confirm, timeout_s=5).ask(server.url, token)


@pytest.mark.parametrize("status", [200, 302, 400, 404, 405, 500, 503])
def test_any_answer_of_the_function_counts_whatever_its_status(
    start: ServerMaker, status: int
) -> None:
    server = start(lambda _: Reply(status=status, body=b'{"error": "no body"}'))
    assert ask(server, ConfirmRequest()) is None
    named = start(lambda _: Reply(status=status, headers={"X-Revision": "f-00001-abc"}))
    assert ask(named, ConfirmRequest()) == "f-00001-abc"


@pytest.mark.parametrize("status", PAGES)
def test_a_page_of_the_platform_proves_nothing(start: ServerMaker, status: int) -> None:
    server = start(lambda _: Reply(status=status, body=PAGES[status], headers=HTML))
    with pytest.raises(TargetUnavailable, match="a page of the platform") as caught:
        ask(server, ConfirmRequest())
    assert isinstance(caught.value, AccessDenied) is (status == 403)


def test_a_function_that_names_its_revision_is_believed_over_the_look_of_its_page(
    start: ServerMaker,
) -> None:
    headers = {**HTML, "X-Revision": "f-00001-abc"}
    server = start(lambda _: Reply(status=500, body=PAGES[500], headers=headers))
    assert ask(server, ConfirmRequest()) == "f-00001-abc"


def test_the_request_is_that_of_the_settings(start: ServerMaker) -> None:
    server = start(lambda _: Reply(status=200))
    confirm = ConfirmRequest(method="POST", path="/hook?dry=1", body='{"ping": true}')
    ask(server, confirm, Secret("t"))
    [asked] = server.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/hook?dry=1", b'{"ping": true}')
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["authorization"] == "Bearer t"


def test_a_status_that_is_not_expected_does_not_count(start: ServerMaker) -> None:
    server = start(lambda _: Reply(status=500))
    with pytest.raises(TargetUnavailable, match="`confirm` expects 200, 405"):
        ask(server, ConfirmRequest(expect=(200, 405)))
