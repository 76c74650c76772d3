"""Ways in which a pytest session looks better than it was: one entry each, with what must come of it."""

from tests.plugin.false_green import (
    GATE,
    IMPORTS,
    IN_PROCESS,
    INCOMPLETE,
    INTERRUPTED,
    REFUSED_BY_RULE,
    WORKERS,
    Lie,
    told,
    whole,
)
from tests.plugin.forged_reports import FORGED
from tests.plugin.judge_rows import JUDGE_ROWS
from tests.plugin.plugin_project import LIE

SKIPS = [
    told("skip mark", f"{IMPORTS}@pytest.mark.skip\ndef test_lie(): pass\n", check="skipped"),
    told(
        "skipif",
        f"{IMPORTS}@pytest.mark.skipif(True, reason='x')\ndef test_lie(): pass\n",
        check="skipped",
    ),
    told(
        "skip in a fixture",
        f"{IMPORTS}@pytest.fixture\ndef f(): pytest.skip('x')\ndef test_lie(f): pass\n",
        check="skipped",
    ),
    told("skip in the check", f"{IMPORTS}def test_lie(): pytest.skip('x')\n", check="skipped"),
    told(
        "skip in teardown",
        f"{IMPORTS}@pytest.fixture\ndef f():\n    yield\n    pytest.skip('x')\ndef test_lie(f): pass\n",
        check="skipped",
    ),
    told("unittest skip", f"{IMPORTS}@unittest.skip('x')\ndef test_lie(): pass\n", check="skipped"),
    told(
        "empty parametrize",
        f"{IMPORTS}@pytest.mark.parametrize('vendor', [])\ndef test_lie(vendor): pass\n",
        check="skipped",
        node=f"{LIE}::test_lie[NOTSET]",
    ),
    whole(
        "module skip",
        {LIE: f"{IMPORTS}pytest.skip('x', allow_module_level=True)\ndef test_lie(): pass\n"},
    ),
    whole(
        "importorskip",
        {LIE: f"{IMPORTS}pytest.importorskip('no_such_module')\ndef test_lie(): pass\n"},
    ),
    Lie(
        name="skip in readiness",
        files={
            "gates/ready/test_ready.py": f"{IMPORTS}@pytest.mark.skip\ndef test_honest(): pass\n"
        },
        state="REFUSED",
        reasons=("gate_unknown",),
        check="skipped",
        node="gates/ready/test_ready.py::test_honest",
    ),
    Lie(
        name="skip after promotion",
        files={"gates/live/test_live.py": f"{IMPORTS}@pytest.mark.skip\ndef test_honest(): pass\n"},
        reasons=("gate_unknown",),
        check="skipped",
        node="gates/live/test_live.py::test_honest",
    ),
]

EXPECTED_FAILURES = [
    told("xfail", f"{IMPORTS}@pytest.mark.xfail\ndef test_lie(): assert False\n", check="xfailed"),
    told(
        "xfail that does not run",
        f"{IMPORTS}@pytest.mark.xfail(run=False)\ndef test_lie(): assert False\n",
        check="xfailed",
    ),
    told(
        "xfail in the check", f"{IMPORTS}def test_lie(): pytest.xfail('no net')\n", check="xfailed"
    ),
    told(
        "xfail in setup",
        f"{IMPORTS}@pytest.fixture\ndef f(): pytest.xfail('no net')\ndef test_lie(f): pass\n",
        check="xfailed",
    ),
    told(
        "xfail in teardown",
        f"{IMPORTS}@pytest.fixture\ndef f():\n    yield\n    pytest.xfail('x')\ndef test_lie(f): pass\n",
        check="xfailed",
    ),
    told(
        "xpass",
        f"{IMPORTS}@pytest.mark.xfail(strict=False)\ndef test_lie(): pass\n",
        check="xpassed",
    ),
    told(
        "strict xpass",
        f"{IMPORTS}@pytest.mark.xfail(strict=True)\ndef test_lie(): pass\n",
        check="failed",
    ),
]

FIXTURES = [
    told(
        "setup error",
        f"{IMPORTS}@pytest.fixture\ndef f(): raise OSError\ndef test_lie(f): pass\n",
        check="error",
    ),
    told(
        "teardown error",
        f"{IMPORTS}@pytest.fixture\ndef f():\n    yield\n    raise OSError\ndef test_lie(f): pass\n",
        check="error",
    ),
    told(
        "teardown error of a session fixture",
        f"{IMPORTS}@pytest.fixture(scope='session')\ndef f():\n    yield\n    raise OSError\n"
        "def test_lie(f): pass\n",
        check="error",
    ),
]

SUBTESTS = [
    told(
        "subtest fails",
        f"{IMPORTS}def test_lie(subtests):\n    for i in range(3):\n        with subtests.test(i=i):\n"
        "            assert i != 1\n",
        check="failed",
    ),
    told(
        "all subtests skip",
        f"{IMPORTS}def test_lie(subtests):\n    for i in range(3):\n        with subtests.test(i=i):\n"
        "            pytest.skip('x')\n",
        check="skipped",
    ),
    told(
        "unittest subtest fails",
        f"{IMPORTS}class TestLie(unittest.TestCase):\n    def test_lie(self):\n        for i in range(3):\n"
        "            with self.subTest(i=i):\n                self.assertNotEqual(i, 1)\n",
        check="failed",
        node=f"{LIE}::TestLie::test_lie",
    ),
    told(
        "subtest is expected to fail",
        f"{IMPORTS}def test_lie(subtests):\n    with subtests.test(): pytest.xfail('x')\n",
        check="xfailed",
    ),
    told(
        "unittest subtest skips",
        f"{IMPORTS}class TestLie(unittest.TestCase):\n    def test_lie(self):\n        for i in range(3):\n"
        "            with self.subTest(i=i):\n                self.skipTest('x')\n",
        check="skipped",
        node=f"{LIE}::TestLie::test_lie",
    ),
]

RERUNS = [
    told(
        "rerun passes",
        f"{IMPORTS}from pathlib import Path\n@pytest.mark.flaky(reruns=2)\ndef test_lie():\n"
        "    seen = Path('seen')\n    is_second = seen.exists()\n    seen.touch()\n    assert is_second\n",
        check="flaky",
        needs="pytest_rerunfailures",
    ),
    Lie(
        name="flaky plugin hides the attempt that failed",
        files={
            "gates/cand/conftest.py": (
                "from _pytest.runner import runtestprotocol\n"
                "def pytest_runtest_protocol(item, nextitem):\n"
                "    if item.name != 'test_lie': return None\n"
                "    for attempt in (1, 2):\n"
                "        for report in runtestprotocol(item, nextitem=nextitem, log=False):\n"
                "            if attempt == 2 or report.when != 'call':\n"
                "                item.ihook.pytest_runtest_logreport(report=report)\n"
                "    return True\n"
            )
        },
        check="flaky",
    ),
]

NO_WORKER = "no worker of pytest-xdist collected anything: each of them died as it started"
DEATHS = [
    told(
        "os._exit(0) in the check",
        f"{IMPORTS}def test_lie(): os._exit(0)\n",
        check="crashed",
        reasons=(INCOMPLETE, INTERRUPTED),
    ),
    told(
        "os._exit(0) in teardown",
        f"{IMPORTS}@pytest.fixture\ndef f():\n    yield\n    os._exit(0)\ndef test_lie(f): pass\n",
        check="crashed",
        reasons=(INCOMPLETE, INTERRUPTED),
    ),
    told(
        "worker is killed",
        f"{IMPORTS}import signal\ndef test_lie(): os.kill(os.getpid(), signal.SIGKILL)\n",
        check="crashed",
        reasons=(INCOMPLETE,),
        workers=(WORKERS,),
    ),
    told(
        "worker dies and is not replaced",
        f"{IMPORTS}@pytest.mark.parametrize('i', range(6))\ndef test_more(i): pass\ndef test_lie(): os._exit(0)\n",
        args=("--max-worker-restart=0",),
        check="crashed",
        reasons=(INCOMPLETE, INTERRUPTED),
        statuses=(1, 2),
        workers=(WORKERS,),
    ),
    Lie(
        name="os._exit(0) at session end",
        files={"gates/cand/conftest.py": "import os\ndef pytest_sessionfinish(): os._exit(0)\n"},
        reasons=(INCOMPLETE, INTERRUPTED),
        state="",
        workers=(WORKERS,),
    ),
    whole(
        "os._exit(0) while collecting",
        {LIE: f"{IMPORTS}os._exit(0)\n"},
        is_recorded=False,
        workers=(IN_PROCESS,),
    ),
    whole(
        "workers die while collecting",
        {LIE: f"{IMPORTS}os._exit(0)\n"},
        is_recorded=False,
        workers=(WORKERS,),
        says=NO_WORKER,
    ),
    whole(
        "workers die as they start",
        {"conftest.py": "import os\nif 'PYTEST_XDIST_WORKER' in os.environ: os._exit(3)\n"},
        says=NO_WORKER,
        is_recorded=False,
        workers=(WORKERS,),
    ),
    told(
        "pytest.exit(returncode=0) in the check",
        f"{IMPORTS}def test_lie(): pytest.exit('x', returncode=0)\n",
        check="not_run",
        reasons=(INTERRUPTED,),
        statuses=(1, 3),
    ),
    told(
        "pytest.exit(returncode=0) in teardown",
        f"{IMPORTS}@pytest.fixture\ndef f():\n    yield\n    pytest.exit('x', returncode=0)\n"
        "def test_lie(f): pass\n",
        check="not_run",
        reasons=(INTERRUPTED,),
        statuses=(1, 3),
    ),
    told(
        "pytest.exit(returncode=11)",
        f"{IMPORTS}def test_lie(): pytest.exit('x', returncode=11)\n",
        check="not_run",
        reasons=(INTERRUPTED,),
        workers=(IN_PROCESS,),
    ),
    whole(
        "pytest.exit(returncode=0) as pytest starts",
        {
            "conftest.py": "import pytest\ndef pytest_sessionstart(): pytest.exit('x', returncode=0)\n"
        },
        is_recorded=False,
    ),
    whole(
        "pytest.exit(returncode=0) in configure",
        {"conftest.py": "import pytest\ndef pytest_configure(): pytest.exit('x', returncode=0)\n"},
        is_recorded=False,
    ),
    whole(
        "pytest.exit(returncode=0) in collection",
        {
            "gates/cand/conftest.py": "import pytest\n"
            "def pytest_collection_finish(): pytest.exit('x', returncode=0)\n"
        },
        statuses=(1, 3),
        reasons=(INCOMPLETE, INTERRUPTED),
    ),
    told(
        "KeyboardInterrupt in the check",
        f"{IMPORTS}def test_lie(): raise KeyboardInterrupt\n",
        checks=("not_run", "crashed"),
        reasons=(INTERRUPTED,),
        statuses=(2,),
    ),
    told("SystemExit in the check", f"{IMPORTS}def test_lie(): sys.exit(0)\n", check="failed"),
    told(
        "GeneratorExit in the check",
        f"{IMPORTS}def test_lie(): raise GeneratorExit\n",
        check="failed",
    ),
    told(
        "BrokenPipeError in the check",
        f"{IMPORTS}def test_lie(): raise BrokenPipeError\n",
        check="failed",
    ),
]

SHORT = ("budget-s = 60", "budget-s = 3")
TIMES = [
    told(
        "check hangs, timeout by signal",
        f"{IMPORTS}@pytest.mark.timeout(1, method='signal')\ndef test_lie():\n    while True: time.sleep(0.1)\n",
        check="failed",
    ),
    told(
        "check hangs, timeout by thread",
        f"{IMPORTS}@pytest.mark.timeout(1, method='thread')\ndef test_lie():\n    while True: time.sleep(0.1)\n",
        check="crashed",
        reasons=(INCOMPLETE, INTERRUPTED),
        workers=(WORKERS,),
    ),
    told(
        "check hangs, timeout by thread in the deciding process",
        f"{IMPORTS}@pytest.mark.timeout(1, method='thread')\ndef test_lie():\n    while True: time.sleep(0.1)\n",
        settings=SHORT,
        checks=("error", "failed", "not_run"),
        reasons=(INCOMPLETE, INTERRUPTED),
        workers=(IN_PROCESS,),
    ),
    told(
        "phase never ends",
        f"{IMPORTS}def test_lie():\n    while True: time.sleep(0.1)\n",
        settings=SHORT,
        checks=("failed", "crashed", "not_run"),
        reasons=(INCOMPLETE,),
    ),
    told(
        "phase never ends and swallows everything",
        f"{IMPORTS}def test_lie():\n    for _ in range(2):\n        try:\n            while True: time.sleep(0.1)\n"
        "        except BaseException: pass\n",
        settings=SHORT,
        checks=("", "failed", "crashed", "not_run"),
        reasons=(INCOMPLETE,),
    ),
    told(
        "session timeout",
        f"{IMPORTS}def test_lie(): time.sleep(1)\ndef test_more(): pass\n",
        args=("--session-timeout=0.5",),
        reasons=(INTERRUPTED, INCOMPLETE),
        statuses=(1, 2),
        state="",
    ),
]

SILENCED = "@pytest.mark.filterwarnings('ignore')\n"
RAISES_IN_THREAD = (
    "def test_lie():\n    def fail(): raise OSError\n"
    "    t = threading.Thread(target=fail)\n    t.start()\n    t.join()\n"
)
IGNORES = "    warnings.simplefilter('ignore')\n"
QUIET_PASSES = [
    told("returns False", f"{IMPORTS}def test_lie(): return False\n", check="failed"),
    told(
        "returns False, warnings silenced",
        f"{IMPORTS}{SILENCED}def test_lie(): return False\n",
        check="failed",
    ),
    told(
        "returns False, warnings silenced inside",
        f"{IMPORTS}def test_lie():\n{IGNORES}    return False\n",
        check="failed",
        workers=(IN_PROCESS,),
    ),
    told(
        "method of unittest returns False",
        f"{IMPORTS}{SILENCED}class TestLie(unittest.TestCase):\n    def test_lie(self): return False\n",
        check="failed",
        node=f"{LIE}::TestLie::test_lie",
    ),
    whole("assertion of a tuple", {LIE: f"{IMPORTS}def test_lie(): assert (False, 'x')\n"}),
    whole(
        "assertion of a tuple, compiled before",
        {
            LIE: f"{IMPORTS}{SILENCED}def test_lie():\n    assert (\n        False,\n        'x'\n    )\n"
        },
        workers=(IN_PROCESS,),
    ),
    told(
        "exception in a thread",
        f"{IMPORTS}{RAISES_IN_THREAD}",
        check="error",
        checks=("error", "failed"),
    ),
    told(
        "exception in a thread, warnings silenced",
        f"{IMPORTS}{SILENCED}{RAISES_IN_THREAD}",
        checks=("error", "failed"),
    ),
    told(
        "exception in a thread, warnings silenced inside",
        f"{IMPORTS}{RAISES_IN_THREAD}{IGNORES}",
        checks=("error", "failed"),
        workers=(IN_PROCESS,),
    ),
    told(
        "exception in a finaliser, warnings silenced",
        f"{IMPORTS}class Odd:\n    def __del__(self): raise OSError\n"
        f"{SILENCED}def test_lie():\n    odd = Odd()\n    del odd\n",
        checks=("error", "failed"),
    ),
    told(
        "coroutine that nobody runs",
        f"{IMPORTS}async def test_lie(): assert False\n",
        check="failed",
    ),
]

MISSING = [
    whole(
        "nothing is collected",
        dict.fromkeys(
            (
                "gates/ready/test_ready.py",
                "gates/cand/test_honest.py",
                LIE,
                "gates/live/test_live.py",
            ),
            "def nothing(): pass\n",
        ),
        is_recorded=False,
        statuses=(1, 4),
    ),
    whole(
        "path of a gate does not exist",
        {},
        settings=('paths = ["gates/cand"]', 'paths = ["gates/none"]'),
        is_recorded=False,
        statuses=(4,),
    ),
    whole(
        "name without the prefix",
        {LIE: "class Lie:\n    def test_lie(self): assert False\n"},
    ),
    whole(
        "marker of a gate is misspelt",
        {
            "gates/cand/test_honest.py": f"{IMPORTS}@pytest.mark.smoke\ndef test_honest(): pass\n",
            LIE: f"{IMPORTS}@pytest.mark.smok\ndef test_lie(): assert False\n",
        },
        settings=('paths = ["gates/cand"]', 'marker = "smoke"\npaths = ["gates/cand"]'),
        is_recorded=True,
        reasons=(REFUSED_BY_RULE,),
    ),
    whole("import error", {LIE: "import no_such_module\ndef test_lie(): pass\n"}),
    whole("syntax error", {LIE: "def test_lie(: pass\n"}),
    whole(
        "two files of one name",
        {"gates/live/test_lie.py": "def test_other(): pass\n"},
        settings=("--import-mode=importlib", "--import-mode=prepend"),
    ),
    whole("check that yields", {LIE: "def test_lie():\n    yield\n"}),
    whole("check is gone", {LIE: "def lie(): pass\n"}),
    whole("check is shadowed", {LIE: "def test_lie(): assert False\ndef test_lie(): pass\n"}),
    whole("collect_ignore", {"gates/cand/conftest.py": "collect_ignore = ['test_lie.py']\n"}),
    whole(
        "pytest_ignore_collect",
        {
            "gates/cand/conftest.py": "def pytest_ignore_collect(collection_path):\n"
            "    return collection_path.name == 'test_lie.py' or None\n"
        },
    ),
    whole(
        "__test__ = False",
        {LIE: "class TestLie:\n    __test__ = False\n    def test_lie(self): pass\n"},
    ),
    whole(
        "class with a constructor",
        {LIE: "class TestLie:\n    def __init__(self): pass\n    def test_lie(self): pass\n"},
    ),
    whole(
        "conftest drops checks",
        {
            "gates/cand/conftest.py": "def pytest_collection_modifyitems(items):\n"
            "    items[:] = [i for i in items if i.name != 'test_lie']\n"
        },
    ),
    Lie(
        name="conftest drops checks behind everybody's back",
        files={
            "gates/cand/conftest.py": "import pytest\n"
            "@pytest.hookimpl(wrapper=True, tryfirst=True)\n"
            "def pytest_collection_modifyitems(items):\n    result = yield\n"
            "    items[:] = [i for i in items if i.name != 'test_lie']\n    return result\n"
        },
        reasons=(GATE, INCOMPLETE),
        checks=("not_run", ""),
        state="",
    ),
    Lie(
        name="workers collect different checks",
        files={
            LIE: f"{IMPORTS}@pytest.mark.parametrize('pid', [os.getpid()])\ndef test_lie(pid): pass\n"
        },
        state="REFUSED",
        reasons=(INCOMPLETE,),
        is_recorded=False,
        workers=(WORKERS,),
    ),
    Lie(
        name="gate is empty",
        files={"gates/live/test_live.py": "def nothing(): pass\n"},
        state="REFUSED",
        reasons=(REFUSED_BY_RULE, INCOMPLETE),
        statuses=(1, 4),
        is_recorded=False,
    ),
]

TAMPERING = [
    Lie(
        name="conftest runs nothing",
        files={
            "gates/cand/conftest.py": "import pytest\n@pytest.hookimpl(tryfirst=True)\n"
            "def pytest_runtestloop(): return True\n"
        },
        state="REFUSED",
        reasons=(INTERRUPTED,),
        is_recorded=False,
        workers=(IN_PROCESS,),
    ),
    Lie(
        name="conftest runs nothing in the workers",
        files={
            "gates/cand/conftest.py": "import pytest\n@pytest.hookimpl(tryfirst=True)\n"
            "def pytest_runtestloop(): return True\n"
        },
        reasons=("gate_unknown", INCOMPLETE, INTERRUPTED),
        state="REFUSED",
        statuses=(1, 3),
        workers=(WORKERS,),
    ),
    Lie(
        name="check stops the session",
        files={
            "gates/cand/test_a.py": "def test_a(request): request.session.shouldstop = 'enough'\n",
            LIE: "def test_lie(): assert False\n",
        },
        reasons=(INTERRUPTED, INCOMPLETE),
        statuses=(1, 2),
    ),
    Lie(
        name="conftest tells the terminal another word",
        files={
            LIE: "def test_lie(): assert False\n",
            "conftest.py": "def pytest_report_teststatus(): return 'passed', '.', 'PASSED'\n",
        },
        check="failed",
    ),
    Lie(
        name="conftest ends the process as it is imported",
        files={"conftest.py": "import os\nos._exit(0)\n"},
        is_recorded=False,
    ),
    Lie(
        name="conftest sets the exit status",
        files={
            LIE: "def test_lie(): assert False\n",
            "conftest.py": "def pytest_sessionfinish(session): session.exitstatus = 0\n",
        },
        check="failed",
    ),
    Lie(
        name="conftest raises at session end",
        files={
            LIE: "def test_lie(): assert False\n",
            "conftest.py": "import os\ndef pytest_sessionfinish():\n"
            "    if 'PYTEST_XDIST_WORKER' not in os.environ: raise OSError\n",
        },
        check="failed",
    ),
    Lie(
        name="warnings are too many",
        files={LIE: "import warnings\ndef test_lie():\n    warnings.warn('x')\n    assert False\n"},
        args=("--max-warnings=0",),
        check="failed",
        statuses=(1, 6),
        needs="pytest 9",
    ),
    Lie(
        name="large gate beside a small one",
        files={
            "gates/ready/test_many.py": f"{IMPORTS}@pytest.mark.parametrize('i', range(200))\ndef test_many(i): pass\n",
            LIE: "def test_lie(): assert False\n",
        },
        check="failed",
        workers=(IN_PROCESS,),
    ),
]

LIES = [
    *SKIPS, *EXPECTED_FAILURES, *FIXTURES, *SUBTESTS, *RERUNS, *DEATHS, *TIMES, *QUIET_PASSES, *MISSING, *TAMPERING,
    *FORGED, *JUDGE_ROWS,
]  # fmt: skip
