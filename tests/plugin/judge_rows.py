"""What code of a project does to the process that decides, when it runs in it: here it runs in another one.

Each of these once ended with something untrue: an exit status of 0, a promotion by a forked copy, a release that goes
on serving although it failed.
"""

from textwrap import dedent

from tests.plugin.false_green import (
    GATE,
    IN_PROCESS,
    INCOMPLETE,
    INTERRUPTED,
    WORKERS,
    FalseGreen,
    by_check,
)
from tests.plugin.plugin_project import SUBJECT

FAILS = {SUBJECT: "def test_subject(): assert False\n"}
LIVE = "gates/live/test_live.py"


def conftest(name: str, text: str, **more: object) -> FalseGreen:
    """A failing candidate check, and a conftest file that wants the status to be 0 all the same."""
    files = {**FAILS, "conftest.py": dedent(text)}
    settled = {"check": "failed", **more}
    return FalseGreen(name=name, files=files, **settled)  # type: ignore[arg-type]  # checked by the class


STATUSES = [
    conftest(
        "os._exit with the saved status in unconfigure",
        """
        import os
        def pytest_sessionfinish(session): session.config.saved = 0
        def pytest_unconfigure(config): os._exit(getattr(config, "saved", 0))
        """,
    ),
    conftest(
        "sys.exit(0) in unconfigure",
        """\
import sys
def pytest_unconfigure(): sys.exit(0)
""",
    ),
    conftest(
        "a clean-up of the configuration that exits",
        """\
import os
def pytest_configure(config): config.add_cleanup(lambda: os._exit(0))
""",
    ),
    conftest(
        "atexit",
        """\
import atexit, os
atexit.register(lambda: os._exit(0))
""",
    ),
    conftest(
        "a wrapper of unconfigure that exits",
        """
        import pytest
        def pytest_configure(config):
            class Last:
                @pytest.hookimpl(wrapper=True, tryfirst=True)
                def pytest_unconfigure(self):
                    yield
                    import os
                    os._exit(0)
            config.pluginmanager.register(Last())
        """,
    ),
    conftest(
        "a later wrapper of sessionfinish",
        """
        import pytest
        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_sessionfinish(session):
            yield
            session.exitstatus = 0
            session.testsfailed = 0
        """,
    ),
    conftest(
        "exec of true at the end",
        """\
import os
def pytest_unconfigure(): os.execvp('true', ['true'])
""",
    ),
    conftest(
        "_exit of the C library at the end",
        """\
import ctypes
def pytest_unconfigure(): ctypes.CDLL(None)._exit(0)
""",
    ),
    by_check(
        "exec of true in the check",
        "def test_subject(): os.execvp('true', ['true'])\n",
        check="crashed",
        reasons=(INCOMPLETE, INTERRUPTED),
        statuses=(1, 2),
    ),
    by_check(
        "_exit of the C library in the check",
        """\
import ctypes
def test_subject(): ctypes.CDLL(None)._exit(0)
""",
        check="crashed",
        reasons=(INCOMPLETE, INTERRUPTED),
        statuses=(1, 2),
    ),
]

FORKS = [
    by_check(
        "the copy that a check forked goes on, the parent fails",
        """\
def test_subject():
    assert os.fork() == 0
""",
        check="failed",
    ),
    by_check(
        "the copy of pty.fork goes on",
        """\
import pty
def test_subject():
    pid, _ = pty.fork()
    assert pid == 0
""",
        check="failed",
    ),
    by_check(
        "a fixture forks",
        "@pytest.fixture\ndef f():\n    if os.fork(): raise OSError\n    yield\n"
        "def test_subject(f): pass\n",
        check="error",
    ),
    FalseGreen(
        name="the module forks as it is imported, and the parent dies",
        files={
            SUBJECT: """\
if os.fork(): os._exit(0)
def test_subject(): pass
"""
        },
        state="REFUSED",
        reasons=(INCOMPLETE, INTERRUPTED),
        is_recorded=None,
        statuses=(1, 2),
        workers=(IN_PROCESS,),
    ),
]


def left_behind(name: str, text: str, **more: object) -> FalseGreen:
    """A live check that breaks the process it runs in, and then fails: the baseline must serve again."""
    body = f"def test_honest():\n    {text}\n    assert False\n"
    return FalseGreen(
        name=name,
        files={LIVE: body},
        node=f"{LIVE}::test_honest",
        **{"check": "failed", "reasons": (GATE,), **more},  # type: ignore[arg-type]  # checked by the class
    )


LEFT_BEHIND = [
    left_behind(
        "proxy variables",
        "os.environ['HTTP_PROXY'] = os.environ['HTTPS_PROXY'] = 'http://127.0.0.1:9'",
    ),
    left_behind("a patched requests.Session.send", "import requests; requests.Session.send = None"),
    left_behind("a patched json.loads", "import json; json.loads = json.dumps = None"),
    left_behind(
        "a patched socket", "import socket; socket.socket = socket.create_connection = None"
    ),
    left_behind("a patched open", "import builtins, io; builtins.open = io.open = os.open = None"),
    left_behind(
        "logging that is switched off", "import logging; logging.disable(logging.CRITICAL)"
    ),
    left_behind(
        "a lowered limit of open files",
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))",
        statuses=(1, 2, 3),
    ),
    left_behind("a clock that stands still", "time.monotonic = time.time = lambda: 0.0"),
    FalseGreen(
        name="all files that are open are closed",
        files={
            LIVE: """\
def test_honest():
    os.closerange(3, 256)
    assert False
"""
        },
        reasons=(GATE, INCOMPLETE, INTERRUPTED),
        statuses=(1, 2, 3),
        workers=(IN_PROCESS, WORKERS),
    ),
]

ASKS = ('asks = "nothing"\n', "")
"""A candidate gate that has to ask, as one does that says nothing of it."""
STAND_IN = """
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
import pytest
from pytest_deploygate.checks.endpoint import Endpoint
from pytest_deploygate.checks.probe import Probe

class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_): pass

@pytest.fixture
def candidate():
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Probe(Endpoint(url=f"http://127.0.0.1:{server.server_port}"))
        server.shutdown()
"""
CASSETTE = """
from io import BytesIO
import pytest
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

@pytest.fixture(autouse=True)
def recorded(monkeypatch):
    def send(self, request, **_):
        raw = HTTPResponse(BytesIO(b""), status=200, preload_content=False)
        return self.build_response(request, raw)
    monkeypatch.setattr(HTTPAdapter, "send", send)
"""
ANSWERED = "def test_subject(candidate): assert candidate.get().status == 200\n"


def asking(name: str, files: dict[str, str]) -> FalseGreen:
    """A candidate gate whose checks pass, but that hears nothing of what it judges."""
    return FalseGreen(
        name=name,
        files=files,
        settings=ASKS,
        reasons=("gate_unknown",),
        says="neither the candidate nor the verification revision answered its checks",
    )


UNASKED = [
    asking("candidate gate asks nobody", {SUBJECT: "def test_subject(): pass\n"}),
    asking(
        "overridden fixture asks a stand-in",
        {SUBJECT: ANSWERED, "gates/cand/conftest.py": STAND_IN},
    ),
    asking("cassette answers", {SUBJECT: ANSWERED, "gates/cand/conftest.py": CASSETTE}),
    asking(
        "candidate gate asks what serves",
        {SUBJECT: ANSWERED.replace("candidate", "live"), "gates/cand/conftest.py": CASSETTE},
    ),
]

CHANGES = [
    FalseGreen(
        name="readiness check rewrites a check of a later phase",
        files={
            "gates/ready/test_ready.py": f"""
                def test_honest():
                    open("{SUBJECT}", "w").write("def test_subject(): pass")
            """,
            **FAILS,
        },
        state="REFUSED",
        reasons=(INCOMPLETE,),
        says=f"{SUBJECT} changed while the session ran",
    ),
    by_check(
        "check adds a conftest file",
        "def test_subject(): open('gates/live/conftest.py', 'w').write('collect_ignore = []')\n",
        reasons=(INCOMPLETE,),
        says="gates/live/conftest.py changed while the session ran",
    ),
    by_check(
        "source is changed after it was packaged",
        "def test_subject(): open('function/main.py', 'a').write('# more')\n",
        reasons=(INCOMPLETE,),
        says="the source changed while the session ran",
    ),
    FalseGreen(
        name="live check changes the source",
        files={LIVE: "def test_honest(): open('function/main.py', 'a').write('# more')\n"},
        reasons=(INCOMPLETE,),
        says="the source changed while the session ran",
    ),
]

JUDGE_KINDS = [UNASKED, CHANGES, STATUSES, FORKS, LEFT_BEHIND]
