"""How a value is written in ``[tool.deploygate]``: what there is to say of a setting, said once.

A setting is a field of the value that it becomes (a gate, an environment, ...), with a Setting in its annotation: the
field has the name, the type and the default, the Setting the rest. ``config`` makes of that what reads and checks the
file, the JSON schema, the reference page, and what messages and ``deploygate plan`` show.
"""

from collections.abc import Callable, Mapping
from enum import Enum, unique
from typing import NamedTuple


@unique
class Place(Enum):
    """In an annotation: a field that is no setting of its own."""

    NAME = "the name of the table that the value is written in"
    INLINE = "a value whose settings are written among those of the value around it"


class Setting(NamedTuple):
    """What the field does not say of itself. Of a list or a table, the rules are those of each of its items."""

    help: str
    example: str = ""
    """As it is written in TOML, behind ``=``."""
    key: str = ""
    """Name in TOML where it is not that of the field with hyphens."""
    is_a: str = ""
    """What a text must be, for messages: ``a region of Google Cloud``."""
    unit: str = ""
    at_least: int | None = None
    above: int | None = None
    at_most: int | None = None
    below: int | None = None
    pattern: str = ""
    """Regular expression of a text, whole; for editors and the check, never shown."""
    key_pattern: str = ""
    """The same of the keys of a table."""
    is_filled: bool = False
    """Whether a text, list or table must not be empty."""
    choices: Mapping[str, object] = {}
    """Words that may be written, with what each becomes."""
    parse: Callable[[str], object] | None = None
    """Makes the value of a text; raises ConfigError or ValueError with the cause."""
    problem: Callable[[tuple[object, ...]], str] | None = None
    """What is wrong with a list as a whole; empty if nothing is."""
    fields_of: type | None = None
    """Type whose settings the table may have, all of them optional: it is completed by another table."""
    group: str = ""
    """At least one of the settings of a table that have the same must be written."""
    default: str = ""
    """What holds where nothing is written, in words, if the value's own default does not say it."""
    needed_by: str = ""
    """Target that cannot do without."""
    or_in: str = ""
    """Another table where it may be written as well."""


NAME = r"[a-z][a-z0-9_-]*"
"""Names that users give: of gates, triggers and environments."""
