"""What is done to collected checks in every session: their gate is noted, live checks get their marker."""

import functools
import inspect
import warnings
from collections.abc import Generator

import pytest

from pytest_deploygate.config import Settings
from pytest_deploygate.configured import ROLLBACK_CHECKS
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.values import Phase
from pytest_deploygate.inventory import gate_of
from pytest_deploygate.stash import GATE_PROPERTY

NO_DEPLOYMENT = "no deployment: use --deploy-to or --deploy-env"


NEVER_SILENT = (
    pytest.PytestReturnNotNoneWarning,
    pytest.PytestUnhandledThreadExceptionWarning,
    pytest.PytestUnraisableExceptionWarning,
    pytest.PytestAssertRewriteWarning,
)
"""Warnings that hide a check which did not hold."""
_RETURNED = "It is deprecated to return a value that is not None from a test case"
"""What unittest warns of when a method of a test case returns something."""


class GatedItems:
    """Notes the gate of each check where reports carry it, and marks the checks of live gates."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @pytest.hookimpl(tryfirst=True)
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Called for each item before any hook can deselect it."""
        try:
            gate = gate_of(item, self._settings.policy, self._settings.root)
        except ConfigError as error:
            raise pytest.UsageError(str(error)) from error
        if gate is None:
            return
        item.user_properties.append((GATE_PROPERTY, gate.name))
        if gate.phase is Phase.LIVE:
            item.add_marker(ROLLBACK_CHECKS)


class Insisting:
    """Lets no check of a deployment pass behind a warning, also where the check or its marks silence warnings.

    Filters of marks come after those of the settings, and code of a check may add its own; so the filters are put in
    front again before each part of a check and after its body, and what a check returns is looked at here.
    """

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Generator[None]:
        """Before fixtures are set up."""
        _insist()
        yield

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None]:
        """Before the check runs."""
        _insist()
        yield

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None]:
        """Before fixtures are torn down."""
        _insist()
        yield

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_pyfunc_call(
        self, pyfuncitem: pytest.Function
    ) -> Generator[None, bool | None, bool | None]:
        """A check that returns something was meant to assert it."""
        function = pyfuncitem.obj
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            return (yield)  # plugins that run coroutines look at the function itself

        @functools.wraps(function)
        def checked(**arguments: object) -> object:
            __tracebackhide__ = True
            result = function(**arguments)
            _insist()
            if result is not None and not inspect.isawaitable(result):
                pytest.fail(
                    f"the check returned {result!r}: what must hold is asserted, not returned"
                )
            return result

        pyfuncitem.obj = checked
        try:
            return (yield)
        finally:
            pyfuncitem.obj = function


def _insist() -> None:
    for category in NEVER_SILENT:
        warnings.filterwarnings("error", category=category)
    warnings.filterwarnings("error", message=_RETURNED, category=DeprecationWarning)


class Skipping:
    """A session without a deployment: checks that need one are skipped."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Skip the checks of candidate and live gates."""
        for item in items:
            gate = gate_of(item, self._settings.policy, self._settings.root)
            if gate is not None and gate.phase is not Phase.READINESS:
                item.add_marker(pytest.mark.skip(reason=NO_DEPLOYMENT), append=False)
