"""False greens made by hooks of a project: they falsify what became of a check that did not hold."""

from tests.plugin.false_green import GATE, IMPORTS, INCOMPLETE, WORKERS, FalseGreen
from tests.plugin.plugin_project import SUBJECT

FALSE = f"{IMPORTS}def test_subject(): assert False\n"
HOOK = """\
import pytest
@pytest.hookimpl({how})
def {head}:
{body}
"""
IS_CALL = "    if {what}.when == 'call' and 'test_subject' in {where}:\n        {then}\n"
FLIPS = IS_CALL.format(what="report", where="report.nodeid", then="report.outcome = 'passed'")
FORGETS = IS_CALL.format(
    what="report", where="report.nodeid", then="vars(report).pop('wasxfail', None)"
)
MADE = "    report = yield\n{}    return report"
SWALLOWS = "    try: return (yield)\n    except BaseException: return None"
SKIPS = "    try: return (yield)\n    except BaseException: pytest.skip('not today')"
ALLOWED = ('paths = ["gates/cand"]', 'paths = ["gates/cand"]\nskips = "allow"')
XPASS = f"{IMPORTS}@pytest.mark.xfail(strict=False)\ndef test_subject(): pass\n"
FIXTURE = """\
@pytest.fixture(autouse=True)
def f():
"""


def forged(
    name: str, head: str, body: str, *, how: str = "", subject: str = FALSE, **more: object
) -> list[FalseGreen]:
    """Made by a hook in the conftest file of the gate, and by one in that of the project, which all processes load."""
    hook = HOOK.format(how=how, head=head, body=body)
    more = {"reasons": (INCOMPLETE, GATE), **more}
    return [
        FalseGreen(name=f"{name}, {place}", files={SUBJECT: subject, path: hook}, **more)  # type: ignore[arg-type]  # checked by the class
        for place, path in (("gate", "gates/cand/conftest.py"), ("project", "conftest.py"))
    ]


REPORT = "pytest_runtest_makereport(item, call)"
LOGGED = "pytest_runtest_logreport(report)"
FORGED = [
    *forged(
        "body is not called",
        "pytest_pyfunc_call(pyfuncitem)",
        "    return True if pyfuncitem.name == 'test_subject' else None",
        how="tryfirst=True",
        check="failed",
    ),
    *forged(
        "body is not called where it is a coroutine",
        "pytest_pyfunc_call(pyfuncitem)",
        "    return True if pyfuncitem.name == 'test_subject' else None",
        how="tryfirst=True",
        subject="""
            async def test_subject():
                assert False
        """,
        check="failed",
    ),
    *forged(
        "body is replaced as it is called",
        "pytest_pyfunc_call(pyfuncitem)",
        "    if pyfuncitem.name == 'test_subject': pyfuncitem.obj = lambda **arguments: None",
        how="tryfirst=True",
        check="failed",
    ),
    *forged(
        "check is replaced by nothing",
        "pytest_runtest_setup(item)",
        "    if item.name == 'test_subject': item.runtest = lambda: None",
        check="failed",
    ),
    *forged(
        "exception of the body is swallowed",
        "pytest_pyfunc_call(pyfuncitem)",
        SWALLOWS.replace("None", "True"),
        how="wrapper=True, tryfirst=True",
        check="failed",
    ),
    *forged(
        "exception of the check is swallowed",
        "pytest_runtest_call(item)",
        SWALLOWS,
        how="wrapper=True",
        check="failed",
    ),
    *forged(
        "exception of a fixture is swallowed in setup",
        "pytest_runtest_setup(item)",
        SWALLOWS,
        how="wrapper=True",
        subject=f"{IMPORTS}{FIXTURE}    raise OSError\ndef test_subject(): pass\n",
        check="failed",
    ),
    *forged(
        "exception of a fixture is swallowed in teardown",
        "pytest_runtest_teardown(item)",
        SWALLOWS,
        how="wrapper=True",
        subject=f"{IMPORTS}{FIXTURE}    yield\n    raise OSError\ndef test_subject(): pass\n",
        checks=("failed", "error"),
    ),
    *forged(
        "exception of a fixture is swallowed next to pytest in setup",
        "pytest_runtest_setup(item)",
        SWALLOWS,
        how="wrapper=True, trylast=True",
        subject=f"{IMPORTS}{FIXTURE}    raise OSError\ndef test_subject(): pass\n",
        check="failed",
    ),
    *forged(
        "exception of a fixture is swallowed next to pytest in teardown",
        "pytest_runtest_teardown(item)",
        SWALLOWS,
        how="wrapper=True, trylast=True",
        subject=f"{IMPORTS}{FIXTURE}    yield\n    raise OSError\ndef test_subject(): pass\n",
        checks=("failed", "error"),
    ),
    *forged(
        "exception of a fixture is swallowed where it is set up",
        "pytest_fixture_setup(fixturedef, request)",
        SWALLOWS,
        how="wrapper=True, trylast=True",
        subject=f"{IMPORTS}{FIXTURE}    raise OSError\ndef test_subject(): pass\n",
        checks=("failed", "error"),
    ),
    *forged(
        "exception of the check is swallowed next to pytest",
        "pytest_runtest_call(item)",
        SWALLOWS,
        how="wrapper=True, trylast=True",
        check="failed",
    ),
    *forged(
        "failure becomes a skip as the body is called, where skips are allowed",
        "pytest_pyfunc_call(pyfuncitem)",
        SKIPS,
        how="wrapper=True",
        settings=ALLOWED,
        check="failed",
    ),
    *forged(
        "error of a fixture becomes a skip, where skips are allowed",
        "pytest_runtest_setup(item)",
        SKIPS,
        how="wrapper=True, trylast=True",
        subject=f"{IMPORTS}{FIXTURE}    raise OSError\ndef test_subject(): pass\n",
        settings=ALLOWED,
        checks=("failed", "error"),
    ),
    *forged(
        "report is falsified as a worker sends it",
        "pytest_report_to_serializable(config, report)",
        "    if getattr(report, 'when', '') == 'call' and 'test_subject' in report.nodeid:\n"
        "        report.outcome = 'passed'",
        how="tryfirst=True",
        check="failed",
        workers=(WORKERS,),
    ),
    *forged(
        "report is falsified as it arrives",
        "pytest_report_from_serializable(config, data)",
        "    if 'test_subject' in str(data.get('nodeid')): data['outcome'] = 'passed'\n",
        how="tryfirst=True",
        check="failed",
        workers=(WORKERS,),
    ),
    *forged(
        "report is made up",
        REPORT,
        f"    report = pytest.TestReport.from_item_and_call(item, call)\n{FLIPS}    return report",
        how="tryfirst=True",
        check="failed",
    ),
    *forged(
        "report is changed as it is made",
        REPORT,
        MADE.format(FLIPS),
        how="wrapper=True",
        check="failed",
    ),
    *forged(
        "report is changed as it is made, first",
        REPORT,
        MADE.format(FLIPS),
        how="wrapper=True, tryfirst=True",
        check="failed",
    ),
    *forged(
        "report is changed as it is made, last",
        REPORT,
        MADE.format(FLIPS),
        how="wrapper=True, trylast=True",
        check="failed",
    ),
    *forged(
        "exception is taken out before the report is made",
        REPORT,
        "    call.excinfo = None\n    return (yield)",
        how="wrapper=True, tryfirst=True",
        check="failed",
    ),
    *forged("report is changed as it is told", LOGGED, FLIPS, how="tryfirst=True", check="failed"),
    *forged(
        "report is changed as it is told, by a wrapper",
        LOGGED,
        f"{FLIPS}    yield",
        how="wrapper=True, tryfirst=True",
        check="failed",
    ),
    *forged(
        "report becomes a skip where skips are allowed",
        REPORT,
        MADE.format(
            FLIPS.replace(
                "outcome = 'passed'", "outcome, report.longrepr = 'skipped', ('f', 1, 'x')"
            )
        ),
        how="wrapper=True",
        settings=ALLOWED,
        check="failed",
    ),
    *forged(
        "expected failure is forgotten as the report is made",
        REPORT,
        MADE.format(FORGETS),
        how="wrapper=True",
        subject=XPASS,
        checks=("failed", "xpassed"),
    ),
    *forged(
        "expected failure is forgotten as the report is told",
        LOGGED,
        FORGETS,
        how="tryfirst=True",
        subject=XPASS,
        checks=("failed", "xpassed"),
    ),
    *forged(
        "skip becomes a pass",
        REPORT,
        MADE.format(FLIPS),
        how="wrapper=True",
        subject="""
            def test_subject():
                pytest.skip("x")
        """,
        check="failed",
    ),
    *forged(
        "subtest becomes a pass",
        REPORT,
        MADE.format(FLIPS),
        how="wrapper=True",
        subject="""
            def test_subject(subtests):
                with subtests.test():
                    assert False
        """,
        check="failed",
    ),
    *forged(
        "check of unittest becomes a pass",
        REPORT,
        MADE.format(FLIPS),
        how="wrapper=True",
        subject="""
            class TestSubject(unittest.TestCase):
                def test_subject(self):
                    self.fail()
        """,
        node=f"{SUBJECT}::TestSubject::test_subject",
        check="failed",
    ),
    *forged(
        "reports of a check that never runs",
        "pytest_runtest_protocol(item, nextitem)",
        "    if item.name != 'test_subject': return None\n"
        "    for when in ('setup', 'call', 'teardown'):\n"
        "        made = pytest.CallInfo.from_call(lambda: None, when)\n"
        "        report = pytest.TestReport.from_item_and_call(item, made)\n"
        "        item.ihook.pytest_runtest_logreport(report=report)\n"
        "    return True",
        how="tryfirst=True",
        check="failed",
    ),
]
