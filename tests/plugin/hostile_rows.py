"""Code of a project that strikes at the process that decides, at the channel to it, or at its own process.

Not one of these is likely, but each is one line; what counts is what anybody sees from outside.
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
    by_collection,
)
from tests.plugin.judge_rows import FAILS, LIVE, conftest, left_behind

ALONE = (IN_PROCESS,)
SHORT = ("budget-s = 60", "budget-s = 2")
"""Time for a check that does not come to an end."""
UNKNOWN = (INCOMPLETE, GATE, INTERRUPTED, "gate_unknown")


def dies(name: str, text: str, workers: tuple[int, ...] = ALONE) -> FalseGreen:
    """A check that ends its process in a place where nobody looks for it."""
    body = f"def test_subject():\n{_indented(text)}\n    time.sleep(20)\n"
    return by_check(
        name,
        body,
        check="crashed",
        reasons=(INCOMPLETE, INTERRUPTED),
        statuses=(1, 2),
        workers=workers,
    )


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in dedent(text).strip().splitlines())


ODD_ENDS = [
    dies(
        "a finaliser ends the process",
        "type('E', (), {'__del__': lambda _: os._exit(0)})()",
        (IN_PROCESS, WORKERS),
    ),
    dies(
        "the garbage collector ends the process",
        "import gc; gc.callbacks.append(lambda *_: os._exit(0)); gc.collect()",
    ),
    dies("a trace function ends the process", "sys.settrace(lambda *_: os._exit(0)); print()"),
    dies(
        "an audit hook ends the process",
        "sys.addaudithook(lambda *_: os._exit(0)); open('function/main.py').close()",
    ),
    dies(
        "a timer's signal ends the process",
        """
        import signal
        signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        """,
    ),
    dies("a thread ends the process", "threading.Timer(0, os._exit, (0,)).start()"),
    dies("segmentation fault", "import ctypes; ctypes.string_at(0)"),
    dies("abort", "os.abort()"),
    dies(
        "faulthandler ends the process",
        "import faulthandler; faulthandler.dump_traceback_later(0.01, exit=True)",
    ),
    dies(
        "a comparison ends the process",
        "assert type('E', (), {'__eq__': lambda *_: os._exit(0)})() == 1",
    ),
    conftest(
        "a hook that prints ends the process",
        """
        import os
        def pytest_report_teststatus(report):
            if report.failed: os._exit(0)
        """,
        check="",
        reasons=UNKNOWN,
        statuses=(1, 2),
        workers=ALONE,
    ),
    conftest(
        "the summary ends the process",
        """\
import os
def pytest_terminal_summary(): os._exit(0)
""",
        workers=ALONE,
    ),
    conftest(
        "a decision that ends the process",
        "import os\ndef pytest_deploygate_decide(evidence):\n"
        "    if evidence.phase.value == 'candidate': os._exit(0)\n",
        reasons=UNKNOWN,
    ),
    conftest(
        "a hook that is told the verdict ends the process",
        "import os\ndef pytest_deploygate_verdict(verdict):\n"
        "    if not verdict.holds: os._exit(0)\n",
        reasons=UNKNOWN,
    ),
    conftest(
        "a hook that is told the end ends the process",
        """\
import os
def pytest_deploygate_finished(): os._exit(0)
""",
    ),
]

STRIKES = [
    by_check(
        "check sends SIGTERM to the process that decides",
        """\
import signal
def test_subject(): os.kill(os.getppid(), signal.SIGTERM); time.sleep(20)
""",
        reasons=(INTERRUPTED, INCOMPLETE),
        statuses=(2,),
        workers=ALONE,
    ),
    by_check(
        "check sends SIGHUP to everybody",
        """\
import signal
def test_subject(): os.killpg(0, signal.SIGHUP); time.sleep(20)
""",
        reasons=(INTERRUPTED, INCOMPLETE),
        statuses=(2,),
    ),
    by_check(
        "check stops the process that decides for a while",
        """
            import signal
            def test_subject():
                os.kill(os.getppid(), signal.SIGSTOP)
                time.sleep(0.2)
                os.kill(os.getppid(), signal.SIGCONT)
                assert False
        """,
        check="failed",
        workers=ALONE,
    ),
    by_check(
        "check stops its own process",
        """\
import signal
def test_subject(): os.kill(os.getpid(), signal.SIGSTOP)
""",
        settings=SHORT,
        reasons=UNKNOWN,
        statuses=(1, 2),
        workers=ALONE,
    ),
]


def patched(name: str, text: str, **more: object) -> FalseGreen:
    """A failing check, and a conftest file that changes this package in its process."""
    return conftest(name, text, **{"workers": ALONE, **more})


PATCHES = [
    patched(
        "ledger of the session says passed",
        """
        from pytest_deploygate.core.evidence import CheckState
        from pytest_deploygate.judge.evidence_ledger import EvidenceLedger
        EvidenceLedger.state_of = lambda *_: CheckState.PASSED
        """,
    ),
    patched(
        "rules of the session are replaced",
        """
        from dataclasses import replace
        from pytest_deploygate.core import verdict
        rules = verdict.judge_phase
        verdict.judge_phase = lambda *a, **k: replace(rules(*a, **k), holds=True)
        """,
    ),
    patched(
        "opinion of the session is lenient",
        """
        from pytest_deploygate.channel.messages import Opinion
        from pytest_deploygate.session.agent import Agent
        Agent._opinion = lambda *_: Opinion(True, True, (), "")
        """,
    ),
    patched(
        "auditor is taken out",
        "def pytest_configure(config): config.pluginmanager.unregister(name='deploygate-auditor')\n",
        check="",
        state="",
        reasons=UNKNOWN,
        is_recorded=None,
        statuses=(1, 2, 3),
    ),
    patched(
        "auditor says nothing",
        """
        from pytest_deploygate.collection.outcome_audit import OutcomeAuditor
        OutcomeAuditor._tell = lambda *_: None
        """,
        check="",
        state="",
        reasons=UNKNOWN,
        statuses=(1, 2, 3),
    ),
    patched(
        "nothing is run",
        """
        from pytest_deploygate.runners.in_process import InProcessRunner
        InProcessRunner.run = lambda *_: None
        """,
        check="",
        state="",
        reasons=UNKNOWN,
    ),
    by_collection(
        "inventory is emptied",
        {
            "conftest.py": """
                from pytest_deploygate.collection.check_collector import CheckCollector
                CheckCollector.note = lambda *_: None
                CheckCollector.checks_among = lambda *_: []
            """
        },
        reasons=(*UNKNOWN, "could_not_act"),
        workers=ALONE,
        statuses=(4,),
    ),
]

STRANGER = """
import json, os, subprocess, sys
PROGRAM = '''
import json, os, socket, sys, time
judge = socket.socket(socket.AF_UNIX)
judge.connect(json.loads(os.environ["DEPLOYGATE_SESSION"])["address"])
def say(*words): judge.sendall(b"".join(json.dumps(w).encode() + bytes([10]) for w in words))
node = "gates/cand/test_subject.py::test_subject"
me = os.getpid()
'''
def stranger(text, **how): return subprocess.Popen([sys.executable, "-c", PROGRAM + text], **how)
"""


def strange(name: str, program: str, *, goes_on: bool = False, **how: object) -> FalseGreen:
    """A check that lets a program of its own speak to the judge: to its end, or while the check fails."""
    call = f"stranger({program!r})"
    body = f"{call}; time.sleep(1); assert False" if goes_on else f"assert {call}.wait() == 0"
    settled = {"reasons": (INCOMPLETE,), "workers": ALONE, **how}
    return by_check(name, dedent(STRANGER) + f"def test_subject():\n    {body}\n", **settled)


WORKER = 'say(["Hello", ["worker", me, "gw7", os.getcwd(), 0, []]]); '
FORGERIES = [
    by_check(
        "check says itself that all have passed",
        """
            from pytest_deploygate.channel.messages import Began, Passed
            from pytest_deploygate.state_keys import LINK
            def test_subject(request):
                for number in range(4):
                    request.config.stash[LINK].send(Began(number))
                    request.config.stash[LINK].send(Passed(number))
                assert False
        """,
        reasons=(INCOMPLETE,),
    ),
    strange(
        "program of a check says that it is a worker",
        WORKER
        + 'say(["Collected", [[[node, os.path.abspath("gates/cand/test_subject.py"), [], "", 0]], [], []]], '
        '["Began", [0]], ["Passed", [0]], ["Bye", [0]])',
        workers=(IN_PROCESS, WORKERS),
    ),
    strange(
        "program of a check says that it is the session",
        'say(["Hello", ["session", me, "", os.getcwd(), 0, []]], ["PhaseDone", ["candidate"]], ["Bye", [0]])',
    ),
    strange("program of a check says that it is somebody else", WORKER.replace("me", "1")),
    strange("program of a check opens the channel and says nothing", ""),
    strange("program of a check speaks nonsense", "judge.sendall(bytes([91, 10]))"),
    strange(
        "program of a check never stops speaking",
        "\nwhile True: say(*[0] * 1000)",
        goes_on=True,
        reasons=(INCOMPLETE, GATE),
        check="failed",
    ),
    strange(
        "program of a check keeps a thousand connections open",
        "a = judge.getpeername(); all = [socket.socket(socket.AF_UNIX) for _ in range(900)]; "
        "[s.connect(a) for s in all]; time.sleep(60)",
        goes_on=True,
        reasons=(INCOMPLETE, GATE),
        check="failed",
    ),
    by_check(
        "copy that a check forked speaks for its parent",
        """
            import stat
            def test_subject():
                opened = [int(fd) for fd in os.listdir("/proc/self/fd")]
                kept = []
                for fd in opened:
                    try:
                        if stat.S_ISSOCK(os.fstat(fd).st_mode): kept.append(os.dup(fd))
                    except OSError: pass
                if not (pid := os.fork()):
                    for fd in kept: os.write(fd, b'["Passed",[1]]\\n')
                    os._exit(0)
                os.waitpid(pid, 0)
                for fd in kept: os.close(fd)
        """,
        reasons=(INCOMPLETE,),
    ),
]

EXITS_IN_OURS = """\
import os, sys
if 'pytest_deploygate' in ' '.join(sys.orig_argv): os._exit(0)
"""
"""A module of the project that ends the processes of this package which load it."""
NEAR = {"PYTHONPATH": "."}


def module_named(name: str, text: str = "") -> FalseGreen:
    """A module of the project with the name of a library, on ``PYTHONPATH``."""
    files = {**FAILS, f"{name}.py": EXITS_IN_OURS + text}
    return FalseGreen(
        name=f"module of the project named {name}",
        files=files,
        env=NEAR,
        check="failed",
        workers=ALONE,
    )


EVIL = """\
import os
def pytest_unconfigure(): os._exit(0)
"""
SURROUNDINGS = [
    module_named("sitecustomize"),
    module_named("usercustomize"),
    module_named("sqlite3"),
    module_named("simplejson"),
    module_named("requests"),
    module_named("google"),
    FalseGreen(
        name="plugin of -p that ends the process at the end",
        files={**FAILS, "evil.py": EVIL},
        args=("-p", "evil"),
        check="failed",
    ),
    FalseGreen(
        name="plugin of addopts that ends the process at the end",
        files={**FAILS, "evil.py": EVIL},
        settings=('["--import-mode=importlib"]', '["--import-mode=importlib", "-pevil"]'),
        check="failed",
        workers=ALONE,
    ),
    FalseGreen(
        name="plugin of -p that says what the status is",
        files={
            **FAILS,
            "evil.py": """
                import os, pytest
                os.environ["DEPLOYGATE_STATE"] = "sqlite:///elsewhere.db"
                @pytest.hookimpl(wrapper=True)
                def pytest_cmdline_main():
                    yield
                    return 0
            """,
        },
        args=("-p", "evil"),
        env={"PYTHONUTF8": "1"},
        check="failed",
        workers=ALONE,
    ),
    FalseGreen(
        name="plugin of PYTEST_PLUGINS that ends the process at the end",
        files={**FAILS, "evil.py": EVIL},
        env={"PYTEST_PLUGINS": "evil"},
        check="failed",
        workers=ALONE,
    ),
    FalseGreen(
        name="variable of the session is nonsense",
        files=FAILS,
        env={"DEPLOYGATE_SESSION": "nonsense"},
        check="failed",
        workers=ALONE,
    ),
    FalseGreen(
        name="variable of the session is taken away from workers",
        files={
            "conftest.py": """\
import os
os.environ.pop('DEPLOYGATE_SESSION', None)
"""
        },
        state="",
        is_recorded=None,
        reasons=(*UNKNOWN, "could_not_act"),
        statuses=(1, 2, 3, 4),
        workers=(WORKERS,),
    ),
    FalseGreen(
        name="interpreter of workers is another program",
        files={
            "conftest.py": """\
import sys
sys.executable = '/bin/true'
""",
            **FAILS,
        },
        state="",
        is_recorded=None,
        reasons=(*UNKNOWN, "could_not_act"),
        statuses=(1, 2, 3, 4),
        workers=(WORKERS,),
    ),
]

FILES = [
    by_check(
        "check writes a green JUnit file",
        """\
def test_subject():
    open('junit.xml', 'w').write('<testsuites/>')
    assert False
""",
        check="failed",
    ),
    conftest(
        "session writes nonsense as its JUnit file",
        "def pytest_configure(config): config.place = config.option.xmlpath\n"
        "def pytest_unconfigure(config): open(config.place, 'w').write('<x')\n",
        workers=ALONE,
    ),
    conftest(
        "session writes the verdict into its JUnit file",
        """
        FORGED = '''<testsuites><testsuite name="pytest"><properties>
        <property name="deploygate.verdict" value="PROMOTE"/></properties>
        <testcase classname="deploygate" name="verdict"/></testsuite><testsuite><properties>
        <property name="deploygate.state" value="PROMOTED"/></properties></testsuite></testsuites>'''
        def pytest_configure(config): config.place = config.option.xmlpath
        def pytest_unconfigure(config): open(config.place, 'w').write(FORGED)
        """,
        workers=ALONE,
    ),
    left_behind(
        "another working directory and no permissions for files",
        "os.chdir('/'); os.umask(0o777)",
        workers=ALONE,
    ),
]


def breaks(name: str, text: str) -> FalseGreen:
    """A live check after which its process can hardly go on."""
    return left_behind(name, text, check="", reasons=UNKNOWN, statuses=(1, 2, 3), workers=ALONE)


LIMITS = [
    left_behind(
        "no file may grow",
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))",
        check="",
        reasons=UNKNOWN,
        statuses=(1, 3),
        workers=ALONE,
    ),
    left_behind(
        "no process may be started",
        "import resource; resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))",
        workers=ALONE,
    ),
    left_behind("variables are cleared", "os.environ.clear()", workers=ALONE),
    left_behind(
        "signals are ignored",
        "import signal; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]",
        workers=ALONE,
    ),
    breaks("a trace function raises", "sys.settrace(lambda *_: 1 / 0)"),
    breaks("everything is an instance", "import builtins; builtins.isinstance = lambda *_: True"),
    breaks("nothing can be imported", "import builtins; builtins.__import__ = None"),
    breaks("no module is loaded", "sys.modules.clear()"),
    breaks("standard output is closed", "os.close(1); os.close(2)"),
]


def record_spoiled(name: str, text: str) -> FalseGreen:
    """A live check that fails, and strikes at the file of the record."""
    return FalseGreen(
        name=name,
        files={LIVE: f"def test_honest():\n{_indented(text)}\n    assert False\n"},
        reasons=UNKNOWN,
        workers=ALONE,
    )


RECORDS = [
    record_spoiled(
        "check writes into the record that the release was promoted",
        """
        import sqlite3
        db = sqlite3.connect(".deploygate/state.db")
        db.execute("update deploygate_rollouts set state = 'PROMOTED'")
        db.commit()
        db.close()
        """,
    ),
    record_spoiled(
        "check reads the record and goes on reading",
        """
        import sqlite3
        global db
        db = sqlite3.connect(".deploygate/state.db", isolation_level=None)
        db.execute("begin")
        db.execute("select * from deploygate_rollouts").fetchone()
        """,
    ),
]

HOSTILE_KINDS = [ODD_ENDS, STRIKES, PATCHES, FORGERIES, SURROUNDINGS, FILES, LIMITS, RECORDS]
