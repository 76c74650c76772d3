"""Keeps hooks next to pytest's own, so that they see what is raised before a hook of a project can swallow it.

Of two wrappers that both want to be last, the one registered later is nearer to pytest's own function. So these are
registered anew whenever another plugin has come, before the next part of a check.
"""

import inspect
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

_INSTALLED = ("site-packages", "dist-packages")
NOTE = Callable[[BaseException], None]
PLUGINS = ("deploygate-auditor-parts", "deploygate-auditor-fixtures")


class FixtureOutside:
    """The outer one of two: an exception that only the inner one has seen was swallowed in between."""

    def __init__(self, note: NOTE) -> None:
        self._note = note
        self.raised: list[BaseException | None] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self) -> Generator[None, object, object]:
        """Around all others."""
        self.raised.append(None)
        try:
            result = yield
        except BaseException:
            self.raised.pop()
            raise
        error = self.raised.pop()
        if error is not None:
            self._note(error)
        return result


class FixtureInside:
    """The inner one."""

    def __init__(self, outside: FixtureOutside) -> None:
        self._outside = outside

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_fixture_setup(self) -> Generator[None, object, object]:
        """Next to pytest's own."""
        try:
            return (yield)
        except BaseException as error:
            if self._outside.raised:
                self._outside.raised[-1] = error
            raise


class Innermost:
    """Registers ``parts`` and the hooks on fixtures next to pytest's own, again and again."""

    def __init__(self, manager: pytest.PytestPluginManager, parts: object, note: NOTE) -> None:
        self._manager = manager
        self._parts = parts
        self._outside = FixtureOutside(note)
        self._inside = FixtureInside(self._outside)
        self._is_at_it = False
        self.is_due = True
        """Whether another plugin has come since."""

    def notice_plugin(self) -> None:
        """Another plugin has come, or one of these."""
        self.is_due = self.is_due or not self._is_at_it

    def register(self) -> None:
        """Register all anew."""
        self._is_at_it = True
        try:
            self._register(self._parts, PLUGINS[0])
            if self._has_foreign_fixture_hook():
                # the outer one first: both are then where they should be
                self._register(self._outside, f"{PLUGINS[1]}-outside")
                self._register(self._inside, f"{PLUGINS[1]}-inside")
        finally:
            self._is_at_it = False
        self.is_due = False

    def _register(self, plugin: object, name: str) -> None:
        if self._manager.is_registered(plugin):
            self._manager.unregister(plugin)
        self._manager.register(plugin, name)

    def _has_foreign_fixture_hook(self) -> bool:
        """Whether a hook of the project stands between: otherwise nothing has to be compared, at some cost."""
        ours = (self._outside, self._inside)
        return any(
            found.plugin not in ours and not _is_installed(found.function)
            for found in self._manager.hook.pytest_fixture_setup.get_hookimpls()
        )


def _is_installed(function: Callable[..., object]) -> bool:
    """Whether a hook is of pytest or of an installed plugin."""
    try:
        parts = Path(inspect.getfile(function)).parts
    except TypeError:  # no plain function: nobody knows whose it is
        return False
    return any(folder in parts for folder in _INSTALLED)
