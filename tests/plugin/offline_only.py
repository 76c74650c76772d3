"""A pytest plugin that refuses the network during collection, and does nothing else."""

import pytest

from pytest_deploygate.collection.network_guard import NetworkGuard


def pytest_configure(config: pytest.Config) -> None:
    """As a session that touches a target does."""
    config.pluginmanager.register(NetworkGuard())
