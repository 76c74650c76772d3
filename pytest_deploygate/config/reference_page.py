"""Generates the reference page of all settings, ``docs/reference/settings.md``."""

from collections.abc import Iterator, Mapping
from typing import Final

from pytest_deploygate.config.document import DOCUMENT
from pytest_deploygate.config.environment import Environment
from pytest_deploygate.config.kinds import Kind, ListOf, TableOf
from pytest_deploygate.config.tables import REQUIRED, Field, TableWith, fields_of
from pytest_deploygate.core.function_spec import FunctionSpec

_TOP: Final = """\
<!-- `python -m pytest_deploygate.config` generates this page from the declarations of the settings: edit those. -->

# Settings

The settings of a project are in the table `[tool.deploygate]` of its `pyproject.toml`. The smallest table:

```toml
[tool.deploygate.gates.smoke]
phase = "live"
paths = ["tests/smoke"]

[tool.deploygate.function]
function = "hello"
entry-point = "hello"
runtime = "python312"
source = "src"

[tool.deploygate.environments.local]
target = "local"
```

No command line option changes a setting. Numbers are exact: 0.95 is 19 of 20. A wrong key or value ends pytest and
`deploygate` with exit status 4 before they change anything. The message names the file, the key, what is wrong, and
what to write instead.

Editors with JSON Schema support can check and complete the table. They need `schema.json` from the package
`pytest_deploygate.config` (`python -c "import pytest_deploygate.config as c; print(c.__path__[0])"` prints its folder).
"""
_FUNCTION: Final = """\
Settings that all environments share. An environment may have any of these keys too: its value takes precedence, and
tables in both are merged key by key. The keys have the meaning of `gcloud functions deploy`.
"""
_ENVIRONMENT: Final = """\
An environment has these keys, and all those of [`[tool.deploygate.function]`](#tooldeploygatefunction).
"""
_WORDS: Final[Mapping[type, str]] = {FunctionSpec: _FUNCTION, Environment: _ENVIRONMENT}
"""Text of a section above its keys."""


def tables() -> Mapping[type, list[str]]:
    """Every type of a table, with the paths of its tables below ``[tool.deploygate]``."""
    found: dict[type, list[str]] = {}
    _add_tables(DOCUMENT, "", found)
    return found


def _add_tables(kind: Kind, path: str, found: dict[type, list[str]]) -> None:
    if isinstance(kind, ListOf):
        _add_tables(kind.item, path, found)
    elif isinstance(kind, TableOf):
        _add_tables(kind.item, f"{path}.NAME", found)
    elif isinstance(kind, TableWith):
        found.setdefault(kind.owner, []).append(path)
        for field in own_fields(kind.owner):
            _add_tables(field.kind, f"{path}.{field.key}", found)


def own_fields(owner: type) -> list[Field]:
    """The settings in the section of ``owner``, without those of another section."""
    shared = fields_of(FunctionSpec) if owner is Environment else ()
    return [field for field in fields_of(owner) if field not in shared]


def page() -> str:
    """Text of the page."""
    return "\n".join([_TOP, *(_section(owner, paths) for owner, paths in tables().items())])


def _section(owner: type, paths: list[str]) -> str:
    head = f"## {', '.join(f'`[tool.deploygate{path}]`' for path in paths)}\n\n"
    words = f"{_WORDS[owner]}\n" if owner in _WORDS else ""
    columns = "| key | means | type | default | example |\n| --- | --- | --- | --- | --- |\n"
    rows = "".join(f"| {' | '.join(_cells(field))} |\n" for field in own_fields(owner))
    return head + words + columns + rows


def _cells(field: Field) -> Iterator[str]:
    setting = field.setting
    yield f"`{field.key}`"
    yield _cell(setting.help + (f" (only `{setting.only_for}`)" if setting.only_for else ""))
    yield _cell(str(field.kind))
    yield _cell(default_of(field))
    yield _cell(f"`{setting.example}`")


def default_of(field: Field) -> str:
    """The default of the key, in words."""
    setting = field.setting
    if setting.default:
        return setting.default
    if field.default is REQUIRED:
        beside = f"; not needed with `{setting.unless}`" if setting.unless else ""
        return "required" + (", here or in an environment" if setting.or_in else "") + beside
    if setting.needed_by:
        targets = " and ".join(f"`{target}`" for target in setting.needed_by)
        return f"required for {targets}, else `{field.kind.write(field.default)}`"
    if setting.group:
        others = [f"`{f.key}`" for f in fields_of(field.owner) if f.setting.group and f != field]
        return f"none; required without {', '.join(others)}"
    if field.default in ("", None, (), {}):
        return "none"
    text = field.kind.write(field.default)
    return "see below" if text == "{}" else f"`{text}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
