"""Whether a rule decides, or only says what it would have decided."""

from enum import Enum, unique
from typing import Final

from pytest_deploygate.core.setting import Setting


@unique
class Enforcement(Enum):
    """BLOCK: the rule decides. WARN: it is judged, shown and recorded, and decides nothing."""

    BLOCK = "block"
    WARN = "warn"


ENFORCE: Final = Setting(
    "`warn`: judged, shown and recorded, but it decides nothing", example='"warn"'
)
