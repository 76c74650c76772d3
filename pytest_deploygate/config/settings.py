"""Reads and checks the settings in ``[tool.deploygate]`` of pyproject.toml (ADR 23).

Every error names the file, the key with its table as the user writes it, what is wrong, and what to write instead.
Numbers are read as decimals, so that a threshold of 0.95 is exactly 19/20.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pytest_deploygate import FILE
from pytest_deploygate.config import contradictions, loader
from pytest_deploygate.config.document import (
    DOCUMENT,
    ENVIRONMENT,
    TABLE,
    SessionCredentials,
    SettingsTable,
)
from pytest_deploygate.config.environment import REHEARSAL, Environment, Rehearsal
from pytest_deploygate.config.kinds import SettingFaults
from pytest_deploygate.config.tables import field_of
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.function_spec import PLAIN_VARIABLES, FunctionSpec
from pytest_deploygate.core.identifiers import EnvironmentName, Phase
from pytest_deploygate.core.notification import NotifyChannel
from pytest_deploygate.core.policy import Gate, Policy
from pytest_deploygate.system.private_folder import STATE_FOLDER


class Settings(NamedTuple):
    """Settings of a project. ``root`` is the directory of pyproject.toml; paths are relative to it."""

    root: Path
    policy: Policy
    environments: Mapping[str, Environment]
    """By name, in the order of the file."""
    default_environment: str
    state: str
    """URL of the record; empty for the state folder."""
    prometheus_textfile: str
    """File for node_exporter's textfile collector; empty for none."""
    plugins: tuple[str, ...]
    """Modules with acting hooks; the deciding process loads them."""
    channels: tuple[NotifyChannel, ...]
    """Who is told how rollouts end."""
    session_credentials: SessionCredentials
    session_variables: tuple[str, ...]
    """Variables that the session keeps although they would be withheld."""
    variables: tuple[Mapping[str, str], ...]
    """Every table of variables in the file, of the function and of each environment."""
    left_out: tuple[Gate, ...] = ()
    """Gates of the steps that an operator left out for one rollout. Not a setting."""

    @property
    def environment_names(self) -> tuple[EnvironmentName, ...]:
        """Names of all environments, in the order of the file."""
        return tuple(map(EnvironmentName, self.environments))

    def environment(self, name: str) -> Environment:
        """The environment of that name.

        Raises:
            ConfigError: there is none; the hint names those that exist.
        """
        if name in self.environments:
            return self.environments[name]
        raise ConfigError(
            f"unknown environment {name!r}",
            hint=f"environments in {self.root / FILE}: {', '.join(self.environments)}",
        )

    def narrow_to(self, environment: Environment, *, has_steps: bool = True) -> "Settings":
        """These settings with the gate overrides of ``environment``, without gates of others and of steps it lacks.

        Without ``has_steps`` nothing is promoted, so there is no step at all.
        """
        here, name = environment.gates, environment.name
        if name not in self.environments:  # a rehearsal is judged as what is rehearsed
            name = EnvironmentName(name.removesuffix(REHEARSAL))
        is_stepped = has_steps and bool(environment.engine.judged_percents)
        found = [
            here[g.name].apply(g) if g.name in here else g
            for g in self.policy.gates
            if g.judges(name)
        ]
        gates = tuple(g for g in found if is_stepped or g.phase is not Phase.STEP)
        is_left_out = any(step.percent < 100 for step in environment.engine.left_out)
        return self._replace(
            policy=replace(self.policy, gates=gates),
            left_out=tuple(g for g in found if is_left_out and g.phase is Phase.STEP),
        )

    @property
    def state_dir(self) -> Path:
        """Directory of the record, packages, backups and the emulator."""
        return self.root / STATE_FOLDER

    @property
    def emulator_home(self) -> Path:
        """Directory of the state of this project's emulator."""
        return self.state_dir / "local"

    def secrets_files(self) -> Iterator[Path]:
        """Paths of the emulator's secrets files, whether or not they exist."""
        for environment in self.environments.values():
            for name in (environment.secrets_file, environment.rehearsal.secrets_file):
                if name:
                    yield self.root / name


def load(root: Path) -> Settings:
    """Read and check the settings of the project at ``root``.

    Raises:
        ConfigError: the file is missing, is not TOML, or has errors; the message lists all of them.
    """
    path, faults = root / FILE, SettingFaults()
    table = loader.read_table(path)
    document = DOCUMENT.read(table, TABLE, faults)
    if not isinstance(document, SettingsTable):
        raise faults.error(path)
    tables = {name: _merge(document.function, own) for name, own in document.environments.items()}
    environments = {
        name: ENVIRONMENT.make(own, f"{TABLE}.environments.{name}", faults)
        for name, own in tables.items()
    }
    contradictions.find(document, tables, faults, table)
    if faults:
        raise faults.error(path)
    return Settings(
        root=root,
        policy=Policy(
            gates=tuple(document.gates.values()),
            phases={phase: getattr(document.phases, phase.value) for phase in Phase},
            triggers=tuple(document.triggers.values()),
            objectives=tuple(document.objectives.values()),
        ),
        environments={name: _add_source(root, one) for name, one in environments.items()},
        default_environment=document.default_environment,
        state=document.state,
        channels=tuple(document.notify.values()),
        prometheus_textfile=document.prometheus_textfile,
        plugins=document.plugins,
        session_credentials=document.session_credentials,
        session_variables=document.session_variables,
        variables=tuple(_variables_in(document)),
    )


def _merge(shared: Mapping[str, object], own: object) -> dict[str, object]:
    """Merge the keys of an environment into the shared ones; tables in both are merged key by key."""
    if not isinstance(own, dict):
        return {}
    merged = {**shared, **own}
    for key, one in shared.items():
        if isinstance(one, dict) and isinstance(own.get(key), dict):
            merged[key] = {**one, **own[key]}
    return merged


def _add_source(root: Path, environment: Environment) -> Environment:
    if not environment.spec.source:  # an image is deployed as it is
        return environment
    source = str((root / environment.spec.source).resolve())
    return environment._replace(spec=environment.spec._replace(source=source))


def _variables_in(document: SettingsTable) -> Iterator[Mapping[str, str]]:
    for own in (document.function, *document.environments.values()):
        for name in PLAIN_VARIABLES:
            if isinstance(found := own.get(field_of(FunctionSpec, name).key), dict):
                yield found
        variants = own.get(field_of(FunctionSpec, "verify_variants").key)
        yield from variants.values() if isinstance(variants, dict) else ()
        if isinstance(rehearsal := own.get("rehearsal"), Rehearsal):
            yield rehearsal.variables
