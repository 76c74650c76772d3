"""Declaration of a setting of ``[tool.deploygate]``, written once (ADR 23).

A setting is a field of the value that it becomes (a gate, an environment, ...), with a Setting in its annotation: the
field has name, type and default, the Setting the rest. ``config`` derives from it the reader with its checks, the JSON
schema, the reference page, and what messages and ``deploygate plan`` show.
"""

from collections.abc import Callable, Mapping
from enum import Enum, unique
from typing import NamedTuple


@unique
class Place(Enum):
    """In an annotation: a field that is not a setting itself."""

    NAME = "the name of the table that the value is written in"
    INLINE = "a value whose settings are written among those of the value around it"


class Setting(NamedTuple):
    """What the field itself does not say. For a list or a table, the rules apply to each item."""

    help: str
    example: str = ""
    """In TOML, the text after ``=``."""
    key: str = ""
    """Name in TOML, if it is not the field's name with hyphens."""
    is_a: str = ""
    """What a text must be, for messages: ``a region of Google Cloud``."""
    unit: str = ""
    at_least: int | None = None
    above: int | None = None
    at_most: int | None = None
    below: int | None = None
    pattern: str = ""
    """Regular expression of the whole text; for editors and the check, never shown."""
    key_pattern: str = ""
    """The same for the keys of a table."""
    is_filled: bool = False
    """Whether a text, list or table must not be empty."""
    choices: Mapping[str, object] = {}
    """Allowed values in TOML, with the value that each becomes."""
    parse: Callable[[str], object] | None = None
    """Converts the text to the value; raises ConfigError or ValueError with the cause."""
    problem: Callable[[tuple[object, ...]], str] | None = None
    """Returns the problem of a list as a whole; empty if there is none."""
    fields_of: type | None = None
    """Type whose settings the table may have, all optional, because another table completes it."""
    group: str = ""
    """Of the settings of a table with the same group, at least one must be given."""
    default: str = ""
    """The default in words, if the field's default does not say it."""
    plain: str = ""
    """For a table: the field that a plain value sets when it is written instead of the table."""
    needed_by: tuple[str, ...] = ()
    """Targets that require it."""
    only_for: str = ""
    """The only target that has it."""
    unless: str = ""
    """Another setting that makes it unnecessary."""
    or_in: str = ""
    """Another table that may contain it as well."""


NAME = r"[a-z][a-z0-9_-]*"
"""Pattern of names that users give to gates, triggers and environments."""
