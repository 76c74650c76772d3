"""One place to deploy to, and how it is read from the settings, already checked by the schema."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytest_deploygate.config.function_settings import spec_of
from pytest_deploygate.config.toml_access import (
    Table,
    as_table,
    integer,
    list_of,
    optional_integer,
    table_of,
    texts_of,
)
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.identifiers import Digest, EnvironmentName
from pytest_deploygate.core.release import FunctionSpec

if TYPE_CHECKING:
    from pytest_deploygate.core.freeze import FreezeWindow

_MAPS = (
    "environment-variables",
    "verify-environment",
    "secrets",
    "labels",
    "build-environment-variables",
)
"""Tables of an environment that add to those of ``[tool.deploygate.function]``."""


class StatisticsWindow(NamedTuple):
    """What the platform is asked for: its figures of ``window_s`` seconds that ended ``lag_s`` ago.

    ``lag_s`` None is what the platform needs. Of fewer than ``least_requests`` requests it tells no rate and no
    percentile.
    """

    window_s: int = 600
    lag_s: int | None = None
    least_requests: int = 10


class Environment(NamedTuple):
    """One place to deploy to. ``target`` is ``local``, ``google`` or the name of an entry point."""

    name: EnvironmentName
    target: str
    spec: FunctionSpec
    endpoint: str = ""
    port: int = 0
    steps: tuple[int, ...] = (100,)
    rolls_back: bool = True
    """Whether failing rollback-checks roll back, or only report."""
    rollout_budget_s: int = 600
    rollback_budget_s: int = 300
    lease_ttl_s: int = 60
    confirmations: int = 3
    secrets_file: str = ""
    services: Mapping[str, str] = {}
    freeze: "tuple[FreezeWindow, ...]" = ()
    approval: str = "none"
    statistics: StatisticsWindow = StatisticsWindow()
    rehearsal_variables: Mapping[str, str] = {}
    """Environment variables that a rehearsal on the local cloud adds or replaces."""
    rehearsal_secrets_file: str = ""
    gates: Mapping[str, Table] = {}
    """What is otherwise about gates here, by name: ``skips``, ``least-checks``."""

    @property
    def config_digest(self) -> Digest:
        """Digest of everything that makes a revision apart from its source."""
        import hashlib

        spec = self.spec
        facts = {
            name: getattr(spec, name)
            for name in FunctionSpec._fields
            if name not in ("source", "secrets")
        }
        facts["secrets"] = {k: [s.project, s.name, s.version] for k, s in spec.secrets.items()}
        text = json.dumps(facts, sort_keys=True, default=dict)
        return Digest(hashlib.sha256(text.encode()).hexdigest())


def environment_of(path: Path, name: EnvironmentName, base: Table, own: Table) -> Environment:
    """The environment in ``own``, on top of the function's settings in ``base``; ``path`` names the file.

    Raises:
        ConfigError: a key is missing, steps do not ascend to 100, or a freeze window cannot be read.
    """
    merged: Table = {**base, **own}
    for key in _MAPS:
        if key in base or key in own:
            merged[key] = {**table_of(base, key), **table_of(own, key)}
    where = f"{path}: tool.deploygate.environments.{name}"
    steps = tuple(integer(s, 0) for s in list_of(merged.get("steps"))) or (100,)
    if list(steps) != sorted(set(steps)) or steps[-1] != 100:
        raise ConfigError(f"{where}.steps: must ascend and end with 100, got {list(steps)}")
    return Environment(
        name=name,
        target=str(merged["target"]),
        spec=spec_of(path.parent, where, merged),
        endpoint=str(merged.get("endpoint", "")),
        port=integer(merged.get("port"), 0),
        steps=steps,
        rolls_back=merged.get("on-failure", "roll-back") == "roll-back",
        rollout_budget_s=integer(merged.get("rollout-budget-s"), 600),
        rollback_budget_s=integer(merged.get("rollback-budget-s"), 300),
        lease_ttl_s=integer(merged.get("lease-ttl-s"), 60),
        confirmations=integer(merged.get("confirmations"), 3),
        secrets_file=str(merged.get("secrets-file", "")),
        services=texts_of(merged, "services"),
        freeze=_freeze(where, merged),
        approval=str(merged.get("approval", "none")),
        statistics=_statistics(table_of(merged, "statistics")),
        rehearsal_variables=texts_of(table_of(merged, "rehearsal"), "environment-variables"),
        rehearsal_secrets_file=str(table_of(merged, "rehearsal").get("secrets-file", "")),
        gates={gate: as_table(raw) for gate, raw in table_of(merged, "gates").items()},
    )


def _statistics(own: Table) -> StatisticsWindow:
    default = StatisticsWindow()
    return StatisticsWindow(
        window_s=integer(own.get("window-s"), default.window_s),
        lag_s=optional_integer(own.get("lag-s")),
        least_requests=integer(own.get("least-requests"), default.least_requests),
    )


def _freeze(where: str, own: Table) -> "tuple[FreezeWindow, ...]":
    if "freeze" not in own:
        return ()
    from pytest_deploygate.core.freeze import parse

    try:
        return tuple(parse(str(text)) for text in list_of(own.get("freeze")))
    except ConfigError as error:
        raise ConfigError(f"{where}.freeze: {error.message}", hint=error.hint) from error
