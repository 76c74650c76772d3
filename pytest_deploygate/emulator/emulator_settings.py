"""Settings of one home directory of the emulator: ``settings.toml`` there, all keys optional."""

import os
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.emulator.runtime.pace import PACES

BUILD_CACHE_VARIABLE = "DEPLOYGATE_BUILD_CACHE"
"""Names a directory of virtual environments that several homes share; wins over ``build_cache``."""
_WORDS = {"answers": ("today", "tomorrow"), "pace": PACES}


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorSettings:
    """What a user may change; durations in seconds."""

    build_cache: str = ""
    """Directory of the virtual environments; empty means ``environments`` below the home."""
    idle_s: float = 20.0
    """How long a revision without traffic and without tag goes on running before it is scaled to zero."""
    start_timeout_s: float = 60.0
    """Until then a revision must listen, or its start has failed (the platform waits 240 s)."""
    drain_s: float = 30.0
    """How long requests in flight may go on when a revision is stopped."""
    operation_s: float = 0.0
    """Least duration of an operation: the platform takes a minute or two for what takes moments here."""
    monitoring_lag_s: float = 0.0
    """How old an observation must be before the Monitoring API tells of it (the platform takes minutes)."""
    pace: str = "moments"
    """``google`` takes as long as the platform is recorded to take, times ``pace_factor``."""
    pace_factor: float = 1.0
    answers: str = "today"
    """``tomorrow`` adds to every answer what Google's documents have and the client libraries lack, and inventions."""
    create_tabs: bool = True
    """Whether a tab of a spreadsheet comes into being on first use; False answers 400 as Google does."""


def load_settings(home: Path) -> EmulatorSettings:
    """Read ``settings.toml`` of ``home``; without the file, the defaults.

    Raises:
        ConfigError: the file is no TOML, or a key is unknown or of the wrong type.
    """
    path = home / "settings.toml"
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is not TOML: {error}", hint="correct or remove the file"
        ) from error
    known = {field.name: field for field in fields(EmulatorSettings)}
    for key, value in found.items():
        if key not in known:
            raise ConfigError(f"{path}: unknown key {key!r}", hint=f"known: {', '.join(known)}")
        wanted = type(getattr(EmulatorSettings(), key))
        number = wanted is float and isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and value >= 0) and type(value) is not wanted:
            raise ConfigError(f"{path}: {key} must be {wanted.__name__}, not {value!r}")
    for key, words in _WORDS.items():
        if found.get(key, words[0]) not in words:
            raise ConfigError(
                f"{path}: {key} must be one of {', '.join(words)}, not {found[key]!r}"
            )
    shared = os.environ.get(BUILD_CACHE_VARIABLE)
    return EmulatorSettings(**(found | {"build_cache": shared} if shared else found))
