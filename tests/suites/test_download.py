"""The rules of downloads that need a clock or addresses of their own: the function's modules, imported."""

import contextlib
import importlib
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from tests.suites.invoice_function import FUNCTION, pdf

BOOKS = "harpercollins_NS4435067"


@pytest.fixture
def download(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The function's module ``download``."""
    monkeypatch.syspath_prepend(str(FUNCTION))
    return importlib.import_module("download")


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The function's module ``network``."""
    monkeypatch.syspath_prepend(str(FUNCTION))
    return importlib.import_module("network")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True),
        ("127.0.0.1", False),
        ("127.255.255.254", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("172.31.255.255", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("192.0.0.192", False),
        ("168.63.129.16", False),
        ("198.18.0.1", False),
        ("203.0.113.9", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("2001:db8::1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:7f00:1::", False),
        ("2001:0:7f00:1::1", False),
    ],
)
def test_only_addresses_of_the_internet_are_public(
    network: ModuleType,
    address: str,
    public: bool,
) -> None:
    assert network.is_public(ipaddress.ip_address(address)) is public


@pytest.fixture
def raw_server() -> Iterator[Callable[[bytes, bytes], str]]:
    """Starts servers that send some bytes at once and then one byte again and again until hung up on."""
    stop = threading.Event()
    listeners: list[socket.socket] = []

    def start(at_once: bytes, drip: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            with contextlib.suppress(
                OSError
            ):  # nobody came until the test was over, or who came hung up
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(at_once)
                    while drip and not stop.wait(0.02):
                        connection.sendall(drip)
                    stop.wait(20)

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/a.pdf"

    yield start
    stop.set()
    for listener in listeners:
        listener.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n"


@pytest.mark.parametrize(
    ("at_once", "drip"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        (HEAD + b"Content-Length: 100000\r\n\r\n%PDF-", b"x"),
        (HEAD + b"\r\n%PDF-", b"x"),
        (HEAD + b"\r\n%PDF-", b""),
    ],
    ids=["silent", "slow head", "slow body", "slow body without length", "stuck body"],
)
@pytest.mark.timeout(20)
def test_transfer_ends_when_its_time_is_over_however_it_dawdles(
    download: ModuleType, raw_server: Callable[[bytes, bytes], str], at_once: bytes, drip: bytes
) -> None:
    url = raw_server(at_once, drip)
    with pytest.raises(download.DownloadError) as caught:
        download.fetch_pdf(url, private_hosts=["127.0.0.1"], timeout_s=0.4)
    assert (str(caught.value), caught.value.status) == (
        "Failed to download PDF: timed out after 0 s",
        500,
    )


def test_transfer_without_a_length_is_read_to_its_end(
    download: ModuleType, raw_server: Callable[[bytes, bytes], str]
) -> None:
    content = pdf(BOOKS)
    length = f"Content-Length: {len(content)}\r\n\r\n".encode()
    url = raw_server(HEAD + length + content, b"")
    assert download.fetch_pdf(url, private_hosts=["127.0.0.1"]) == content


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:{port}", " 127.0.0.1:{port} "])
def test_private_host_is_reached_only_as_it_was_named(
    download: ModuleType, raw_server: Callable[[bytes, bytes], str], host: str
) -> None:
    content = HEAD + b"Content-Length: 4\r\n\r\nbody"
    url = raw_server(content, b"")
    port = url.split(":")[2].split("/")[0]
    assert download.fetch_pdf(url, private_hosts=[host.format(port=port)]) == b"body"
    for other in ([], [""], ["127.0.0.1:1"], ["localhost"], ["127.0.0"]):
        with pytest.raises(download.DownloadError, match="not public"):
            download.fetch_pdf(url, private_hosts=other)


def test_proxy_of_the_environment_is_not_asked(
    download: ModuleType,
    raw_server: Callable[[bytes, bytes], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proxy = raw_server(HEAD + b"Content-Length: 4\r\n\r\nbody", b"")
    monkeypatch.setenv("http_proxy", proxy.removesuffix("/a.pdf"))
    with pytest.raises(download.DownloadError, match="not public"):
        download.fetch_pdf("http://10.0.0.1/a.pdf", private_hosts=["127.0.0.1"])
