"""The file of secrets in the emulator's home, which the settings of a project may name elsewhere."""

from pathlib import Path

from pytest_deploygate.core.errors import ConfigError


def link_secrets(source: Path, place: Path) -> None:
    """Let ``place`` in the emulator's home be the file ``source``.

    Raises:
        ConfigError: there is no such file, or the emulator has one of its own.
    """
    if not source.is_file():
        raise ConfigError(
            f"secrets-file: {source} does not exist",
            hint='make it with a line like: gemini-api-key = "any text"',
        )
    real = source.resolve()
    if place.exists() and place.samefile(real):
        return
    if place.exists() and not place.is_symlink():
        raise ConfigError(
            f"secrets-file: {source} is named by the settings, but the emulator has one of its own: {place}",
            hint="remove one of them",
        )
    place.unlink(missing_ok=True)
    place.symlink_to(real)
