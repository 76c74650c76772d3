"""Keeps secrets out of everything that a session shows: reports of checks, warnings, internal errors."""

import warnings

import pytest

from pytest_deploygate.core.redaction import Redactor

_OWN_MODULES = ("_pytest.", "pytest_subtests")
"""Whose objects make up the picture of a failure."""


class Redacting:
    """Cleans each report before anything prints, writes or counts it."""

    def __init__(self, redactor: Redactor) -> None:
        self._clean = redactor

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One report of a check, from this process or from a worker."""
        self._clean_report(report)
        report.user_properties = [
            (name, self._clean(value) if isinstance(value, str) else value)
            for name, value in report.user_properties
        ]

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """What was or was not collected."""
        self._clean_report(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excrepr: object) -> None:
        """An error of pytest or of a plugin, about to be printed."""
        self._scrub(excrepr, set())

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """A warning, about to be remembered for the summary."""
        text = str(warning_message.message)
        if self._clean(text) != text:
            warning_message.message = self._clean(text)

    def _clean_report(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        report.sections = [(title, self._clean(text)) for title, text in report.sections]
        before = report.longrepr
        if before is None or self._clean(str(before)) == str(before):
            return
        after = self._scrub(before, set())
        is_clean = self._clean(str(after)) == str(after)
        report.longrepr = after if is_clean else self._clean(str(before))  # type: ignore[assignment] # same kind

    def _scrub(self, value: object, seen: set[int]) -> object:
        """``value`` with clean texts; objects and lists are changed in place."""
        if isinstance(value, str):
            return self._clean(value)
        if isinstance(value, tuple):
            return tuple(self._scrub(item, seen) for item in value)
        if id(value) in seen:
            return value
        seen.add(id(value))
        if isinstance(value, list):
            value[:] = [self._scrub(item, seen) for item in value]
        elif type(value).__module__.startswith(_OWN_MODULES) and hasattr(value, "__dict__"):
            for name, item in vars(value).items():
                setattr(value, name, self._scrub(item, seen))
        return value
