"""Settings from ``[tool.deploygate]`` of pyproject.toml, checked by a JSON Schema.

Every error names the file, the key, what is wrong with it and what is allowed. Numbers are read as decimals, so that
a threshold of 0.95 is exactly 19/20. What is found right is noted in the state folder with the text it was read from:
commands that look at little of it begin at once.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_deploygate import FILE
from pytest_deploygate.config import loader
from pytest_deploygate.config.toml_access import Table, as_table, list_of, table_of, texts_of
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.identifiers import EnvironmentName

if TYPE_CHECKING:
    from pytest_deploygate.config.environment import Environment
    from pytest_deploygate.core.policy import Policy

STATE_FOLDER = ".deploygate"
_NOTE = "settings.json"
"""In the state folder: the settings that were found right last."""
_VARIABLES = ("environment-variables", "verify-environment", "build-environment-variables")


class Settings:
    """All of ``[tool.deploygate]``. ``root`` is the directory of pyproject.toml; paths are relative to it.

    The parts are built when they are asked for, since most commands need few of them.
    """

    def __init__(self, root: Path, table: Table, *, policy: "Policy | None" = None) -> None:
        self.root = root
        self._path = root / FILE
        self._table = table
        self._environments = table_of(table, "environments")
        self._policy = policy
        self.default_environment = str(table.get("default-environment", "local"))
        self.state = str(table.get("state", ""))
        self.plugins = tuple(str(name) for name in list_of(table.get("plugins")))
        """Modules whose hooks act, loaded by the process that decides."""
        self.prometheus_textfile = str(table.get("prometheus-textfile", ""))
        """Where metrics are left for node_exporter's textfile collector; empty for nowhere."""

    @cached_property
    def policy(self) -> "Policy":
        """Phases, gates and triggers."""
        if self._policy is not None:
            return self._policy
        from pytest_deploygate.config.policy_settings import policy_of

        return policy_of(self._path, self._table)

    @cached_property
    def environments(self) -> "Mapping[str, Environment]":
        """All environments by name, in the order of the file."""
        from pytest_deploygate.config.environment import environment_of

        base = table_of(self._table, "function")
        return {
            name: environment_of(self._path, EnvironmentName(name), base, as_table(own))
            for name, own in self._environments.items()
        }

    @property
    def environment_names(self) -> tuple[EnvironmentName, ...]:
        """Names of all environments, in the order of the file."""
        return tuple(map(EnvironmentName, self._environments))

    def require(self, name: str) -> EnvironmentName:
        """``name``, which must be that of an environment.

        Raises:
            ConfigError: there is none; names those that exist.
        """
        if name in self._environments:
            return EnvironmentName(name)
        raise ConfigError(
            f"unknown environment {name!r}",
            hint=f"environments in {self._path}: {', '.join(self._environments)}",
        )

    def environment(self, name: str) -> "Environment":
        """The environment of that name.

        Raises:
            ConfigError: there is none; names those that exist.
        """
        return self.environments[self.require(name)]

    def judging(self, environment: "Environment") -> "Settings":
        """These settings with the policy as it is in ``environment``."""
        from pytest_deploygate.config.policy_settings import judging

        return Settings(self.root, self._table, policy=judging(self.policy, environment))

    @property
    def state_dir(self) -> Path:
        """Where records, packages, backups and the local cloud live."""
        return self.root / STATE_FOLDER

    @property
    def emulator_home(self) -> Path:
        """Where the emulator of this project keeps its state."""
        return self.state_dir / "local"

    def variables(self) -> Iterator[Mapping[str, str]]:
        """Every table of variables, of the function and of each environment, as they are written."""
        for own in self._tables():
            yield from (texts_of(own, key) for key in _VARIABLES)

    def secrets_files(self) -> Iterator[Path]:
        """Files that hold the local cloud's secrets, whether or not they exist."""
        for own in self._tables():
            if name := str(own.get("secrets-file", "")):
                yield self.root / name

    def _tables(self) -> Iterator[Table]:
        yield table_of(self._table, "function")
        for raw in self._environments.values():
            yield from (own := as_table(raw), table_of(own, "rehearsal"))


def load(root: Path, *, is_checked: bool = False) -> Settings:
    """Read and check the settings of the project at ``root``; ``is_checked`` says that another process just has.

    Raises:
        ConfigError: the file is missing, is not TOML, or does not fit the schema.
    """
    path, note = root / FILE, root / STATE_FOLDER / _NOTE
    text = loader.text_of(path)
    known = loader.recalled(note, text)
    if known is not None:
        return Settings(root, known)
    table = loader.table_in(path, text)
    if is_checked:
        return Settings(root, table)
    loader.check(path, table)
    settings = Settings(root, table)
    _refuse_unknown_names(path, settings, table)
    loader.remember(note, text, table)
    return settings


def _refuse_unknown_names(path: Path, settings: Settings, table: Table) -> None:
    """Build everything, so that what is wrong with it is said now, and hold names against each other."""
    default, environments = settings.default_environment, settings.environments
    if "default-environment" in table and default not in environments:
        raise ConfigError(
            f"{path}: tool.deploygate.default-environment: {default!r} is not an environment "
            f"(there are: {', '.join(environments)})"
        )
    known = [gate.name for gate in settings.policy.gates]
    for name, environment in environments.items():
        for gate in environment.gates:
            if gate not in known:
                raise ConfigError(
                    f"{path}: tool.deploygate.environments.{name}.gates: there is no gate {gate!r} "
                    f"(there are: {', '.join(known)})"
                )
