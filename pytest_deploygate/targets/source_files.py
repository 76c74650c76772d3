"""Reads files of a function's source."""

from pathlib import Path

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.targets.ignore_rules import FILE_NAME


def read_file(path: Path) -> bytes:
    """The content of a file of the source.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}",
            hint=f"correct its permissions, or add it to {FILE_NAME}",
        ) from error
