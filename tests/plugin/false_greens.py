"""Ways in which a pytest session looks better than it was: one entry each, with what must come of it."""

from tests.plugin.false_green import (
    GATE,
    IMPORTS,
    IN_PROCESS,
    INCOMPLETE,
    INTERRUPTED,
    REFUSED_BY_RULE,
    WORKERS,
    FalseGreen,
    by_check,
    by_collection,
)
from tests.plugin.forged_reports import FORGED
from tests.plugin.hostile_rows import HOSTILE_KINDS
from tests.plugin.judge_rows import JUDGE_KINDS
from tests.plugin.plugin_project import SUBJECT
from tests.plugin.silent_rows import SILENT

SKIPS = [
    by_check(
        "skip mark",
        """
            @pytest.mark.skip
            def test_subject():
                pass
        """,
        check="skipped",
    ),
    by_check(
        "skipif",
        """
            @pytest.mark.skipif(True, reason="x")
            def test_subject():
                pass
        """,
        check="skipped",
    ),
    by_check(
        "skip in a fixture",
        """
            @pytest.fixture
            def f():
                pytest.skip("x")


            def test_subject(f):
                pass
        """,
        check="skipped",
    ),
    by_check(
        "skip in the check",
        """
            def test_subject():
                pytest.skip("x")
        """,
        check="skipped",
    ),
    by_check(
        "skip in teardown",
        """
            @pytest.fixture
            def f():
                yield
                pytest.skip("x")


            def test_subject(f):
                pass
        """,
        check="skipped",
    ),
    by_check(
        "unittest skip",
        """
            @unittest.skip("x")
            def test_subject():
                pass
        """,
        check="skipped",
    ),
    by_check(
        "empty parametrize",
        """
            @pytest.mark.parametrize("vendor", [])
            def test_subject(vendor):
                pass
        """,
        check="skipped",
        node=f"{SUBJECT}::test_subject[NOTSET]",
    ),
    by_collection(
        "module skip",
        {
            SUBJECT: """
                pytest.skip("x", allow_module_level=True)


                def test_subject():
                    pass
            """
        },
    ),
    by_collection(
        "importorskip",
        {
            SUBJECT: """
            pytest.importorskip("no_such_module")


            def test_subject():
                pass
        """
        },
    ),
    FalseGreen(
        name="skip in readiness",
        files={
            "gates/ready/test_ready.py": """
                @pytest.mark.skip
                def test_honest():
                    pass
            """
        },
        state="REFUSED",
        reasons=("gate_unknown",),
        check="skipped",
        node="gates/ready/test_ready.py::test_honest",
    ),
    FalseGreen(
        name="skip after promotion",
        files={
            "gates/live/test_live.py": """
            @pytest.mark.skip
            def test_honest():
                pass
        """
        },
        reasons=("gate_unknown",),
        check="skipped",
        node="gates/live/test_live.py::test_honest",
    ),
]

EXPECTED_FAILURES = [
    by_check(
        "xfail",
        """
            @pytest.mark.xfail
            def test_subject():
                assert False
        """,
        check="xfailed",
    ),
    by_check(
        "xfail that does not run",
        """
            @pytest.mark.xfail(run=False)
            def test_subject():
                assert False
        """,
        check="xfailed",
    ),
    by_check(
        "xfail in the check",
        """
            def test_subject():
                pytest.xfail("no net")
        """,
        check="xfailed",
    ),
    by_check(
        "xfail in setup",
        """
            @pytest.fixture
            def f():
                pytest.xfail("no net")


            def test_subject(f):
                pass
        """,
        check="xfailed",
    ),
    by_check(
        "xfail in teardown",
        """
            @pytest.fixture
            def f():
                yield
                pytest.xfail("x")


            def test_subject(f):
                pass
        """,
        check="xfailed",
    ),
    by_check(
        "xpass",
        """
            @pytest.mark.xfail(strict=False)
            def test_subject():
                pass
        """,
        check="xpassed",
    ),
    by_check(
        "strict xpass",
        """
            @pytest.mark.xfail(strict=True)
            def test_subject():
                pass
        """,
        check="failed",
    ),
]

FIXTURES = [
    by_check(
        "setup error",
        """
            @pytest.fixture
            def f():
                raise OSError


            def test_subject(f):
                pass
        """,
        check="error",
    ),
    by_check(
        "teardown error",
        """
            @pytest.fixture
            def f():
                yield
                raise OSError


            def test_subject(f):
                pass
        """,
        check="error",
    ),
    by_check(
        "teardown error of a session fixture",
        """
            @pytest.fixture(scope="session")
            def f():
                yield
                raise OSError


            def test_subject(f):
                pass
        """,
        check="error",
    ),
]

SUBTESTS = [
    by_check(
        "subtest fails",
        """
            def test_subject(subtests):
                for i in range(3):
                    with subtests.test(i=i):
                        assert i != 1
        """,
        check="failed",
    ),
    by_check(
        "all subtests skip",
        """
            def test_subject(subtests):
                for i in range(3):
                    with subtests.test(i=i):
                        pytest.skip("x")
        """,
        check="skipped",
    ),
    by_check(
        "unittest subtest fails",
        """
            class TestSubject(unittest.TestCase):
                def test_subject(self):
                    for i in range(3):
                        with self.subTest(i=i):
                            self.assertNotEqual(i, 1)
        """,
        check="failed",
        node=f"{SUBJECT}::TestSubject::test_subject",
    ),
    by_check(
        "subtest is expected to fail",
        """
            def test_subject(subtests):
                with subtests.test():
                    pytest.xfail("x")
        """,
        check="xfailed",
    ),
    by_check(
        "unittest subtest skips",
        """
            class TestSubject(unittest.TestCase):
                def test_subject(self):
                    for i in range(3):
                        with self.subTest(i=i):
                            self.skipTest("x")
        """,
        check="skipped",
        node=f"{SUBJECT}::TestSubject::test_subject",
    ),
]

RERUNS = [
    by_check(
        "rerun passes",
        """
            from pathlib import Path


            @pytest.mark.flaky(reruns=2)
            def test_subject():
                seen = Path("seen")
                is_second = seen.exists()
                seen.touch()
                assert is_second
        """,
        check="flaky",
        needs="pytest_rerunfailures",
    ),
    FalseGreen(
        name="flaky plugin hides the attempt that failed",
        files={
            "gates/cand/conftest.py": (
                """
                    from _pytest.runner import runtestprotocol


                    def pytest_runtest_protocol(item, nextitem):
                        if item.name != "test_subject":
                            return None
                        for attempt in (1, 2):
                            for report in runtestprotocol(item, nextitem=nextitem, log=False):
                                if attempt == 2 or report.when != "call":
                                    item.ihook.pytest_runtest_logreport(report=report)
                        return True
                """
            )
        },
        check="flaky",
    ),
]

NO_WORKER = "no worker of pytest-xdist collected anything: each of them died as it started"
DEATHS = [
    by_check(
        "os._exit(0) in the check",
        """
            def test_subject():
                os._exit(0)
        """,
        check="crashed",
        reasons=(INCOMPLETE, INTERRUPTED),
    ),
    by_check(
        "os._exit(0) in teardown",
        """
            @pytest.fixture
            def f():
                yield
                os._exit(0)


            def test_subject(f):
                pass
        """,
        check="crashed",
        reasons=(INCOMPLETE, INTERRUPTED),
    ),
    by_check(
        "worker is killed",
        """
            import signal


            def test_subject():
                os.kill(os.getpid(), signal.SIGKILL)
        """,
        check="crashed",
        reasons=(INCOMPLETE,),
        workers=(WORKERS,),
    ),
    by_check(
        "worker dies and is not replaced",
        """
            @pytest.mark.parametrize("i", range(6))
            def test_more(i):
                pass


            def test_subject():
                os._exit(0)
        """,
        args=("--max-worker-restart=0",),
        check="crashed",
        reasons=(INCOMPLETE, INTERRUPTED),
        statuses=(1, 2),
        workers=(WORKERS,),
    ),
    FalseGreen(
        name="os._exit(0) at session end",
        files={
            "gates/cand/conftest.py": """
            import os


            def pytest_sessionfinish():
                os._exit(0)
        """
        },
        reasons=(INCOMPLETE, INTERRUPTED),
        state="",
        workers=(WORKERS,),
    ),
    by_collection(
        "os._exit(0) while collecting",
        {SUBJECT: f"{IMPORTS}os._exit(0)\n"},
        is_recorded=False,
        workers=(IN_PROCESS,),
    ),
    by_collection(
        "workers die while collecting",
        {SUBJECT: f"{IMPORTS}os._exit(0)\n"},
        is_recorded=False,
        workers=(WORKERS,),
        says=NO_WORKER,
    ),
    by_collection(
        "workers die as they start",
        {
            "conftest.py": """
            import os

            if "PYTEST_XDIST_WORKER" in os.environ:
                os._exit(3)
        """
        },
        says=NO_WORKER,
        is_recorded=False,
        workers=(WORKERS,),
    ),
    by_check(
        "pytest.exit(returncode=0) in the check",
        """
            def test_subject():
                pytest.exit("x", returncode=0)
        """,
        check="not_run",
        reasons=(INTERRUPTED,),
        statuses=(1, 3),
    ),
    by_check(
        "pytest.exit(returncode=0) in teardown",
        """
            @pytest.fixture
            def f():
                yield
                pytest.exit("x", returncode=0)


            def test_subject(f):
                pass
        """,
        check="not_run",
        reasons=(INTERRUPTED,),
        statuses=(1, 3),
    ),
    by_check(
        "pytest.exit(returncode=11)",
        """
            def test_subject():
                pytest.exit("x", returncode=11)
        """,
        check="not_run",
        reasons=(INTERRUPTED,),
        workers=(IN_PROCESS,),
    ),
    by_collection(
        "pytest.exit(returncode=0) as pytest starts",
        {
            "conftest.py": """
                import pytest


                def pytest_sessionstart():
                    pytest.exit("x", returncode=0)
            """
        },
        is_recorded=False,
    ),
    by_collection(
        "pytest.exit(returncode=0) in configure",
        {
            "conftest.py": """
            import pytest


            def pytest_configure():
                pytest.exit("x", returncode=0)
        """
        },
        is_recorded=False,
    ),
    by_collection(
        "pytest.exit(returncode=0) in collection",
        {
            "gates/cand/conftest.py": """
                import pytest


                def pytest_collection_finish():
                    pytest.exit("x", returncode=0)
            """
        },
        statuses=(1, 3),
        reasons=(INCOMPLETE, INTERRUPTED),
    ),
    by_check(
        "KeyboardInterrupt in the check",
        """
            def test_subject():
                raise KeyboardInterrupt
        """,
        checks=("not_run", "crashed"),
        reasons=(INTERRUPTED,),
        statuses=(2,),
    ),
    by_check(
        "SystemExit in the check",
        """
            def test_subject():
                sys.exit(0)
        """,
        check="failed",
    ),
    by_check(
        "GeneratorExit in the check",
        """
            def test_subject():
                raise GeneratorExit
        """,
        check="failed",
    ),
    by_check(
        "BrokenPipeError in the check",
        """
            def test_subject():
                raise BrokenPipeError
        """,
        check="failed",
    ),
]

SHORT = ("budget-s = 60", "budget-s = 3")
TIMES = [
    by_check(
        "check hangs, timeout by signal",
        """
            @pytest.mark.timeout(1, method="signal")
            def test_subject():
                while True:
                    time.sleep(0.1)
        """,
        check="failed",
    ),
    by_check(
        "check hangs, timeout by thread",
        """
            @pytest.mark.timeout(1, method="thread")
            def test_subject():
                while True:
                    time.sleep(0.1)
        """,
        check="crashed",
        reasons=(INCOMPLETE, INTERRUPTED),
        workers=(WORKERS,),
    ),
    by_check(
        "check hangs, timeout by thread in the deciding process",
        """
            @pytest.mark.timeout(1, method="thread")
            def test_subject():
                while True:
                    time.sleep(0.1)
        """,
        settings=SHORT,
        checks=("error", "failed", "not_run", "crashed"),
        reasons=(INCOMPLETE, INTERRUPTED),
        workers=(IN_PROCESS,),
    ),
    by_check(
        "phase never ends",
        """
            def test_subject():
                while True:
                    time.sleep(0.1)
        """,
        settings=SHORT,
        checks=("failed", "crashed", "not_run"),
        reasons=(INCOMPLETE,),
    ),
    by_check(
        "phase never ends and swallows everything",
        """
            def test_subject():
                for _ in range(2):
                    try:
                        while True:
                            time.sleep(0.1)
                    except BaseException:
                        pass
        """,
        settings=SHORT,
        checks=("", "failed", "crashed", "not_run"),
        reasons=(INCOMPLETE,),
    ),
    by_check(
        "session timeout",
        """
            def test_subject():
                time.sleep(1)


            def test_more():
                pass
        """,
        args=("--session-timeout=0.5",),
        reasons=(INTERRUPTED, INCOMPLETE),
        statuses=(1, 2),
        state="",
    ),
]

SILENCED = "@pytest.mark.filterwarnings('ignore')\n"
RAISES_IN_THREAD = (
    "def test_subject():\n    def fail(): raise OSError\n"
    "    t = threading.Thread(target=fail)\n    t.start()\n    t.join()\n"
)
IGNORES = "    warnings.simplefilter('ignore')\n"
QUIET_PASSES = [
    by_check(
        "returns False",
        """
        def test_subject():
            return False
    """,
        check="failed",
    ),
    by_check(
        "returns False, warnings silenced",
        f"{IMPORTS}{SILENCED}def test_subject(): return False\n",
        check="failed",
    ),
    by_check(
        "returns False, warnings silenced inside",
        f"{IMPORTS}def test_subject():\n{IGNORES}    return False\n",
        check="failed",
        workers=(IN_PROCESS,),
    ),
    by_check(
        "method of unittest returns False",
        f"{IMPORTS}{SILENCED}class TestSubject(unittest.TestCase):\n    def test_subject(self): return False\n",
        check="failed",
        node=f"{SUBJECT}::TestSubject::test_subject",
    ),
    by_collection(
        "assertion of a tuple",
        {
            SUBJECT: """
            def test_subject():
                assert (False, "x")
        """
        },
        statuses=(4,),
    ),
    by_collection(
        "assertion of a tuple, compiled before",
        {
            SUBJECT: f"{IMPORTS}{SILENCED}def test_subject():\n    assert (\n        False,\n        'x'\n    )\n"
        },
        workers=(IN_PROCESS,),
        statuses=(4,),
    ),
    by_check(
        "exception in a thread",
        f"{IMPORTS}{RAISES_IN_THREAD}",
        check="error",
        checks=("error", "failed"),
    ),
    by_check(
        "exception in a thread, warnings silenced",
        f"{IMPORTS}{SILENCED}{RAISES_IN_THREAD}",
        checks=("error", "failed"),
    ),
    by_check(
        "exception in a thread, warnings silenced inside",
        f"{IMPORTS}{RAISES_IN_THREAD}{IGNORES}",
        checks=("error", "failed"),
        workers=(IN_PROCESS,),
    ),
    by_check(
        "exception in a finaliser, warnings silenced",
        f"{IMPORTS}class Odd:\n    def __del__(self): raise OSError\n"
        f"{SILENCED}def test_subject():\n    odd = Odd()\n    del odd\n",
        checks=("error", "failed"),
    ),
    by_check(
        "coroutine that nobody runs",
        """
            async def test_subject():
                assert False
        """,
        check="failed",
    ),
]

MISSING = [
    by_collection(
        "nothing is collected",
        dict.fromkeys(
            (
                "gates/ready/test_ready.py",
                "gates/cand/test_honest.py",
                SUBJECT,
                "gates/live/test_live.py",
            ),
            "def nothing(): pass\n",
        ),
        is_recorded=False,
        statuses=(1, 4),
    ),
    by_collection(
        "path of a gate does not exist",
        {},
        settings=('paths = ["gates/cand"]', 'paths = ["gates/none"]'),
        is_recorded=False,
        statuses=(4,),
    ),
    by_collection(
        "name without the prefix",
        {
            SUBJECT: """
            class Subject:
                def test_subject(self):
                    assert False
        """
        },
    ),
    by_collection(
        "marker of a gate is misspelt",
        {
            "gates/cand/test_honest.py": """
                @pytest.mark.smoke
                def test_honest():
                    pass
            """,
            SUBJECT: """
                @pytest.mark.smok
                def test_subject():
                    assert False
            """,
        },
        settings=('paths = ["gates/cand"]', 'marker = "smoke"\npaths = ["gates/cand"]'),
        is_recorded=False,
        reasons=(REFUSED_BY_RULE,),
        statuses=(4,),
    ),
    by_collection(
        "import error",
        {
            SUBJECT: """
        import no_such_module


        def test_subject():
            pass
    """
        },
        statuses=(4,),
    ),
    by_collection("syntax error", {SUBJECT: "def test_subject(: pass\n"}, statuses=(4,)),
    by_collection(
        "two files of one name",
        {
            "gates/live/test_subject.py": """
            def test_other():
                pass
        """
        },
        settings=("--import-mode=importlib", "--import-mode=prepend"),
        statuses=(4,),
    ),
    by_collection(
        "check that yields",
        {
            SUBJECT: """
        def test_subject():
            yield
    """
        },
        statuses=(4,),
    ),
    by_collection(
        "check is gone",
        {
            SUBJECT: """
        def subject():
            pass
    """
        },
    ),
    by_collection(
        "check is shadowed",
        {
            SUBJECT: """
            def test_subject():
                assert False


            def test_subject():
                pass
        """
        },
    ),
    by_collection(
        "collect_ignore", {"gates/cand/conftest.py": "collect_ignore = ['test_subject.py']\n"}
    ),
    by_collection(
        "pytest_ignore_collect",
        {
            "gates/cand/conftest.py": """
                def pytest_ignore_collect(collection_path):
                    return collection_path.name == "test_subject.py" or None
            """
        },
    ),
    by_collection(
        "__test__ = False",
        {
            SUBJECT: """
            class TestSubject:
                __test__ = False

                def test_subject(self):
                    pass
        """
        },
    ),
    by_collection(
        "class with a constructor",
        {
            SUBJECT: """
                class TestSubject:
                    def __init__(self):
                        pass

                    def test_subject(self):
                        pass
            """
        },
    ),
    by_collection(
        "conftest drops checks",
        {
            "gates/cand/conftest.py": """
                def pytest_collection_modifyitems(items):
                    items[:] = [i for i in items if i.name != "test_subject"]
            """
        },
    ),
    FalseGreen(
        name="conftest drops checks behind everybody's back",
        files={
            "gates/cand/conftest.py": """
                import pytest


                @pytest.hookimpl(wrapper=True, tryfirst=True)
                def pytest_collection_modifyitems(items):
                    result = yield
                    items[:] = [i for i in items if i.name != "test_subject"]
                    return result
            """
        },
        reasons=(GATE, INCOMPLETE),
        checks=("not_run", ""),
        state="",
    ),
    FalseGreen(
        name="workers collect different checks",
        files={
            SUBJECT: """
                @pytest.mark.parametrize("pid", [os.getpid()])
                def test_subject(pid):
                    pass
            """
        },
        state="REFUSED",
        reasons=(INCOMPLETE,),
        is_recorded=False,
        workers=(WORKERS,),
    ),
    FalseGreen(
        name="gate is empty",
        files={
            "gates/live/test_live.py": """
            def nothing():
                pass
        """
        },
        state="REFUSED",
        reasons=(REFUSED_BY_RULE, INCOMPLETE),
        statuses=(1, 4),
        is_recorded=False,
    ),
]

TAMPERING = [
    FalseGreen(
        name="conftest runs nothing",
        files={
            "gates/cand/conftest.py": """
                import pytest


                @pytest.hookimpl(tryfirst=True)
                def pytest_runtestloop():
                    return True
            """
        },
        state="REFUSED",
        reasons=(INTERRUPTED,),
        is_recorded=False,
        workers=(IN_PROCESS,),
    ),
    FalseGreen(
        name="conftest runs nothing in the workers",
        files={
            "gates/cand/conftest.py": """
                import pytest


                @pytest.hookimpl(tryfirst=True)
                def pytest_runtestloop():
                    return True
            """
        },
        reasons=("gate_unknown", INCOMPLETE, INTERRUPTED),
        state="REFUSED",
        statuses=(1, 3),
        workers=(WORKERS,),
    ),
    FalseGreen(
        name="check stops the session",
        files={
            "gates/cand/test_a.py": """
                def test_a(request):
                    request.session.shouldstop = "enough"
            """,
            SUBJECT: """
                def test_subject():
                    assert False
            """,
        },
        reasons=(INTERRUPTED, INCOMPLETE),
        statuses=(1, 2),
    ),
    FalseGreen(
        name="conftest tells the terminal another word",
        files={
            SUBJECT: """
                def test_subject():
                    assert False
            """,
            "conftest.py": """
                def pytest_report_teststatus():
                    return "passed", ".", "PASSED"
            """,
        },
        check="failed",
    ),
    FalseGreen(
        name="conftest ends the process as it is imported",
        files={
            "conftest.py": """
            import os

            os._exit(0)
        """
        },
        is_recorded=False,
    ),
    FalseGreen(
        name="conftest sets the exit status",
        files={
            SUBJECT: """
                def test_subject():
                    assert False
            """,
            "conftest.py": """
                def pytest_sessionfinish(session):
                    session.exitstatus = 0
            """,
        },
        check="failed",
    ),
    FalseGreen(
        name="conftest raises at session end",
        files={
            SUBJECT: """
                def test_subject():
                    assert False
            """,
            "conftest.py": """
                import os


                def pytest_sessionfinish():
                    if "PYTEST_XDIST_WORKER" not in os.environ:
                        raise OSError
            """,
        },
        check="failed",
    ),
    FalseGreen(
        name="warnings are too many",
        files={
            SUBJECT: """
                import warnings


                def test_subject():
                    warnings.warn("x")
                    assert False
            """
        },
        args=("--max-warnings=0",),
        check="failed",
        statuses=(1, 6),
        needs="pytest 9",
    ),
    FalseGreen(
        name="large gate beside a small one",
        files={
            "gates/ready/test_many.py": """
                @pytest.mark.parametrize("i", range(200))
                def test_many(i):
                    pass
            """,
            SUBJECT: """
                def test_subject():
                    assert False
            """,
        },
        check="failed",
        workers=(IN_PROCESS,),
    ),
]

KINDS: list[list[FalseGreen]] = [
    SKIPS, EXPECTED_FAILURES, FIXTURES, SUBTESTS, RERUNS, DEATHS, TIMES, QUIET_PASSES, MISSING, TAMPERING, FORGED,
    *JUDGE_KINDS, SILENT, *HOSTILE_KINDS,
]  # fmt: skip
FALSE_GREENS = [case for kind in KINDS for case in kind]
