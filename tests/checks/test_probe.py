"""The probe asks once, in time, says nothing secret, and does not write where it must not."""

import json
import socket
import threading
import traceback
from io import BytesIO

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from pytest_deploygate.checks.endpoint import Endpoint, Json
from pytest_deploygate.checks.probe import (
    MOST_BYTES,
    Answer,
    ConnectionFailure,
    Probe,
    ProbeFailed,
    WouldWrite,
    is_loopback,
    redact_url,
)
from pytest_deploygate.core.identifiers import Secret
from pytest_deploygate.core.trace_context import HEADER, TraceContext
from tests.loopback_server import Reply, ServerMaker

TOKEN = "eyJ-planted-token"


def test_answer_holds_status_body_headers_and_revision(http_server: ServerMaker) -> None:
    server = http_server(
        lambda _: Reply(
            status=405,
            body=b'{"error": "Method Not Allowed"}',
            headers={
                "Content-Type": "Application/JSON; charset=utf-8",
                "K-Revision": "f-00002-abc",
            },
        )
    )
    answer = Probe(Endpoint(url=server.url)).get()
    assert (answer.status, answer.value("error")) == (405, "Method Not Allowed")
    assert answer.content_type == "application/json"
    assert answer.headers["content-TYPE"].startswith("Application")
    assert answer.revision == "f-00002-abc"
    assert answer.is_json
    assert answer.elapsed_s > 0


def test_request_names_the_span_of_the_check_that_runs(
    http_server: ServerMaker, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
    server = http_server(lambda _: Reply())
    traced = Probe(Endpoint(url=server.url, traceparent=root.traceparent))
    traced.get()
    traced.get(headers={"TraceParent": "of the check"})
    Probe(Endpoint(url=server.url)).get()
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    traced.get()
    assert [asked.headers.get(HEADER) for asked in server.asked] == [
        root.child(request.node.nodeid).traceparent,
        "of the check",
        None,
        root.traceparent,
    ]


@pytest.mark.parametrize("body", [b"<html>", b"", b'{"a": NaN', b"\xff\xfe\x00"])
def test_answer_that_is_no_json_is_still_an_answer(http_server: ServerMaker, body: bytes) -> None:
    server = http_server(lambda _: Reply(body=body))
    answer = Probe(Endpoint(url=server.url)).get()
    assert not answer.is_json
    assert answer.json is None
    assert answer.value("error") is None


def test_answer_of_the_platforms_size_is_whole_and_a_larger_one_is_refused_with_the_figure(
    http_server: ServerMaker,
) -> None:
    whole = b"x" * MOST_BYTES
    server = http_server(lambda asked: Reply(body=whole + b"x" * asked.path.count("more")))
    probe = Probe(Endpoint(url=server.url))
    answer = probe.get()
    assert answer.content == whole
    assert len(answer.text) == MOST_BYTES == 32 * 1024 * 1024
    with pytest.raises(ProbeFailed, match="answered more than 32 MiB") as caught:
        probe.get("/more")
    assert caught.value.trouble is ConnectionFailure.TOO_LONG
    assert "32 MiB" in caught.value.hint


def test_failed_assertion_shows_the_beginning_of_a_long_answer(http_server: ServerMaker) -> None:
    server = http_server(lambda _: Reply(status=500, body=b"division by zero " + b"x" * 100_000))
    shown = repr(Probe(Endpoint(url=server.url)).get())
    assert shown.startswith("<Answer 500")
    assert "division by zero" in shown
    assert len(shown) < 500


def test_failed_assertion_shows_where_a_client_sends_its_requests() -> None:
    there = Endpoint(url="http://a.example", revision="f-2", token=Secret(TOKEN))
    assert repr(Probe(there)) == "<Probe http://a.example, f-2>"
    assert repr(Probe(Endpoint(url="http://a.example"))) == "<Probe http://a.example>"


def test_arguments_mean_what_they_mean_in_requests(http_server: ServerMaker) -> None:
    server = http_server(lambda _: Reply())
    probe = Probe(Endpoint(url=server.url, may_write=True))
    probe.get("/orders", params={"page": 2, "tag": ["a", "b c"]}, headers={"X-Team": "1"})
    probe.post(json={"order": 7}, params={"dry": "no"})
    probe.post(files={"invoice": b"%PDF", "note": ("n.txt", b"hello")})
    probe.put("/7", json=[1])
    probe.patch("/7", data={"state": "sent"})
    probe.delete("/7", params={"hard": 1})
    found, posted, uploaded, put, patched, deleted = server.asked
    assert found.path == "/orders?page=2&tag=a&tag=b+c"
    assert found.headers["x-team"] == "1"
    assert (posted.path, json.loads(posted.body)) == ("/?dry=no", {"order": 7})
    assert posted.headers["content-type"] == "application/json"
    assert b'name="invoice"; filename="invoice"' in uploaded.body
    assert b'name="note"; filename="n.txt"' in uploaded.body
    assert (put.method, put.path, put.body) == ("PUT", "/7", b"[1]")
    assert (patched.method, patched.body) == ("PATCH", b"state=sent")
    assert (deleted.method, deleted.path) == ("DELETE", "/7?hard=1")


def test_methods_that_write_are_refused_where_nothing_may_be_written(
    http_server: ServerMaker,
) -> None:
    server = http_server(lambda _: Reply())
    probe = Probe(Endpoint(url=server.url))
    for method in (probe.put, probe.patch, probe.delete):
        with pytest.raises(WouldWrite):
            method("/7")
    with pytest.raises(WouldWrite):
        probe.post(params={"order": "7"})
    assert server.asked == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_read_only_endpoint_lets_reading_methods_through(
    http_server: ServerMaker, method: str
) -> None:
    server = http_server(lambda _: Reply())
    Probe(Endpoint(url=server.url)).request(method)
    assert [asked.method for asked in server.asked] == [method]


def test_read_only_endpoint_lets_empty_and_named_bodies_through(http_server: ServerMaker) -> None:
    server = http_server(lambda _: Reply())
    probe = Probe(Endpoint(url=server.url), harmless=[b"not json"])
    probe.post()
    probe.post(data=b"")
    probe.post(json={})
    probe.post(data=b"not json")
    assert [asked.body for asked in server.asked] == [b"", b"", b"{}", b"not json"]


def test_read_only_endpoint_refuses_whatever_might_write(http_server: ServerMaker) -> None:
    server = http_server(lambda _: Reply())
    probe = Probe(Endpoint(url=server.url), harmless=[b"not json"])
    bodies: list[Json] = [{"file_url": "http://x/"}, [], [1], "x"]
    for document in bodies:
        with pytest.raises(WouldWrite):
            probe.post(json=document)
    with pytest.raises(WouldWrite):
        probe.post(data={"file_url": "http://x/"})
    with pytest.raises(WouldWrite):
        probe.post(files={"invoice_file": ("a.pdf", b"%PDF", "application/pdf")})
    with pytest.raises(WouldWrite):
        probe.post(data=b"not json ")
    with pytest.raises(WouldWrite):
        probe.post("?file_url=http://x/")
    for method in ("PUT", "DELETE", "PATCH", "BREW"):
        with pytest.raises(WouldWrite):
            probe.request(method)
    with pytest.raises(WouldWrite):
        probe.request("GET", data=b"%PDF")
    assert server.asked == []


def test_writing_endpoint_is_posted_to(http_server: ServerMaker) -> None:
    server = http_server(lambda _: Reply(status=200))
    probe = Probe(Endpoint(url=server.url, may_write=True))
    probe.post(files={"invoice_file": ("a.pdf", b"%PDF-1.4", "application/pdf")})
    probe.post(data={"file_url": "http://x/"})
    probe.request("PUT", data=b"x")
    first, second, third = server.asked
    assert b'filename="a.pdf"' in first.body
    assert second.headers["content-type"] == "application/x-www-form-urlencoded"
    assert third.method == "PUT"


@pytest.mark.parametrize("cut", [0, 3])
def test_post_is_never_repeated_when_the_connection_breaks(
    http_server: ServerMaker, cut: int
) -> None:
    server = http_server(lambda _: Reply(body=b'{"rows": 1}', cut=cut))
    for may_write in (True, False):
        with pytest.raises(ProbeFailed) as caught:
            Probe(Endpoint(url=server.url, may_write=may_write)).post(json={})
        assert caught.value.trouble is ConnectionFailure.CUT
    assert len(server.asked) == 2


def test_get_is_not_repeated_once_it_was_received(http_server: ServerMaker) -> None:
    server = http_server(lambda _: Reply(cut=0))
    with pytest.raises(ProbeFailed):
        Probe(Endpoint(url=server.url)).get()
    assert len(server.asked) == 1


def test_post_is_not_repeated_on_a_server_error(http_server: ServerMaker) -> None:
    server = http_server(lambda _: Reply(status=503, headers={"Retry-After": "0"}))
    answer = Probe(Endpoint(url=server.url, may_write=True)).post(data={"file_url": "x"})
    assert answer.status == 503
    assert len(server.asked) == 1


def test_whatever_writes_gets_a_connection_of_its_own(http_server: ServerMaker) -> None:
    """A kept one may just be closed by the other side, and nobody could tell whether the invoice was received."""
    server = http_server(lambda _: Reply())
    probe = Probe(Endpoint(url=server.url, may_write=True))
    probe.get()
    probe.post(json={})
    probe.post(data=b"invoice")
    probe.post(data=b"invoice")
    ports = [asked.port for asked in server.asked]
    assert ports[0] == ports[1]
    assert len(set(ports)) == 3


def test_post_is_not_tried_again_where_nobody_listens(unused_url: str) -> None:
    begun = []

    def clock() -> float:
        begun.append(0.0)
        return 0.0

    probe = Probe(Endpoint(url=unused_url), clock=clock)
    with pytest.raises(ProbeFailed):
        probe.post(json={})
    assert len(begun) == 1


def test_timeout_says_so_and_nothing_is_repeated(http_server: ServerMaker) -> None:
    release = threading.Event()
    server = http_server(lambda _: Reply(wait=release))
    probe = Probe(Endpoint(url=server.url, may_write=True), read_timeout_s=0.2)
    with pytest.raises(ProbeFailed) as caught:
        probe.post(data=b"invoice")
    release.set()
    assert caught.value.trouble is ConnectionFailure.TIMEOUT
    assert len(server.asked) == 1


def test_answer_that_trickles_ends_with_the_timeout(http_server: ServerMaker) -> None:
    ticks = iter([0.0, 10.0, 20.0, 30.0])
    server = http_server(lambda _: Reply(body=b"x" * 100))
    probe = Probe(Endpoint(url=server.url), read_timeout_s=5, clock=lambda: next(ticks))
    with pytest.raises(ProbeFailed) as caught:
        probe.get()
    assert caught.value.trouble is ConnectionFailure.TIMEOUT


def test_nobody_listening_is_told_apart(unused_url: str) -> None:
    for ask in (
        Probe(Endpoint(url=unused_url)).get,
        Probe(Endpoint(url=unused_url, may_write=True)).post,
    ):
        with pytest.raises(ProbeFailed) as caught:
            ask()
        assert caught.value.trouble is ConnectionFailure.NOT_REACHED
        assert "the revision runs" in caught.value.hint


def test_get_is_tried_again_until_the_listener_is_there() -> None:
    """The first connection is refused, then somebody listens: the clock is read before each attempt."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
        started = []

        def clock() -> float:
            started.append(0.0)
            if len(started) == 2:
                place.listen()
                threading.Thread(target=_answer_once, args=(place,), daemon=True).start()
            return 0.0

        probe = Probe(Endpoint(url=f"http://127.0.0.1:{port}"), clock=clock)
        assert probe.get().status == 204
        assert len(started) >= 2


def _answer_once(place: socket.socket) -> None:
    connection, _ = place.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(
            b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )


def test_plain_http_behind_https_is_a_tls_failure(http_server: ServerMaker) -> None:
    server = http_server(lambda _: Reply())
    with pytest.raises(ProbeFailed) as caught:
        Probe(Endpoint(url=server.url.replace("http:", "https:"))).get()
    assert caught.value.trouble is ConnectionFailure.TLS


def test_redirects_are_answers_unless_followed(http_server: ServerMaker) -> None:
    other = http_server(lambda _: Reply(body=b'"there"'))
    server = http_server(lambda _: Reply(status=307, headers={"Location": other.url}))
    probe = Probe(Endpoint(url=server.url))
    assert probe.get().status == 307
    assert other.asked == []
    assert probe.post(json={}, follow_redirects=True).json == "there"


def test_token_is_sent_and_shown_nowhere(http_server: ServerMaker, unused_url: str) -> None:
    server = http_server(lambda _: Reply())
    endpoint = Endpoint(url=server.url, token=Secret(TOKEN))
    probe = Probe(endpoint)
    probe.get()
    assert server.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in repr(endpoint) + str(endpoint) + repr(probe)
    with pytest.raises(WouldWrite) as refused:
        probe.post(data=b"x")
    lost = Probe(Endpoint(url=f"{unused_url}/f?sig=hidden", token=Secret(TOKEN)))
    with pytest.raises(ProbeFailed) as failed:
        lost.get()
    for caught in (refused.value, failed.value):
        told = "".join(traceback.format_exception(caught)) + repr(caught)
        assert TOKEN not in told
        assert "hidden" not in told
    server.asked.clear()
    shown = failed.getrepr(showlocals=True, style="long")
    assert TOKEN not in str(shown)


def test_proxies_of_the_environment_are_not_asked_for_loopback(
    http_server: ServerMaker, monkeypatch: pytest.MonkeyPatch, unused_url: str
) -> None:
    server = http_server(lambda _: Reply())
    monkeypatch.setenv("HTTP_PROXY", unused_url)
    monkeypatch.setenv("http_proxy", unused_url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert Probe(Endpoint(url=server.url)).get().status == 200


def test_urls_are_redacted_and_loopback_is_known() -> None:
    assert (
        redact_url("https://u:p@h.example:8/f/x.pdf?sig=1#part") == "https://h.example:8/f/x.pdf?…"
    )
    assert is_loopback("http://127.0.0.1:80/")
    assert is_loopback("http://[::1]/")
    assert is_loopback("http://abc---f.localhost:8080")
    assert not is_loopback("https://f.a.run.app")
    assert not is_loopback("http://localhost.example")


def test_impossible_url_is_a_clear_failure() -> None:
    for url in ("ftp://127.0.0.1/x", "http://"):
        with pytest.raises(ProbeFailed) as caught:
            Probe(Endpoint(url=url)).get()
        assert caught.value.trouble is ConnectionFailure.OTHER


def test_answers_are_counted_where_they_came_over_a_connection(http_server: ServerMaker) -> None:
    server = http_server(lambda _: Reply())
    told: list[int] = []
    endpoint = Endpoint(url=server.url, may_write=True, heard=told.append)
    probe = Probe(endpoint)
    probe.get()
    probe.get("/again")
    probe.post(data=b"x")
    probe.close()
    assert told == [200] * len(server.asked) == [200] * 3


def test_answers_that_nobody_gave_are_not_counted(
    http_server: ServerMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def recorded(self: HTTPAdapter, request: requests.PreparedRequest, **_: object) -> object:
        """As libraries do that answer from a cassette."""
        raw = HTTPResponse(BytesIO(b"{}"), status=200, preload_content=False)
        return self.build_response(request, raw)

    server = http_server(lambda _: Reply())
    told: list[int] = []
    endpoint = Endpoint(url=server.url, heard=told.append)
    monkeypatch.setattr(HTTPAdapter, "send", recorded)
    assert Probe(endpoint).get().status == 200
    assert told == []
    assert server.asked == []


def test_every_answer_is_looked_at_before_the_check_gets_it(http_server: ServerMaker) -> None:
    server = http_server(lambda asked: Reply(status=500 if asked.method == "POST" else 200))
    probe = Probe(Endpoint(url=server.url, may_write=True))
    seen: list[Answer] = []
    also: list[int] = []
    probe.get()
    probe.watch(seen.append)
    probe.watch(lambda answer: also.append(answer.status))
    got = [probe.get(), probe.post(data=b"x"), probe.put(json={})]
    assert seen == got
    assert also == [200, 500, 200]
