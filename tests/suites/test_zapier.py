"""Zapier's calls arrive as Zapier sends them, and documents are served in every way a server may behave."""

import json
import threading
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import requests

from pytest_deploygate.checks.endpoint import Endpoint
from pytest_deploygate.checks.file_server import serve_files
from pytest_deploygate.checks.probe import Answer, Probe, WouldWrite
from pytest_deploygate.core.errors import ConfigError
from suites.support.zapier import (
    BodyKind,
    HeaderSet,
    file_call,
    load_header_sets,
    url_call,
)
from tests.loopback_server import Reply, ServerMaker

FIXTURES = Path(__file__).parents[2] / "fixtures" / "zapier"
PDF = b"%PDF-1.4 \r\n--boundary?\r\n\x00\xff"


@pytest.fixture
def header_sets() -> dict[str, HeaderSet]:
    return dict(load_header_sets(FIXTURES))


def test_header_sets_name_zapier_and_a_content_type(header_sets: dict[str, HeaderSet]) -> None:
    assert {found.body for found in header_sets.values()} == set(BodyKind)
    assert header_sets["webhooks_post_json"].headers["User-Agent"] == "Zapier"
    assert all("Content-Type" in found.headers for found in header_sets.values())


def test_file_call_is_a_multipart_form_that_any_parser_reads(
    http_server: ServerMaker, header_sets: dict[str, HeaderSet]
) -> None:
    server = http_server(lambda _: Reply())
    call = file_call(
        header_sets["webhooks_post_file"], file_name='Rechnung "März".pdf', content=PDF
    )
    call.send(Probe(Endpoint(url=server.url, may_write=True)))
    (asked,) = server.asked
    assert asked.headers["user-agent"] == "Zapier"
    head = f"Content-Type: {asked.headers['content-type']}\r\n\r\n".encode()
    parts = BytesParser().parsebytes(head + asked.body).get_payload()
    assert isinstance(parts, list)
    (part,) = parts
    assert isinstance(part, Message)
    assert part.get_param("name", header="content-disposition") == "invoice_file"
    assert part.get_payload(decode=True) == PDF
    boundary = asked.headers["content-type"].partition("boundary=")[2]
    assert boundary.startswith("-" * 26)
    assert boundary.strip("-").isdigit()


def test_url_calls_are_form_and_json(
    http_server: ServerMaker, header_sets: dict[str, HeaderSet]
) -> None:
    server = http_server(lambda _: Reply())
    probe = Probe(Endpoint(url=server.url, may_write=True))
    url = "http://127.0.0.1:1/a b.pdf?x=1&y=ü"
    url_call(header_sets["webhooks_post_form"], url, field="invoice_file").send(probe)
    url_call(header_sets["webhooks_post_json"], url).send(probe)
    form, document = server.asked
    assert parse_qs(form.body.decode()) == {"invoice_file": [url]}
    assert form.headers["content-type"].startswith("application/x-www-form-urlencoded")
    assert json.loads(document.body) == {"file_url": url}
    assert document.headers["content-type"] == "application/json; charset=utf-8"


def test_calls_are_refused_where_nothing_may_be_written(
    http_server: ServerMaker, header_sets: dict[str, HeaderSet]
) -> None:
    server = http_server(lambda _: Reply())
    with pytest.raises(WouldWrite):
        url_call(header_sets["webhooks_post_json"], "http://x/").send(
            Probe(Endpoint(url=server.url))
        )
    assert server.asked == []


def test_broken_header_sets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load_header_sets(tmp_path)
    (tmp_path / "a.json").write_text('{"body": "soap", "headers": {}}', encoding="utf-8")
    with pytest.raises(ConfigError):
        load_header_sets(tmp_path)


def fetch(url: str) -> requests.Response:
    return requests.get(url, timeout=10, allow_redirects=False)


def test_documents_are_served_whatever_their_name_and_query() -> None:
    with serve_files({"Rechnung März #1.pdf": PDF}) as host:
        for url in (
            host.url("Rechnung März #1.pdf"),
            host.url("Rechnung März #1.pdf", query="a=1"),
        ):
            answer = fetch(url)
            assert (answer.content, answer.headers["Content-Type"]) == (PDF, "application/pdf")
        assert len(host.asked) == 2
        assert host.asked[1].endswith("?a=1")


def test_directory_is_served_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(PDF)
    with serve_files(tmp_path) as host:
        assert fetch(host.url("a.pdf")).content == PDF
        with pytest.raises(OSError, match=r"b\.pdf"):
            host.url("b.pdf")


def test_missing_redirected_and_wrongly_typed_documents() -> None:
    with serve_files({"a.pdf": PDF}) as host:
        assert fetch(host.missing()).status_code == 404
        assert fetch(f"{host.base}/never/made.pdf").status_code == 404
        moved = fetch(host.redirect("http://169.254.169.254/x"))
        assert (moved.status_code, moved.headers["Location"]) == (302, "http://169.254.169.254/x")
        typed = fetch(host.with_type("a.pdf", "application/octet-stream", called="b.pdf"))
        assert typed.headers["Content-Type"] == "application/octet-stream"
        assert typed.url.endswith("/b.pdf")
        page = fetch(host.page("login.html", b"<html>", "text/html"))
        assert page.content == b"<html>"


def test_held_document_waits_until_it_is_released() -> None:
    with serve_files({"a.pdf": PDF}) as host:
        held = host.delayed("a.pdf")
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.append(fetch(held.url).content))
        reader.start()
        assert held.arrived.wait(10)
        assert got == []
        held.release.set()
        reader.join(10)
        assert got == [PDF]


def test_leaving_releases_what_is_held_and_stops_listening() -> None:
    with serve_files({"a.pdf": PDF}) as host:
        held = host.delayed("a.pdf")
    assert held.release.is_set()
    with pytest.raises(requests.ConnectionError):
        fetch(held.url)


def test_other_loopback_address_can_be_served() -> None:
    with serve_files({"a.pdf": PDF}, address="127.0.0.2") as host:
        answer: Answer = Probe(Endpoint(url=host.base)).get("/0/none")
        assert answer.status == 404
        assert host.base.startswith("http://127.0.0.2:")
