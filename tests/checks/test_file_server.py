"""Documents reach a function that cannot see this machine, through whatever leads from a public URL to it."""

import socket

import pytest
import requests

from pytest_deploygate.checks.file_server import serve_files_publicly
from pytest_deploygate.core.errors import ConfigError
from tests.loopback_server import Asked, Reply, ServerMaker

FILES = {"a.pdf": b"%PDF-1.4 a"}


@pytest.fixture
def listen() -> str:
    """A free address."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{place.getsockname()[1]}"


@pytest.fixture
def tunnel(http_server: ServerMaker, listen: str) -> str:
    """A relay that hands on what is asked of it to ``listen``."""

    def relay(asked: Asked) -> Reply:
        answer = requests.get(f"http://{listen}{asked.path}", allow_redirects=False, timeout=10)
        kept = {k: v for k, v in answer.headers.items() if k in ("Content-Type", "Location")}
        return Reply(status=answer.status_code, body=answer.content, headers=kept)

    return http_server(relay).url.rstrip("/")


def test_documents_are_behind_the_public_url(tunnel: str, listen: str) -> None:
    with serve_files_publicly(FILES, url=tunnel, listen=listen) as host:
        target = host.url("a.pdf", query="token=1")
        moved = host.redirect(target)
        assert target.startswith(f"{tunnel}/")
        assert requests.get(moved, timeout=10).content == FILES["a.pdf"]
        assert requests.get(host.missing(), timeout=10).status_code == 404
    assert host.asked[-2].endswith("/a.pdf?token=1")


def test_public_url_that_leads_elsewhere_is_said_at_once(
    http_server: ServerMaker, listen: str
) -> None:
    elsewhere = http_server(lambda _: Reply(body=b"<html>somebody else</html>")).url.rstrip("/")
    for url in (elsewhere, "http://127.0.0.1:9"):
        with (
            pytest.raises(ConfigError, match="do not arrive here") as caught,
            serve_files_publicly(FILES, url=url, listen=listen),
        ):
            pass
        assert "tunnel" in caught.value.hint


def test_place_that_is_taken_is_named(tunnel: str, listen: str) -> None:
    with (
        serve_files_publicly(FILES, url=tunnel, listen=listen),
        pytest.raises(ConfigError, match=f"cannot be served at {listen}") as caught,
        serve_files_publicly(FILES, url=tunnel, listen=listen),
    ):
        pass
    assert "-n 1" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "listen"),
    [
        ("http://documents.example.com", ""),
        ("https://documents.example.com/below", ""),
        ("documents.example.com", ""),
        ("https://documents.example.com", "8089"),
        ("https://documents.example.com", "127.0.0.1:http"),
    ],
)
def test_url_and_address_that_cannot_do_are_refused(url: str, listen: str) -> None:
    with (
        pytest.raises(ConfigError, match="cannot be used"),
        serve_files_publicly(FILES, url=url, listen=listen),
    ):
        pass
