"""What ``deploygate plan`` and ``--deploy-plan`` show of an environment's settings: as they would be written."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pytest_deploygate.config.environment import Environment
from pytest_deploygate.config.tables import values_in


class WrittenSetting(NamedTuple):
    """A setting that holds; ``value`` is TOML. ``is_default`` says that it need not be written."""

    key: str
    value: str
    is_default: bool

    def __str__(self) -> str:
        return f"{self.key} = {self.value}" + (" (default)" if self.is_default else "")


def written_settings(environment: Environment, folder: Path) -> Iterator[WrittenSetting]:
    """All settings of ``environment`` that say something; paths are relative to ``folder`` where they are below it."""
    for field, value in values_in(environment):
        is_default = value == field.default
        if is_default and (field.setting.default or value in ("", None, (), {})):
            continue
        if field.key == "source" and Path(str(value)).is_relative_to(folder):
            value = os.path.relpath(str(value), folder)  # noqa: PLW2901  as it is written
        text = field.kind.write(value)
        if text != "{}":
            yield WrittenSetting(field.key, text, is_default)
