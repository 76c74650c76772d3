"""What a folder is before ``deploygate init``: its tools, its pytest settings, its dependencies."""

import configparser
import fnmatch
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_deploygate import FILE
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.scaffold.function_finder import FoundFunction, find_code

_RUNNERS = {"uv": "uv run ", "poetry": "poetry run "}
_ADDERS = {"uv": "uv add --dev", "poetry": "poetry add --group dev"}
REQUIREMENT = "pytest-deploygate[local]"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSurvey:
    """What was found in ``root``. ``pyproject`` is the document, empty where there is no file."""

    root: Path
    pyproject: Mapping[str, Any]
    functions: tuple[FoundFunction, ...]
    applications: tuple[Path, ...]
    """Files of web applications."""
    manager: str
    """``uv``, ``poetry`` or empty."""
    has_pytest_settings: bool
    test_patterns: Sequence[str]

    @property
    def pytest_command(self) -> str:
        """How pytest is called here."""
        return f"{_RUNNERS.get(self.manager, '')}pytest"

    @property
    def install_command(self) -> str:
        """How the package becomes a dependency; empty where it is named already, or nothing manages dependencies."""
        is_named = "pytest-deploygate" in repr(self.pyproject)
        return "" if is_named or not self.manager else f'{_ADDERS[self.manager]} "{REQUIREMENT}"'

    def test_file(self, name: str) -> str:
        """A file name for the test ``name`` that pytest collects here."""
        names = (f"test_{name}_gate.py", f"{name}_gate_test.py")
        fits = (n for n in names for p in self.test_patterns if fnmatch.fnmatch(n, p))
        return next(fits, names[0])

    @property
    def dependencies(self) -> tuple[str, ...]:
        """What the project depends on when it runs, as lines of a requirements file."""
        project = self.pyproject.get("project", {}).get("dependencies", [])
        poetry = self.pyproject.get("tool", {}).get("poetry", {}).get("dependencies", {})
        written = [line for line in project if isinstance(line, str)]
        found = written or [_requirement(n, v) for n, v in poetry.items() if n != "python"]
        return tuple(found)


def survey_project(root: Path) -> ProjectSurvey:
    """Look at the folder ``root``.

    Raises:
        ConfigError: its pyproject.toml cannot be read.
    """
    document = _read_pyproject(root / FILE)
    pytest_settings = _pytest_settings(root, document)
    patterns = (pytest_settings or {}).get("python_files") or ["test_*.py", "*_test.py"]
    code = find_code(root)
    return ProjectSurvey(
        root=root,
        pyproject=document,
        functions=code.functions,
        applications=code.applications,
        manager=_manager(root, document),
        has_pytest_settings=pytest_settings is not None,
        test_patterns=patterns.split() if isinstance(patterns, str) else patterns,
    )


def _read_pyproject(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: not valid TOML: {error}", hint="correct the file, then type the command again"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


def _manager(root: Path, document: Mapping[str, Any]) -> str:
    tools = document.get("tool", {})
    for folder in (root, *root.parents):
        if (folder / "uv.lock").exists() or (folder == root and "uv" in tools):
            return "uv"
        if (folder / "poetry.lock").exists() or (folder == root and "poetry" in tools):
            return "poetry"
        if (folder / ".git").exists():
            break
    return ""


def _pytest_settings(root: Path, document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Settings of pytest in this folder; None if it has none."""
    for name, section in (
        ("pytest.ini", "pytest"),
        (".pytest.ini", "pytest"),
        ("tox.ini", "pytest"),
        ("setup.cfg", "tool:pytest"),
    ):
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string((root / name).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, configparser.Error):
            continue
        if section in parser:
            return dict(parser[section])
        if name.endswith("pytest.ini"):
            return {}
    found = document.get("tool", {}).get("pytest")
    return {**found, **found.get("ini_options", {})} if isinstance(found, dict) else None


def _requirement(name: str, version: object) -> str:
    """A dependency of Poetry as pip writes it; ``^1.2`` allows what does not change the first number that is not 0."""
    wanted = version.get("version", "*") if isinstance(version, dict) else version
    if not isinstance(wanted, str) or wanted in ("", "*"):
        return name
    match = re.fullmatch(r"([\^~])\s*([0-9]+(?:\.[0-9]+)*)", wanted)
    if match is None:
        return f"{name}=={wanted}" if wanted[0].isdigit() else f"{name}{wanted}"
    numbers = [int(number) for number in match[2].split(".")]
    fixed = next((i for i, number in enumerate(numbers) if number), len(numbers) - 1)
    last = fixed if match[1] == "^" else min(1, len(numbers) - 1)
    above = [*numbers[:last], numbers[last] + 1]
    return f"{name}>={match[2]},<{'.'.join(map(str, above))}"
