"""Secrets of the emulator: ``secrets.toml`` in its home directory, in place of Secret Manager.

A secret is a text (then it is version 1), or a table of versions::

    gemini-api-key = "one text for every version"

    [other-key]
    1 = "first"
    2 = "second"

``latest`` is the highest number. The file is read whenever a revision starts, as the platform does.
"""

import tomllib
from pathlib import Path

from pytest_deploygate.emulator.runtime.runner import StartError

FILE = "secrets.toml"


class SecretMissing(StartError):
    """The secret, its version or the file is not there; the text names it, never a value."""


def resolve_secret(home: Path, secret: str, version: str) -> str:
    """The value of ``version`` (a number or ``latest``) of ``secret`` (short or full name).

    Raises:
        SecretMissing: it is not in the file, or the file cannot be read.
    """
    return find_version(home, secret, version)[1]


def find_version(home: Path, secret: str, version: str) -> tuple[str, str]:
    """Number and value of ``version``; a secret that is a plain text has that text for every number.

    Raises:
        SecretMissing: it is not in the file, or the file cannot be read.
    """
    short = secret.rsplit("/", 1)[-1]
    path = home / FILE
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SecretMissing(f"{path.name} is not TOML") from error
    value = found.get(short)
    is_latest = version in {"", "latest"}
    if isinstance(value, str):
        return ("1" if is_latest else version), value
    versions = {str(k): v for k, v in value.items()} if isinstance(value, dict) else {}
    numbers = sorted((int(k) for k in versions if k.isdigit()), reverse=True)
    wanted = str(numbers[0]) if is_latest and numbers else version
    if not isinstance(versions.get(wanted), str):
        raise SecretMissing(f"Secret {short}/versions/{version or 'latest'} was not found")
    return wanted, str(versions[wanted])
