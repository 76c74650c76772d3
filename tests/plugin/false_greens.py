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
from tests.plugin.plugin_project import SUBJECT

SKIPS = [
    by_check(
        "skip mark", f"{IMPORTS}@pytest.mark.skip\ndef test_subject(): pass\n", check="skipped"
    ),
    by_check(
        "skipif",
        f"{IMPORTS}@pytest.mark.skipif(True, reason='x')\ndef test_subject(): pass\n",
        check="skipped",
    ),
    by_check(
        "skip in a fixture",
        f"{IMPORTS}@pytest.fixture\ndef f(): pytest.skip('x')\ndef test_subject(f): pass\n",
        check="skipped",
    ),
    by_check(
        "skip in the check", f"{IMPORTS}def test_subject(): pytest.skip('x')\n", check="skipped"
    ),
    by_check(
        "skip in teardown",
        f"{IMPORTS}@pytest.fixture\ndef f():\n    yield\n    pytest.skip('x')\ndef test_subject(f): pass\n",
        check="skipped",
    ),
    by_check(
        "unittest skip",
        f"{IMPORTS}@unittest.skip('x')\ndef test_subject(): pass\n",
        check="skipped",
    ),
    by_check(
        "empty parametrize",
        f"{IMPORTS}@pytest.mark.parametrize('vendor', [])\ndef test_subject(vendor): pass\n",
        check="skipped",
        node=f"{SUBJECT}::test_subject[NOTSET]",
    ),
    by_collection(
        "module skip",
        {
            SUBJECT: f"{IMPORTS}pytest.skip('x', allow_module_level=True)\ndef test_subject(): pass\n"
        },
    ),
    by_collection(
        "importorskip",
        {SUBJECT: f"{IMPORTS}pytest.importorskip('no_such_module')\ndef test_subject(): pass\n"},
    ),
    FalseGreen(
        name="skip in readiness",
        files={
            "gates/ready/test_ready.py": f"{IMPORTS}@pytest.mark.skip\ndef test_honest(): pass\n"
        },
        state="REFUSED",
        reasons=("gate_unknown",),
        check="skipped",
        node="gates/ready/test_ready.py::test_honest",
    ),
    FalseGreen(
        name="skip after promotion",
        files={"gates/live/test_live.py": f"{IMPORTS}@pytest.mark.skip\ndef test_honest(): pass\n"},
        reasons=("gate_unknown",),
        check="skipped",
        node="gates/live/test_live.py::test_honest",
    ),
]

EXPECTED_FAILURES = [
    by_check(
        "xfail", f"{IMPORTS}@pytest.mark.xfail\ndef test_subject(): assert False\n", check="xfailed"
    ),
    by_check(
        "xfail that does not run",
        f"{IMPORTS}@pytest.mark.xfail(run=False)\ndef test_subject(): assert False\n",
        check="xfailed",
    ),
    by_check(
        "xfail in the check",
        f"{IMPORTS}def test_subject(): pytest.xfail('no net')\n",
        check="xfailed",
    ),
    by_check(
        "xfail in setup",
        f"{IMPORTS}@pytest.fixture\ndef f(): pytest.xfail('no net')\ndef test_subject(f): pass\n",
        check="xfailed",
    ),
    by_check(
        "xfail in teardown",
        f"{IMPORTS}@pytest.fixture\ndef f():\n    yield\n    pytest.xfail('x')\ndef test_subject(f): pass\n",
        check="xfailed",
    ),
    by_check(
        "xpass",
        f"{IMPORTS}@pytest.mark.xfail(strict=False)\ndef test_subject(): pass\n",
        check="xpassed",
    ),
    by_check(
        "strict xpass",
        f"{IMPORTS}@pytest.mark.xfail(strict=True)\ndef test_subject(): pass\n",
        check="failed",
    ),
]

FIXTURES = [
    by_check(
        "setup error",
        f"{IMPORTS}@pytest.fixture\ndef f(): raise OSError\ndef test_subject(f): pass\n",
        check="error",
    ),
    by_check(
        "teardown error",
        f"{IMPORTS}@pytest.fixture\ndef f():\n    yield\n    raise OSError\ndef test_subject(f): pass\n",
        check="error",
    ),
    by_check(
        "teardown error of a session fixture",
        f"{IMPORTS}@pytest.fixture(scope='session')\ndef f():\n    yield\n    raise OSError\n"
        "def test_subject(f): pass\n",
        check="error",
    ),
]

SUBTESTS = [
    by_check(
        "subtest fails",
        f"{IMPORTS}def test_subject(subtests):\n    for i in range(3):\n        with subtests.test(i=i):\n"
        "            assert i != 1\n",
        check="failed",
    ),
    by_check(
        "all subtests skip",
        f"{IMPORTS}def test_subject(subtests):\n    for i in range(3):\n        with subtests.test(i=i):\n"
        "            pytest.skip('x')\n",
        check="skipped",
    ),
    by_check(
        "unittest subtest fails",
        f"{IMPORTS}class TestSubject(unittest.TestCase):\n    def test_subject(self):\n        for i in range(3):\n"
        "            with self.subTest(i=i):\n                self.assertNotEqual(i, 1)\n",
        check="failed",
        node=f"{SUBJECT}::TestSubject::test_subject",
    ),
    by_check(
        "subtest is expected to fail",
        f"{IMPORTS}def test_subject(subtests):\n    with subtests.test(): pytest.xfail('x')\n",
        check="xfailed",
    ),
    by_check(
        "unittest subtest skips",
        f"{IMPORTS}class TestSubject(unittest.TestCase):\n    def test_subject(self):\n        for i in range(3):\n"
        "            with self.subTest(i=i):\n                self.skipTest('x')\n",
        check="skipped",
        node=f"{SUBJECT}::TestSubject::test_subject",
    ),
]

RERUNS = [
    by_check(
        "rerun passes",
        f"{IMPORTS}from pathlib import Path\n@pytest.mark.flaky(reruns=2)\ndef test_subject():\n"
        "    seen = Path('seen')\n    is_second = seen.exists()\n    seen.touch()\n    assert is_second\n",
        check="flaky",
        needs="pytest_rerunfailures",
    ),
    FalseGreen(
        name="flaky plugin hides the attempt that failed",
        files={
            "gates/cand/conftest.py": (
                "from _pytest.runner import runtestprotocol\n"
                "def pytest_runtest_protocol(item, nextitem):\n"
                "    if item.name != 'test_subject': return None\n"
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
    by_check(
        "os._exit(0) in the check",
        f"{IMPORTS}def test_subject(): os._exit(0)\n",
        checks=("failed", "crashed"),
        reasons=(GATE, INCOMPLETE),
    ),
    by_check(
        "os._exit(0) in teardown",
        f"{IMPORTS}@pytest.fixture\ndef f():\n    yield\n    os._exit(0)\ndef test_subject(f): pass\n",
        checks=("error", "crashed"),
        reasons=(GATE, INCOMPLETE),
    ),
    by_check(
        "worker is killed",
        f"{IMPORTS}import signal\ndef test_subject(): os.kill(os.getpid(), signal.SIGKILL)\n",
        check="crashed",
        reasons=(INCOMPLETE,),
        workers=(WORKERS,),
    ),
    by_check(
        "worker dies and is not replaced",
        f"{IMPORTS}@pytest.mark.parametrize('i', range(6))\ndef test_more(i): pass\ndef test_subject(): os._exit(0)\n",
        args=("--max-worker-restart=0",),
        check="crashed",
        reasons=(INCOMPLETE, INTERRUPTED),
        statuses=(1, 2),
        workers=(WORKERS,),
    ),
    FalseGreen(
        name="os._exit(0) at session end",
        files={"gates/cand/conftest.py": "import os\ndef pytest_sessionfinish(): os._exit(0)\n"},
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
        {"conftest.py": "import os\nif 'PYTEST_XDIST_WORKER' in os.environ: os._exit(3)\n"},
        says=NO_WORKER,
        is_recorded=False,
        workers=(WORKERS,),
    ),
    by_check(
        "pytest.exit(returncode=0) in the check",
        f"{IMPORTS}def test_subject(): pytest.exit('x', returncode=0)\n",
        check="not_run",
        reasons=(INTERRUPTED,),
        statuses=(1, 3),
    ),
    by_check(
        "pytest.exit(returncode=0) in teardown",
        f"{IMPORTS}@pytest.fixture\ndef f():\n    yield\n    pytest.exit('x', returncode=0)\n"
        "def test_subject(f): pass\n",
        check="not_run",
        reasons=(INTERRUPTED,),
        statuses=(1, 3),
    ),
    by_check(
        "pytest.exit(returncode=11)",
        f"{IMPORTS}def test_subject(): pytest.exit('x', returncode=11)\n",
        check="not_run",
        reasons=(INTERRUPTED,),
        workers=(IN_PROCESS,),
    ),
    by_collection(
        "pytest.exit(returncode=0) as pytest starts",
        {
            "conftest.py": "import pytest\ndef pytest_sessionstart(): pytest.exit('x', returncode=0)\n"
        },
        is_recorded=False,
    ),
    by_collection(
        "pytest.exit(returncode=0) in configure",
        {"conftest.py": "import pytest\ndef pytest_configure(): pytest.exit('x', returncode=0)\n"},
        is_recorded=False,
        has_junit=False,
    ),
    by_collection(
        "pytest.exit(returncode=0) in collection",
        {
            "gates/cand/conftest.py": "import pytest\n"
            "def pytest_collection_finish(): pytest.exit('x', returncode=0)\n"
        },
        statuses=(1, 3),
        reasons=(INCOMPLETE, INTERRUPTED),
    ),
    by_check(
        "KeyboardInterrupt in the check",
        f"{IMPORTS}def test_subject(): raise KeyboardInterrupt\n",
        checks=("not_run", "crashed"),
        reasons=(INTERRUPTED,),
        statuses=(2,),
    ),
    by_check(
        "SystemExit in the check", f"{IMPORTS}def test_subject(): sys.exit(0)\n", check="failed"
    ),
    by_check(
        "GeneratorExit in the check",
        f"{IMPORTS}def test_subject(): raise GeneratorExit\n",
        check="failed",
    ),
    by_check(
        "BrokenPipeError in the check",
        f"{IMPORTS}def test_subject(): raise BrokenPipeError\n",
        check="failed",
    ),
]

SHORT = ("budget-s = 60", "budget-s = 3")
TIMES = [
    by_check(
        "check hangs, timeout by signal",
        f"{IMPORTS}@pytest.mark.timeout(1, method='signal')\ndef test_subject():\n    while True: time.sleep(0.1)\n",
        check="failed",
    ),
    by_check(
        "check hangs, timeout by thread",
        f"{IMPORTS}@pytest.mark.timeout(1, method='thread')\ndef test_subject():\n    while True: time.sleep(0.1)\n",
        checks=("failed", "crashed"),
        reasons=(GATE, INCOMPLETE),
        workers=(WORKERS,),
    ),
    by_check(
        "check hangs, timeout by thread in the deciding process",
        f"{IMPORTS}@pytest.mark.timeout(1, method='thread')\ndef test_subject():\n    while True: time.sleep(0.1)\n",
        settings=SHORT,
        checks=("error", "failed", "not_run"),
        reasons=(INCOMPLETE,),
        workers=(IN_PROCESS,),
    ),
    by_check(
        "phase never ends",
        f"{IMPORTS}def test_subject():\n    while True: time.sleep(0.1)\n",
        settings=SHORT,
        checks=("failed", "crashed", "not_run"),
        reasons=(INCOMPLETE,),
    ),
    by_check(
        "phase never ends and swallows everything",
        f"{IMPORTS}def test_subject():\n    for _ in range(2):\n        try:\n            while True: time.sleep(0.1)\n"
        "        except BaseException: pass\n",
        settings=SHORT,
        checks=("", "failed", "crashed", "not_run"),
        reasons=(INCOMPLETE,),
    ),
    by_check(
        "session timeout",
        f"{IMPORTS}def test_subject(): time.sleep(1)\ndef test_more(): pass\n",
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
    by_check("returns False", f"{IMPORTS}def test_subject(): return False\n", check="failed"),
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
        "assertion of a tuple", {SUBJECT: f"{IMPORTS}def test_subject(): assert (False, 'x')\n"}
    ),
    by_collection(
        "assertion of a tuple, compiled before",
        {
            SUBJECT: f"{IMPORTS}{SILENCED}def test_subject():\n    assert (\n        False,\n        'x'\n    )\n"
        },
        workers=(IN_PROCESS,),
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
        f"{IMPORTS}async def test_subject(): assert False\n",
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
        {SUBJECT: "class Subject:\n    def test_subject(self): assert False\n"},
    ),
    by_collection(
        "marker of a gate is misspelt",
        {
            "gates/cand/test_honest.py": f"{IMPORTS}@pytest.mark.smoke\ndef test_honest(): pass\n",
            SUBJECT: f"{IMPORTS}@pytest.mark.smok\ndef test_subject(): assert False\n",
        },
        settings=('paths = ["gates/cand"]', 'marker = "smoke"\npaths = ["gates/cand"]'),
        is_recorded=True,
        reasons=(REFUSED_BY_RULE,),
    ),
    by_collection("import error", {SUBJECT: "import no_such_module\ndef test_subject(): pass\n"}),
    by_collection("syntax error", {SUBJECT: "def test_subject(: pass\n"}),
    by_collection(
        "two files of one name",
        {"gates/live/test_subject.py": "def test_other(): pass\n"},
        settings=("--import-mode=importlib", "--import-mode=prepend"),
    ),
    by_collection("check that yields", {SUBJECT: "def test_subject():\n    yield\n"}),
    by_collection("check is gone", {SUBJECT: "def subject(): pass\n"}),
    by_collection(
        "check is shadowed",
        {SUBJECT: "def test_subject(): assert False\ndef test_subject(): pass\n"},
    ),
    by_collection(
        "collect_ignore", {"gates/cand/conftest.py": "collect_ignore = ['test_subject.py']\n"}
    ),
    by_collection(
        "pytest_ignore_collect",
        {
            "gates/cand/conftest.py": "def pytest_ignore_collect(collection_path):\n"
            "    return collection_path.name == 'test_subject.py' or None\n"
        },
    ),
    by_collection(
        "__test__ = False",
        {SUBJECT: "class TestSubject:\n    __test__ = False\n    def test_subject(self): pass\n"},
    ),
    by_collection(
        "class with a constructor",
        {
            SUBJECT: "class TestSubject:\n    def __init__(self): pass\n    def test_subject(self): pass\n"
        },
    ),
    by_collection(
        "conftest drops checks",
        {
            "gates/cand/conftest.py": "def pytest_collection_modifyitems(items):\n"
            "    items[:] = [i for i in items if i.name != 'test_subject']\n"
        },
    ),
    FalseGreen(
        name="conftest drops checks behind everybody's back",
        files={
            "gates/cand/conftest.py": "import pytest\n"
            "@pytest.hookimpl(wrapper=True, tryfirst=True)\n"
            "def pytest_collection_modifyitems(items):\n    result = yield\n"
            "    items[:] = [i for i in items if i.name != 'test_subject']\n    return result\n"
        },
        reasons=(GATE, INCOMPLETE),
        checks=("not_run", ""),
        state="",
    ),
    FalseGreen(
        name="workers collect different checks",
        files={
            SUBJECT: f"{IMPORTS}@pytest.mark.parametrize('pid', [os.getpid()])\ndef test_subject(pid): pass\n"
        },
        state="REFUSED",
        reasons=(INCOMPLETE,),
        is_recorded=False,
        workers=(WORKERS,),
    ),
    FalseGreen(
        name="gate is empty",
        files={"gates/live/test_live.py": "def nothing(): pass\n"},
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
            "gates/cand/conftest.py": "import pytest\n@pytest.hookimpl(tryfirst=True)\n"
            "def pytest_runtestloop(): return True\n"
        },
        state="REFUSED",
        reasons=(INTERRUPTED,),
        is_recorded=False,
        workers=(IN_PROCESS,),
    ),
    FalseGreen(
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
    FalseGreen(
        name="check stops the session",
        files={
            "gates/cand/test_a.py": "def test_a(request): request.session.shouldstop = 'enough'\n",
            SUBJECT: "def test_subject(): assert False\n",
        },
        reasons=(INTERRUPTED, INCOMPLETE),
        statuses=(1, 2),
    ),
    FalseGreen(
        name="conftest tells the terminal another word",
        files={
            SUBJECT: "def test_subject(): assert False\n",
            "conftest.py": "def pytest_report_teststatus(): return 'passed', '.', 'PASSED'\n",
        },
        check="failed",
    ),
    FalseGreen(
        name="conftest ends the process as it is imported",
        files={"conftest.py": "import os\nos._exit(0)\n"},
        statuses=(0,),
        is_recorded=False,
        has_junit=False,
    ),
    FalseGreen(
        name="conftest sets the exit status",
        files={
            SUBJECT: "def test_subject(): assert False\n",
            "conftest.py": "def pytest_sessionfinish(session): session.exitstatus = 0\n",
        },
        check="failed",
    ),
    FalseGreen(
        name="conftest raises at session end",
        files={
            SUBJECT: "def test_subject(): assert False\n",
            "conftest.py": "import os\ndef pytest_sessionfinish():\n"
            "    if 'PYTEST_XDIST_WORKER' not in os.environ: raise OSError\n",
        },
        check="failed",
    ),
    FalseGreen(
        name="warnings are too many",
        files={
            SUBJECT: "import warnings\ndef test_subject():\n    warnings.warn('x')\n    assert False\n"
        },
        args=("--max-warnings=0",),
        check="failed",
        statuses=(1, 6),
        needs="pytest 9",
    ),
    FalseGreen(
        name="large gate beside a small one",
        files={
            "gates/ready/test_many.py": f"{IMPORTS}@pytest.mark.parametrize('i', range(200))\ndef test_many(i): pass\n",
            SUBJECT: "def test_subject(): assert False\n",
        },
        check="failed",
        workers=(IN_PROCESS,),
    ),
]

FALSE_GREENS = [
    *SKIPS, *EXPECTED_FAILURES, *FIXTURES, *SUBTESTS, *RERUNS, *DEATHS, *TIMES, *QUIET_PASSES, *MISSING, *TAMPERING,
    *FORGED,
]  # fmt: skip
