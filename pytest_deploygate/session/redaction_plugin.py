"""Keeps secrets out of everything that a session shows: reports of checks, warnings, internal errors."""

import warnings

import pytest

from pytest_deploygate.core.printable import without_commands
from pytest_deploygate.core.property_names import GATE_PROPERTY, STATE_PROPERTY
from pytest_deploygate.core.redaction import Redactor

_OWN_MODULES = ("_pytest.", "pytest_subtests")
"""Whose objects make up the picture of a failure."""

_OWN_WORDS = (GATE_PROPERTY, STATE_PROPERTY)
"""Properties whose values are names of the policy, which need no cleaning."""


class RedactionPlugin:
    """Cleans each report before anything prints, writes or counts it."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def _clean(self, text: str) -> str:
        """``text`` without secrets, and without what a CI service would obey."""
        return without_commands(self._redactor(text))

    @pytest.hookimpl(tryfirst=True)
    def pytest_make_parametrize_id(self, val: object) -> str | None:
        """The id of a parameter that is a secret, or holds one: ids stand in reports, files and the record."""
        text = val.decode(errors="replace") if isinstance(val, bytes) else val
        if not isinstance(text, str) or (clean := self._clean(text)) == text:
            return None
        return clean

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One report of a check, from this process or from a worker."""
        said = report.__dict__
        if (
            type(report) is not pytest.TestReport
            or report.longrepr is not None
            or report.sections
            or "context" in said
            or "wasxfail" in said
        ):
            self._clean_report(report)
        properties = report.user_properties
        if len(properties) == 1 and properties[0][0] in _OWN_WORDS:  # of nearly all checks
            return
        for index, (name, value) in enumerate(properties):
            if name not in _OWN_WORDS:
                properties[index] = (self._clean(name), self._redact(value))

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
        if (context := getattr(report, "context", None)) is not None:
            self._clean_context(context)
        if report.sections:
            report.sections = [(title, self._clean(text)) for title, text in report.sections]
        if isinstance(reason := getattr(report, "wasxfail", None), str):
            report.wasxfail = self._clean(reason)  # type: ignore[union-attr] # of a check that was expected to fail
        before = report.longrepr
        if before is None or self._clean(str(before)) == str(before):
            return
        after = self._scrub(before, set())
        is_clean = self._clean(str(after)) == str(after)
        report.longrepr = after if is_clean else self._clean(str(before))  # type: ignore[assignment] # same kind

    def _clean_context(self, context: object) -> None:
        """What a subtest said of itself (``subtests.test(msg, **kwargs)``); it is frozen, but ours alone."""
        if isinstance(msg := getattr(context, "msg", None), str):
            object.__setattr__(context, "msg", self._clean(msg))
        kwargs = getattr(context, "kwargs", {})
        object.__setattr__(context, "kwargs", {k: self._redact(v) for k, v in kwargs.items()})

    def _redact(self, value: object) -> object:
        """``value``, or its clean text where its text holds a secret."""
        text = str(value)
        clean = self._clean(text)
        return value if clean == text else clean

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
