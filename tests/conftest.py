"""What all tests of the plugin share: how long they take decides where they run, and no option leaks into them."""

from pathlib import Path

import pytest

SLOW = ("cli", "emulator", "plugin", "variants", "watchdog")
"""Folders whose tests start many processes; run on one version of Python, see tox.ini."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of slow folders."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.path.relative_to(here).parts[0] in SLOW:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _no_options_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions that tests start must not take options from whoever runs the tests."""
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "DEPLOYGATE_STATE", "PYTHONOPTIMIZE"):
        monkeypatch.delenv(name, raising=False)
