"""Settings of an environment as ``deploygate plan`` and ``--deploy-plan`` show them: in TOML."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pytest_deploygate.config.environment import Environment
from pytest_deploygate.config.tables import values_in


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
