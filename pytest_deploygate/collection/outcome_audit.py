"""Knows what each part of a check really did, tells the judge, and says where a report makes it look better.

Conftest files and other plugins can let a check pass that did not hold: by not calling its body, by swallowing what it
raised, by changing its report. So the process that runs checks notes for itself what was raised and whether the body
ran to its end. That is what it tells the judge; reports of pytest are for people, and one that says more than what was
seen is a doubt. It is registered before any conftest file is loaded: hooks of a project see a report only after it has.

What it cannot know is whether a body that ran was the one that stands in the file: code of a project that replaces
functions is itself evidence, whose digest is recorded.
"""

import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from pytest_deploygate.channel.client import JudgeLink
from pytest_deploygate.channel.messages import SERVER_ERRORS, AttemptEnded, Doubt, Measured, Part
from pytest_deploygate.collection.check_mistakes import mistake_in
from pytest_deploygate.collection.innermost import Innermost
from pytest_deploygate.collection.observed_body import is_skip, observe_body, observe_early
from pytest_deploygate.collection.stray_errors import StrayErrors

NEVER_SILENT = (
    pytest.PytestReturnNotNoneWarning,
    pytest.PytestUnhandledThreadExceptionWarning,
    pytest.PytestUnraisableExceptionWarning,
    pytest.PytestAssertRewriteWarning,
)
"""Warnings that hide a check which did not hold."""
_RETURNED = "It is deprecated to return a value that is not None from a test case"
"""What unittest warns of when a method of a test case returns something."""
_NOT_AWAITED = r"coroutine '(?!AsyncMockMixin\.).*' was never awaited"
"""What Python warns of when a coroutine is thrown away: what it asserts never ran. One of a mock asserts nothing."""
PLUGIN: Final = "deploygate-auditor"
_SERVER_ERROR: Final = 500
LONGEST_FAILURE: Final = 500
"""Characters that are told of a failure; all of it is in pytest's own report."""
_Claim: TypeAlias = "tuple[str, bool]"
"""An outcome, and whether an expected failure had a part in it."""
_PASS: Final[_Claim] = ("passed", False)
_PLAIN_PASS: Final = [(when, "passed", False, False) for when in ("setup", "call", "teardown")]
_TRUTHS: Final = {
    ("passed", True): "was expected to fail",
    ("skipped", False): "was skipped",
    ("skipped", True): "failed as expected",
}


class OutcomeAuditor:
    """Watches the parts of each check in this process, and lets none pass behind a warning."""

    __slots__ = (
        *("_asked", "_claims", "_expected", "_filters", "_following", "_forced", "_innermost"),
        *("_has_shared_answers", "_is_ended", "_is_running", "_is_setup", "_link", "_measured"),
        *("_mistake", "_nodeid", "_nodeids", "_number", "_numbers", "_parts", "_plain", "_raised"),
        *("_stray", "_stray_errors", "_why", "is_muted"),
    )
    """Pluggy asks a plugin for its ``dir()``; from then on Python looks attributes up slowly, unless they are slots."""

    def __init__(self, link: JudgeLink, manager: pytest.PytestPluginManager) -> None:
        self._link = link
        self._innermost = Innermost(manager, _Parts(self), self._note_raised)
        self._stray_errors = StrayErrors(self._note_stray)
        self._expected: list[pytest.Item] = []
        """Checks at the numbers that the judge knows them by."""
        self._nodeids: list[str] = []
        """Their names: pytest puts one together each time it is asked."""
        self._numbers: dict[int, int] = {}
        """The same by the identity of the item, once checks do not run in their order."""
        self._following = 0
        """The number of the check that runs next, if they do."""
        self._number: int | None = None
        self._plain: object = None
        """The body of the check that runs, if it is no asynchronous one."""
        self._nodeid = ""
        self._claims: dict[str | None, _Claim] = {}
        """What each part of the check that runs, or ran last, can claim at most."""
        self._parts: list[tuple[str, str, bool, bool]] = []
        """Fields of :class:`Part` of each."""
        self._measured: list[Measured] = []
        self._asked: dict[str, int] = {}
        self._why = ""
        """How the check that runs failed first."""
        self._mistake = ""
        """Whether it was by a mistake in the check itself."""
        self._is_setup = False
        self._has_shared_answers = False
        """Whether a fixture has asked: checks may look at its answers later."""
        self.is_muted = False
        """Set while checks that did not run are reported as skipped, for people."""
        self._raised: BaseException | None = None
        """What the part that ran last raised first, whatever became of that afterwards."""
        self._stray: BaseException | None = None
        """What was raised in a thread or a finaliser since the last report."""
        self._is_running = False
        self._is_ended = False
        """Whether the body of the check returned in this part."""
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=_RETURNED, category=DeprecationWarning)
            warnings.filterwarnings("error", message=_NOT_AWAITED, category=RuntimeWarning)
            for category in NEVER_SILENT:
                warnings.simplefilter("error", category)
            self._forced = slice(len(NEVER_SILENT) + 2)
            """Where these filters stand among all."""
            self._filters = warnings.filters[self._forced]

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        """Modules of checks are loaded in here."""
        self._force_warnings_to_errors()
        return (yield)

    # -- the parts of a check ----------------------------------------------------------------------

    def expect(self, items: Iterable[pytest.Item], nodeids: Iterable[str]) -> None:
        """These tests, in this order, are what the judge was told of."""
        self._expected, self._nodeids = list(items), list(nodeids)
        self._numbers.clear()
        self._following = 0
        if self._innermost.is_due:  # the project's own protocol may tell nobody that a check begins
            self._innermost.register()

    def _number_of(self, item: pytest.Item) -> int | None:
        """Identities cost an audit event each, so they are looked up where the order does not tell."""
        following = self._following
        if following < len(self._expected) and self._expected[following] is item:
            self._following += 1
            return following
        if not self._numbers:
            self._numbers = {id(one): place for place, one in enumerate(self._expected)}
        number = self._numbers.get(id(item))
        if number is not None:
            self._following = number + 1
        return number

    def pytest_plugin_registered(self) -> None:
        """Whoever comes could stand nearer to pytest's own hooks."""
        self._innermost.notice_plugin()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        """A check is about to be set up."""
        if self._innermost.is_due:
            self._innermost.register()

    @pytest.hookimpl(wrapper=True, trylast=True)
    def watch_setup(self, item: pytest.Item) -> Generator[None]:
        """Around the first part of a check: setting up its fixtures."""
        if self._innermost.is_due:  # nobody said that this check begins: for its parts to come
            self._innermost.register()
        number = self._number = self._number_of(item)
        self._nodeid = item.nodeid if number is None else self._nodeids[number]
        self._claims.clear()
        self._parts.clear()
        self._why = self._mistake = ""
        if number is not None:
            self._link.send_line(b'["Began",[%d]]\n' % number)
        self._is_setup = True
        try:
            yield from self.watch_part()
        finally:
            self._is_setup = False
        self._plain = observe_early(item, self._end, self._note_raised)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def watch_part(self) -> Generator[None]:
        """Around the check itself, and around tearing its fixtures down."""
        self._raised, self._is_running, self._is_ended = None, True, False
        stray = self._stray_errors
        if (
            threading.excepthook is not stray.thread_hook
            or sys.unraisablehook is not stray.finaliser_hook
        ):
            stray.listen()
        if warnings.filters[self._forced] != self._filters:
            self._force_warnings_to_errors()
        try:
            yield
        except BaseException as error:
            self._note_raised(error)
            raise
        finally:
            self._is_running = False
            if self._innermost.is_due:
                self._innermost.register()

    def _note_raised(self, error: BaseException) -> None:
        if self._raised is None:
            self._raised = error

    def _note_stray(self, error: BaseException) -> None:
        self._stray = error

    def _force_warnings_to_errors(self) -> None:
        """Filters of marks come after those of the settings, and code of a check may have added its own."""
        if warnings.filters[self._forced] != self._filters:
            # as filterwarnings() does for each, at a tenth of the cost
            warnings.filters[:0] = self._filters  # type: ignore[index]  # a list, in all versions
            warnings.simplefilter("error", NEVER_SILENT[-1])
            # the very same objects, which are found equal at once
            warnings.filters[self._forced] = self._filters  # type: ignore[index]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_pyfunc_call(
        self, pyfuncitem: pytest.Function
    ) -> Generator[None, bool | None, bool | None]:
        """Put a watched function in the place of the check's own, whoever calls it."""
        function = pyfuncitem.obj
        is_plain = function is self._plain
        pyfuncitem.obj = observe_body(function, self._end, self._note_raised, is_plain=is_plain)
        try:
            return (yield)
        finally:
            pyfuncitem.obj = function

    def _end(self, result: object) -> None:
        """The body returned. A check that returns something was meant to assert it."""
        __tracebackhide__ = True
        if warnings.filters[self._forced] != self._filters:
            self._force_warnings_to_errors()
        if result is not None:
            pytest.fail(f"the check returned {result!r}: what must hold is asserted, not returned")
        self._is_ended = True

    # -- its reports -------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note what the report may say: pytest's own hooks have made it, those of conftest files come after."""
        raised = call.excinfo
        report = yield
        raised = call.excinfo or raised  # unittest's failures are put there meanwhile
        claim: _Claim = (report.outcome, hasattr(report, "wasxfail"))
        if raised is not None:
            is_hidden = is_skip(raised.value) and not (
                self._raised is None or is_skip(self._raised)
            )
            # a skip that came of something else is what it came of
            claim = _best_claim(claim, self._raised if is_hidden else raised.value)
            if claim[0] == "failed" and not self._why:
                self._why = _first_failure(item, raised)
                has_heard = bool(self._asked) or self._has_shared_answers
                self._mistake = mistake_in(item, call.when, raised, has_heard=has_heard)
        elif not self._is_running and (
            # nothing is said to have been raised, and yet the part did not come to its end
            self._raised is not None
            or (call.when == "call" and not self._is_ended and _has_body(item))
        ):
            claim = _best_claim(claim, None)
        if self._stray is not None and not self._is_running:
            self._stray, claim = None, _best_claim(claim, None)
        when = call.when
        self._claims[when] = claim
        if (number := self._number) is not None:
            self._parts.append((when, *claim, self._is_running))
            if when == "teardown" and not self._is_running:
                self._number = None
                self._tell(number)
        return report

    def _tell(self, number: int) -> None:
        """Tell the judge of an attempt: all its parts have ended."""
        if self._parts == _PLAIN_PASS and not self._measured and not self._asked:
            # it goes with the word that the next one begins; what gets lost has not passed
            self._link.hold_line(b'["Passed",[%d]]\n' % number)
        else:
            parts, measured = tuple(Part(*part) for part in self._parts), tuple(self._measured)
            asked = dict(self._asked)
            self._link.send(AttemptEnded(number, parts, measured, asked, self._why, self._mistake))
            self._measured.clear()
            self._asked.clear()

    def note_measurement(self, told: Mapping[str, str | int | float]) -> None:
        """The check that runs measured something; ``told`` is the JSON of the measurement."""
        name, unit, side = (str(told.get(member, "")) for member in ("name", "unit", "side"))
        self._measured.append(Measured(name, told["value"], unit, side))

    def counter(self, kind: str) -> Callable[[int], None]:
        """What counts the answers of an endpoint of that kind, and those with a status of 5xx once more."""

        def count(status: int) -> None:
            if status >= _SERVER_ERROR:
                broken = f"{kind}{SERVER_ERRORS}"
                self._asked[broken] = self._asked.get(broken, 0) + 1
            self._asked[kind] = self._asked.get(kind, 0) + 1
            self._has_shared_answers |= self._is_setup

        return count

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Hold a report against what was seen, after all others had their hands on it."""
        if self.is_muted:
            return
        claim = (report.outcome, hasattr(report, "wasxfail"))
        truth = self._claims.get(report.when)
        if claim == truth and report.nodeid == self._nodeid:
            return
        if sentence := self._mismatch(report.nodeid, report.when, claim):
            self._link.send(Doubt(sentence, report.nodeid))

    def _mismatch(self, nodeid: str, when: str | None, claim: _Claim) -> str:
        """A sentence where a report makes a part of a check look better than it was; otherwise nothing."""
        truth = self._claims.get(when) if nodeid == self._nodeid else None
        if claim == truth or claim not in (_PASS, ("skipped", False)):
            return ""
        if claim != _PASS and truth == _PASS:
            return ""
        what = "never ran" if truth is None else _TRUTHS.get(truth, "did not come to its end well")
        return f"{nodeid} is reported as {claim[0]}, but its {when} {what}"


def _first_failure(item: pytest.Item, raised: pytest.ExceptionInfo[BaseException]) -> str:
    """Where in the check's own file it failed, and with what: ``FILE:LINE: ERROR``, for people."""
    own = [entry for entry in raised.traceback if Path(str(entry.path)) == item.path]
    line = own[-1].lineno + 1 if own else (item.location[1] or 0) + 1
    error = next((text for text in raised.exconly(tryshort=True).splitlines() if text.strip()), "")
    return f"{item.location[0]}:{line}: {error.strip()}"[:LONGEST_FAILURE]


def _best_claim(claim: _Claim, raised: BaseException | None) -> _Claim:
    """What can be claimed of a part that was left by ``raised``, or that did not come to its end."""
    if is_skip(raised):
        return claim if claim[0] != "passed" else ("skipped", False)
    return claim if claim[0] != "passed" and claim != ("skipped", False) else ("failed", False)


def _has_body(item: pytest.Item) -> bool:
    """Whether a check is a function or method whose end is seen."""
    return isinstance(item, pytest.Function)


class _Parts:
    """The hooks that stand next to pytest's own."""

    def __init__(self, auditor: OutcomeAuditor) -> None:
        self.pytest_runtest_setup = auditor.watch_setup
        self.pytest_runtest_call = auditor.watch_part
        self.pytest_runtest_teardown = auditor.watch_part
