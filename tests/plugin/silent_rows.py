"""False greens that nobody means: what Python, pytest and well-known plugins pass over in silence."""

from tests.plugin.false_green import (
    GATE,
    IN_PROCESS,
    INCOMPLETE,
    WORKERS,
    FalseGreen,
    by_check,
    by_collection,
)
from tests.plugin.plugin_project import SUBJECT

EITHER = (GATE, INCOMPLETE)
INI = "[tool.pytest.ini_options]\n"
OWN_RUN = """
    class Base(unittest.TestCase):
        {method}


    class TestSubject(Base):
        def test_subject(self):
            assert False
"""
METHOD = f"{SUBJECT}::TestSubject::test_subject"
IN_THREAD = """
    @pytest.fixture(scope="session", autouse=True)
    def quiet():
        {hook} = lambda *_: None


    def test_subject(quiet):
        {stray}
"""
THREAD = """
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
"""
FINALISER = """
        class Broken:
            def __del__(self):
                assert False
        Broken()
"""

SILENT = [
    by_check(
        "coroutine returns False under pytest-asyncio, strict",
        """\
@pytest.mark.asyncio
async def test_subject(): return False
""",
        check="failed",
        needs="pytest_asyncio",
    ),
    by_check(
        "coroutine returns False under pytest-asyncio, auto",
        "async def test_subject(): return False\n",
        settings=(INI, f'{INI}asyncio_mode = "auto"\n'),
        check="failed",
        needs="pytest_asyncio",
    ),
    by_check(
        "coroutine returns False under pytest-trio",
        """\
@pytest.mark.trio
async def test_subject(): return False
""",
        check="failed",
        needs="pytest_trio",
    ),
    FalseGreen(
        name="known defect whose day has passed, under a clock that stands still",
        files={
            "conftest.py": """
                from datetime import UTC, datetime
                from pytest_deploygate.collection import expected_failures


                class Frozen(datetime):
                    @classmethod
                    def now(cls, tz=None):
                        return datetime(2020, 1, 1, tzinfo=UTC)


                expected_failures.datetime = Frozen
            """,
            SUBJECT: """
                @pytest.mark.known_defect(until="2020-01-31", reason="ticket 7")
                def test_subject():
                    assert False
            """,
        },
        check="xfailed",
    ),
    by_check(
        "helper is never awaited",
        """
            async def must_hold():
                assert False


            def test_subject():
                must_hold()
        """,
        check="failed",
    ),
    by_collection(
        "assertion of a tuple in a helper module",
        {
            "gates/cand/helping.py": """\
def must_hold(x):
    assert (x, 'it must hold')
""",
            SUBJECT: """
                import helping


                def test_subject():
                    helping.must_hold(False)
            """,
            "gates/cand/conftest.py": "import sys; sys.path.append('gates/cand')\n",
        },
        statuses=(1, 4),
    ),
    by_check(
        "base class of unittest with its own run",
        OWN_RUN.format(method="def run(self, result=None): pass"),
        node=METHOD,
        reasons=EITHER,
        check="failed",
    ),
    by_check(
        "base class of unittest with its own call",
        OWN_RUN.format(method="def __call__(self, result=None): pass"),
        node=METHOD,
        reasons=EITHER,
        check="failed",
    ),
    by_check(
        "base class of unittest whose run swallows",
        OWN_RUN.format(
            method="""def run(self, result=None):
            try: self.test_subject()
            except AssertionError: pass"""
        ),
        node=METHOD,
        reasons=EITHER,
        check="failed",
    ),
    by_check(
        "hook of threads is replaced",
        IN_THREAD.format(hook="threading.excepthook", stray=THREAD),
        reasons=EITHER,
        checks=("failed", "error"),
    ),
    by_check(
        "hook of finalisers is replaced",
        IN_THREAD.format(hook="sys.unraisablehook", stray=FINALISER),
        reasons=EITHER,
        checks=("failed", "error"),
    ),
    FalseGreen(
        name="assertions are switched off for workers alone",
        files={
            "conftest.py": """\
import os
os.environ['PYTHONOPTIMIZE'] = '1'
""",
            SUBJECT: "def test_subject(): assert False\n",
        },
        state="",
        reasons=(INCOMPLETE,),
        is_recorded=None,
        workers=(WORKERS,),
        says="assert statements do not run in worker",
    ),
    FalseGreen(
        name="expected failures are no failures without the plugin that knows them",
        files={
            SUBJECT: """\
@pytest.mark.xfail
def test_subject(): assert False
"""
        },
        args=("-p", "no:skipping"),
        state="",
        reasons=("could_not_act",),
        is_recorded=False,
        statuses=(4,),
        workers=(IN_PROCESS,),
    ),
]
