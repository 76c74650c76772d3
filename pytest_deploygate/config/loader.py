"""Reads the table ``[tool.deploygate]`` from a file."""

from pathlib import Path

from pytest_deploygate.config.kinds import Toml
from pytest_deploygate.core.errors import ConfigError


def read_table(path: Path) -> dict[str, Toml]:
    """Read the table in the file at ``path``; numbers with a point become decimals.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or has no such table.
    """
    import tomllib
    from decimal import Decimal

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError)
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror}",
            hint="run pytest in the directory of a pyproject.toml with a [tool.deploygate] table"
            if is_missing
            else "give read permission to the user who runs this",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: not valid TOML: {error}", hint="correct the file; it must be UTF-8"
        ) from error
    table = document.get("tool", {}).get("deploygate")
    if not isinstance(table, dict):
        raise ConfigError(
            f"{path}: there is no [tool.deploygate] table",
            hint="set up this project: deploygate init; or go into the one that has it",
        )
    return table
