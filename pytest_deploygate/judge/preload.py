"""Loads what a deployment needs while the session collects; both take about as long, on a processor each."""

import contextlib
import importlib
import threading
from typing import Final

from pytest_deploygate.config.environment import CLOUD_RUN, GOOGLE, Environment

_OF_EVERY_TARGET: Final = (
    "targets.clients",
    "store.sql",
    "targets.auth",
    "targets.run_api",
    "targets.run_revisions",
    "targets.service_access",
    "targets.secret_versions",
    "targets.source_package",
    "targets.cloud_monitoring",
)
"""Modules of the package, the slowest first."""
_OF_TARGET: Final = {
    GOOGLE: (
        "targets.preflight_checks",
        "targets.cloud_functions",
        "targets.deploy_requests",
        "targets.deployment_wait",
    ),
    CLOUD_RUN: (
        "targets.preflight_run",
        "targets.cloud_run",
        "targets.image_builds",
        "targets.run_deployments",
        "targets.source_storage",
    ),
}


def preload_libraries(environment: Environment) -> None:
    """Begin to load them in a thread; nothing for a target of another package."""
    more = _OF_TARGET.get(environment.platform)
    if more is None:
        return

    def load() -> None:
        with contextlib.suppress(Exception):  # who needs them says what is wrong
            for name in (*_OF_EVERY_TARGET, *more):
                importlib.import_module(f"pytest_deploygate.{name}")

    threading.Thread(target=load, name="preload", daemon=True).start()
