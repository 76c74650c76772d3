"""Selects the environment of a session, and creates the redactor of its project."""

import contextlib
import os

from pytest_deploygate.config.environment import CLOUD_RUN, LOCAL, REHEARSAL, Environment
from pytest_deploygate.config.settings import Settings
from pytest_deploygate.core.redaction import Redactor, secrets_among


def select_environment(settings: Settings, name: str, *, endpoint: str = "") -> Environment:
    """The environment of that name, or the default one; with ``endpoint="local"`` its rehearsal on the emulator.

    Raises:
        ConfigError: the environment is unknown.
    """
    environment = settings.environment(name or settings.default_environment)
    if endpoint == LOCAL and environment.target != LOCAL:
        rehearsal = f"{environment.name}{REHEARSAL}"
        spec, rehearsed = environment.spec, environment.rehearsal
        container = spec.container._replace(command=rehearsed.command or spec.container.command)
        variables = {**spec.variables, **rehearsed.variables}
        return environment._replace(
            spec=spec._replace(variables=variables, container=container),
            emulates="cloud-run" if environment.target == CLOUD_RUN else "google",
            secrets_file=environment.rehearsal.secrets_file or environment.secrets_file,
            name=type(environment.name)(rehearsal),
            target=LOCAL,
            freeze=(),
            approval="none",
            statistics=environment.statistics._replace(lag_s=None),
        )
    return environment


def redactor_for(settings: Settings) -> Redactor:
    """Create a redactor with the secrets of this project: local secrets, and variables whose name says so."""
    redactor = Redactor(secrets_among(os.environ))
    for variables in settings.variables:
        redactor.learn(secrets_among(variables))
    for place in {settings.emulator_home / "secrets.toml", *settings.secrets_files()}:
        with contextlib.suppress(
            OSError, ValueError
        ):  # the code that needs the file reports its errors
            text = place.read_text(encoding="utf-8")
            import tomllib

            known = tomllib.loads(text)
            redactor.learn(value for value in known.values() if isinstance(value, str))
    return redactor
