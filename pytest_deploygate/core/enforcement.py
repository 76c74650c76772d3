"""Whether a rule decides, or only reports what it would decide."""

from enum import Enum, unique
from typing import Final

from pytest_deploygate.core.setting import Setting


@unique
class Enforcement(Enum):
    """BLOCK: the rule decides. WARN: the rule is judged, shown and recorded, but decides nothing."""

    BLOCK = "block"
    WARN = "warn"


ENFORCE: Final = Setting(
    "`warn`: the rule is judged, shown and recorded, but decides nothing", example='"warn"'
)
