"""The data plane: what reaches a function and what comes back."""

import gzip
import http.client
import threading
from urllib.parse import urlsplit

import pytest

from tests.emulator.emulator_driver import Driver

_ECHO = """
from flask import Response, jsonify

def hello(request):
    if request.args.get("stream"):
        return Response((b"x" * 1000 for _ in range(3000)), mimetype="text/plain")
    if request.args.get("big"):
        return Response(b"y" * (3 << 20), mimetype="application/octet-stream")
    if request.args.get("die"):
        def half():
            yield b"z" * 1000
            raise RuntimeError("half way")
        return Response(half(), mimetype="text/plain")
    if request.args.get("huge"):
        return Response(b"h" * ((32 << 20) + 1), mimetype="application/octet-stream")
    if request.args.get("gzip"):
        return Response(b"not gzip", headers={"Content-Encoding": "gzip"})
    answer = jsonify(
        body=request.get_data().hex() if request.args.get("hex") else "",
        path=request.environ["RAW_URI"], method=request.method, size=len(request.get_data()),
        headers={k: v for k, v in request.headers}, form=sorted(request.files),
    )
    answer.headers["X-Own"] = "kept"
    answer.headers.add("Set-Cookie", "a=1")
    answer.headers.add("Set-Cookie", "b=2")
    return answer, int(request.args.get("status", 200))
"""


@pytest.fixture(scope="module")
def echo(shared_driver: Driver) -> str:
    """URL of a function that tells what reached it."""
    return shared_driver.deploy("echo", _ECHO).uri


def _raw(
    url: str, method: str, path: str, body: bytes = b"", **headers: str
) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20)
    connection.request(method, path, body=body, headers=headers)
    answer = connection.getresponse()
    answer.body = answer.read()  # type: ignore[attr-defined]
    connection.close()
    return answer


@pytest.mark.parametrize(
    "path", ["/a%2fb/%7Ec?x=%20y&x=2", "/", "/caf%C3%A9?q=a+b", "//double/./dot"]
)
def test_path_reaches_the_function_unchanged(driver: Driver, echo: str, path: str) -> None:
    answer = _raw(echo, "GET", path)
    assert f'"path":"{path}"' in answer.body.decode().replace("\n", "")  # type: ignore[attr-defined]


def test_headers_are_those_of_the_platform(driver: Driver, echo: str) -> None:
    answer = driver.http.post(
        echo,
        data=b"12345",
        headers={"X-Mine": "1", "X-Forwarded-For": "9.9.9.9", "Connection": None},
        timeout=20,
    )
    seen = answer.json()["headers"]
    assert seen["X-Mine"] == "1"
    assert seen["X-Forwarded-Proto"] == "http"
    assert seen["X-Forwarded-For"] == "9.9.9.9,127.0.0.1"
    assert seen["Host"] == urlsplit(echo).netloc
    assert "Connection" not in seen or seen["Connection"] != "keep-alive, Upgrade"
    assert set(answer.headers) == {
        "Content-Type",
        "Content-Length",
        "Date",
        "Server",
        "Set-Cookie",
        "X-Own",
    }
    assert answer.raw.headers.getlist("Set-Cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_method_status_and_body_pass(driver: Driver, echo: str, method: str) -> None:
    answer = driver.http.request(method, f"{echo}/?status=418", data=b"abc", timeout=20)
    assert (answer.status_code, answer.json()["method"], answer.json()["size"]) == (418, method, 3)


def test_head_has_no_body(driver: Driver, echo: str) -> None:
    answer = driver.http.head(echo, timeout=20)
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 0


def test_upload_passes_with_and_without_length_and_with_expect(driver: Driver, echo: str) -> None:
    files = {"invoice_file": ("a.pdf", b"%PDF" * 1000, "application/pdf")}
    assert driver.http.post(echo, files=files, timeout=20).json()["form"] == ["invoice_file"]
    assert (
        driver.http.post(echo, data=iter([b"a" * 10, b"b" * 10]), timeout=20).json()["size"] == 20
    )
    assert b'"size":5' in _raw(echo, "POST", "/", b"12345", Expect="100-continue").body  # type: ignore[attr-defined]


def test_request_beyond_32_mib_is_413(driver: Driver, echo: str) -> None:
    limit = 32 << 20
    assert driver.http.post(echo, data=b"x" * limit, timeout=60).json()["size"] == limit
    assert driver.http.post(echo, data=b"x" * (limit + 1), timeout=60).status_code == 413
    chunks = (b"x" * (1 << 20) for _ in range(33))
    assert driver.http.post(echo, data=chunks, timeout=60).status_code == 413


def test_large_and_streamed_answers_pass_whole(driver: Driver, echo: str) -> None:
    assert driver.get(f"{echo}/?big=1").content == b"y" * (3 << 20)
    assert driver.get(f"{echo}/?stream=1").content == b"x" * 3_000_000


def test_answer_that_breaks_half_way_is_not_taken_for_whole(driver: Driver, echo: str) -> None:
    with pytest.raises(OSError, match=r"(?i)connection|incomplete|prematurely"):
        driver.get(f"{echo}/?die=1")


def test_idle_connections_lose_nothing(driver: Driver, echo: str) -> None:
    """The function's server closes a connection that was idle for 2 s: the moment to lose a request."""
    statuses: list[int] = []

    def call(delay_s: float) -> None:
        pause = threading.Event()
        for _ in range(2):
            statuses.append(driver.http.post(echo, data=b"a", timeout=20).status_code)
            pause.wait(delay_s)

    threads = [threading.Thread(target=call, args=(1.9 + i / 50,)) for i in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 20


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "deflate", "identity", "made-up"])
@pytest.mark.parametrize("content", [gzip.compress(b"rows"), b"junk"], ids=["gzip", "junk"])
def test_encoded_body_reaches_the_function_unchanged(
    driver: Driver, echo: str, encoding: str, content: bytes
) -> None:
    answer = driver.http.post(
        f"{echo}/?hex=1", data=content, headers={"Content-Encoding": encoding}, timeout=20
    )
    assert answer.ok, answer.text
    seen = answer.json()
    assert bytes.fromhex(seen["body"]) == content
    assert seen["headers"]["Content-Encoding"] == encoding
    assert seen["headers"]["Content-Length"] == str(len(content))


def test_encoded_answer_comes_back_unchanged(driver: Driver, echo: str) -> None:
    answer = _raw(echo, "GET", "/?gzip=1")
    assert answer.getheader("Content-Encoding") == "gzip"
    assert answer.body == b"not gzip"  # type: ignore[attr-defined]


def test_long_request_lines_and_headers_pass_up_to_64_kib(driver: Driver, echo: str) -> None:
    path = f"/?q={'a' * 30_000}"
    assert path in _raw(echo, "GET", path).body.decode()  # type: ignore[attr-defined]
    answer = _raw(echo, "GET", f"/?q={'a' * 60_000}", Cookie="c" * 8000)
    assert answer.status == 413


def test_answer_above_32_mib_is_refused_unless_streamed(driver: Driver, echo: str) -> None:
    answer = driver.get(f"{echo}/?huge=1")
    assert (answer.status_code, "too large" in answer.text) == (500, True)
