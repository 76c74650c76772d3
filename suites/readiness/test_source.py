"""The source can be packed, unpacked, imported by a clean interpreter, and built again as it was."""

import contextlib
import py_compile
import re
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest

from pytest_deploygate.core.artifacts import Package
from pytest_deploygate.targets.secret_scan import scan_file
from pytest_deploygate.targets.source_archive import make_package
from suites.support.imported_modules import imported_packages
from suites.support.profile import profile

MOST_BYTES = 100 * 1024 * 1024


def requirement_lines(folder: Path) -> list[str]:
    text = (folder / "requirements.txt").read_text(encoding="utf-8")
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("--")]


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_archive_has_the_function_and_its_requirements(package: Package) -> None:
    assert {"main.py", "requirements.txt"} <= set(package.files)
    assert 0 < package.size_bytes < MOST_BYTES


def test_archive_has_nothing_that_is_no_source(package: Package) -> None:
    bad = re.compile(
        r"(^|/)(\._|\.DS_Store|__pycache__|\.git/|\.venv/|\.env$)|\.(pdf|pyc|pem|key)$",
        re.IGNORECASE,
    )
    assert [name for name in package.files if bad.search(name)] == []


def test_same_source_gives_the_same_archive(package: Package, source: Path, tmp_path: Path) -> None:
    known = profile()
    again = make_package(
        source, home=tmp_path, entry_point=known.entry_point, runtime=known.runtime
    )
    assert again.digest == package.digest
    assert Path(again.path).read_bytes() == Path(package.path).read_bytes()


def test_every_module_compiles(unpacked: Path, tmp_path: Path) -> None:
    modules = sorted(unpacked.rglob("*.py"))
    assert modules
    for number, module in enumerate(modules):
        assert b"\0" not in module.read_bytes(), module
        py_compile.compile(str(module), cfile=str(tmp_path / f"{number}.pyc"), doraise=True)


def test_no_file_holds_a_secret(unpacked: Path) -> None:
    files = [path for path in sorted(unpacked.rglob("*")) if path.is_file()]
    finds = [
        find for p in files for find in scan_file(str(p.relative_to(unpacked)), p.read_bytes())
    ]
    assert finds == []


def test_every_requirement_is_pinned(unpacked: Path) -> None:
    lines = requirement_lines(unpacked)
    assert lines
    assert [line for line in lines if not re.search(r"===?\s*[\w.!+]+(\s|;|$)| @ ", line)] == []


def test_everything_imported_is_required(unpacked: Path) -> None:
    required = with_what_they_need({name_of(line) for line in requirement_lines(unpacked)})
    providers = packages_distributions()
    missing = [
        name
        for name in sorted(imported_packages(unpacked) - set(sys.stdlib_module_names))
        if not required & {normalised(found) for found in providers.get(name, [name])}
    ]
    assert missing == []


def name_of(requirement: str) -> str:
    return normalised(re.split(r"[^\w.-]", requirement)[0])


def with_what_they_need(names: set[str]) -> set[str]:
    """``names`` and, as far as they are installed here, all that those require."""
    known: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in known:
            known.add(name)
            with contextlib.suppress(PackageNotFoundError):
                waiting += [
                    name_of(line) for line in requires(name) or [] if "extra ==" not in line
                ]
    return known


def test_clean_interpreter_imports_the_entry_point(
    request: pytest.FixtureRequest, measure: Callable[..., None]
) -> None:
    seconds = request.getfixturevalue("offline").imported_s
    measure("import_s", seconds, unit="s")
    assert seconds < profile().limit("longest-import-s")
