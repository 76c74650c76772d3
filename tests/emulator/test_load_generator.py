"""Load for a canary on this machine: what is sent, what is counted, and what is refused."""

import json
from collections.abc import Iterator

import pytest

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.emulator.load_generator import LoadGenerator
from tests.loopback_server import Asked, Reply, ServerMaker, serving


@pytest.fixture
def start() -> Iterator[ServerMaker]:
    """Starts servers that answer as the test says."""
    with serving() as maker:
        yield maker


def answer(asked: Asked) -> Reply:
    return Reply(body=b"{}", headers={"X-Revision": "svc-1"})


def run(url: str, *, requests: int, bodies: tuple[bytes, ...] = ()) -> LoadGenerator:
    """Send until so many are counted."""
    generator = LoadGenerator(url, per_s=200, bodies=bodies)
    generator.run(60, told=lambda tally: generator.stop() if tally.total >= requests else None)
    return generator


def test_visitors_ask_and_are_counted_by_revision_and_status(start: ServerMaker) -> None:
    server = start(answer)
    tally = run(server.url, requests=5).tally
    assert tally.total == len(server.asked) >= 5
    assert set(tally.answers) == {("svc-1", "2xx")}
    assert tally.of_revision("svc-1") == tally.total
    assert tally.of_revision("svc-2") == 0
    assert all(one.method == "GET" and "?n=" in one.path for one in server.asked)


def test_files_are_posted_as_json(start: ServerMaker) -> None:
    server = start(answer)
    bodies = (b'{"a": 1}', b'{"a": 2}')
    run(server.url, requests=5, bodies=bodies)
    assert {one.method for one in server.asked} == {"POST"}
    assert {json.loads(one.body)["a"] for one in server.asked} <= {1, 2}


def test_nobody_there_is_counted_as_what_it_is(start: ServerMaker) -> None:
    tally = run("http://127.0.0.1:1", requests=3).tally
    assert set(tally.answers) == {("", "ConnectionError")}


@pytest.mark.parametrize("url", ["https://example.org", "http://10.0.0.1:8080", "nonsense"])
def test_only_this_machine_is_asked(url: str) -> None:
    with pytest.raises(ConfigError, match="not on this machine"):
        LoadGenerator(url, per_s=1)


@pytest.mark.parametrize("per_s", [0, -1, 201])
def test_rates_are_bounded(per_s: float) -> None:
    with pytest.raises(ConfigError, match="at most 200"):
        LoadGenerator("http://127.0.0.1:8080", per_s=per_s)
