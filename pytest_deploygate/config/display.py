"""Settings of an environment as ``deploygate plan`` and ``--deploy-plan`` show them: in TOML."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from pytest_deploygate.config.environment import Environment
from pytest_deploygate.config.tables import fields_of, values_in
from pytest_deploygate.core.policy import Policy

_UNRECORDED: Final = ("paths", "marker", "needs-at-most-s", "environments")
"""Settings of a gate that no record keeps: where its checks are, and what they need."""


class WrittenSetting(NamedTuple):
    """A setting in force; ``value`` is TOML. ``is_default`` if the value is the default."""

    key: str
    value: str
    is_default: bool

    def __str__(self) -> str:
        return f"{self.key} = {self.value}" + (" (default)" if self.is_default else "")


def written_settings(environment: Environment, folder: Path) -> Iterator[WrittenSetting]:
    """All settings of ``environment`` with a value; paths below ``folder`` are relative to it."""
    for field, value in values_in(environment):
        is_default = value == field.default
        if is_default and (field.setting.default or value in ("", None, (), {})):
            continue
        if field.key == "source" and Path(str(value)).is_relative_to(folder):
            value = os.path.relpath(str(value), folder)  # noqa: PLW2901  as it is written
        text = field.kind.write(value)
        if text != "{}":
            yield WrittenSetting(field.key, text, is_default)


def written_policy(policy: Policy) -> Iterator[WrittenSetting]:
    """Gates, phases, triggers and objectives, as far as a record keeps them."""
    named: list[tuple[str, Any]] = [
        *((f"gates.{one.name}", one) for one in policy.gates),
        *((f"phases.{phase.value}", one) for phase, one in policy.phases.items()),
        *((f"triggers.{one.name}", one) for one in policy.triggers),
        *((f"objectives.{one.name}", one) for one in policy.objectives),
    ]
    for key, table in named:
        pairs = [
            f"{field.key} = {field.kind.write(value)}"
            for field in fields_of(table.__class__)
            if field.key not in _UNRECORDED and (value := getattr(table, field.name)) is not None
        ]
        yield WrittenSetting(key, f"{{ {', '.join(pairs)} }}", is_default=False)
