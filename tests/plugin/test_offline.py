"""Modules of suites do no I/O when they are imported: the network is refused while checks are collected."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from pytest_deploygate.testing import DeploygateProject
from tests.loopback_server import LoopbackServer, Reply, serving
from tests.plugin.plugin_project import REPOSITORY, SUBJECT

ASKS = """\
import urllib.request
{}
def test_subject():
    assert True
"""
TRIES = {
    "at import": "urllib.request.urlopen({!r}, timeout=5)",
    "whatever is caught": "try:\n    urllib.request.urlopen({!r}, timeout=5)\nexcept BaseException:\n    pass",
    "by the module in C": (
        "import _socket, urllib.parse\n"
        "url = urllib.parse.urlsplit({!r})\n"
        "try:\n"
        "    s = _socket.socket()\n"
        "    s.connect((url.hostname, url.port))\n"
        "    s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')\n"
        "    s.recv(1)\n"
        "except BaseException:\n"
        "    pass"
    ),
    "by asyncio": (
        "import asyncio, urllib.parse\n"
        "url = urllib.parse.urlsplit({!r})\n"
        "async def ask():\n"
        "    reader, writer = await asyncio.open_connection(url.hostname, url.port)\n"
        "    writer.write(b'GET / HTTP/1.0\\r\\n\\r\\n')\n"
        "    await reader.read(1)\n"
        "    writer.close()\n"
        "try:\n"
        "    asyncio.run(ask())\n"
        "except BaseException:\n"
        "    pass"
    ),
    "in a thread": (
        "import threading\n"
        "t = threading.Thread(target=lambda: urllib.request.urlopen({!r}, timeout=5))\nt.start()\nt.join()"
    ),
}


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """Something that a module could reach."""
    with serving() as start:
        yield start(lambda _: Reply())


@pytest.mark.parametrize("workers", [0, 1])
def test_module_that_asks_at_import_is_refused_and_asks_nobody(
    project: DeploygateProject, server: LoopbackServer, workers: int
) -> None:
    platform = project.platform_digest()
    project.write({SUBJECT: ASKS.format(TRIES["at import"].format(server.url))})
    run = project.deploy(workers=workers)
    assert run.status != 0, run.output
    if not workers:  # of what a worker could not collect the controller shows the count alone
        assert "importing a module of a suite may not use the network" in run.output
    assert server.asked == []
    assert project.platform_digest() == platform


@pytest.mark.parametrize("way", [way for way in TRIES if way != "at import"])
def test_module_that_hides_its_asking_asks_nobody(
    project: DeploygateProject, server: LoopbackServer, way: str
) -> None:
    project.write({SUBJECT: ASKS.format(TRIES[way].format(server.url))})
    project.deploy()
    assert server.asked == []


def test_check_may_ask(project: DeploygateProject, server: LoopbackServer) -> None:
    check = f"def test_subject():\n    assert urllib.request.urlopen({server.url!r}, timeout=5)\n"
    run = project.write({SUBJECT: f"import urllib.request\n{check}"}).deploy()
    assert run.status == 0, run.output
    assert len(server.asked) == 1


@pytest.mark.skipif(
    pytest.version_tuple < (9,),
    reason="strict_markers and strict_config, which this repository sets, are unknown to pytest 8",
)
def test_suites_of_this_repository_are_collected_without_network() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.plugin.offline_only",
            "-p",
            "no:deploygate",
            "--collect-only",
            "-q",
            "suites",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "error" not in done.stdout.splitlines()[-1]
