"""Retired words do not come back (docs/reference/glossary.md), and one name means one file and one class."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GLOSSARY = ROOT / "docs" / "reference" / "glossary.md"
EVERYWHERE = (
    "pytest_deploygate",
    "suites",
    "tests",
    "benchmarks",
    "docs",
    "conftest.py",
    "README.md",
)
RETIRED = {
    "twin": (r"(?<![a-z])twins?(?![a-z])", EVERYWHERE),
    "LockHeld": (r"(?<!File)LockHeld|lock holder", EVERYWHERE),
    "Ledgered": (r"Ledgered", EVERYWHERE),
    "Desk": (r"(?<![a-z])desk(?![a-z])", EVERYWHERE),
    "way back": (r"way[ _-]?back(?!up)", EVERYWHERE),
    "break off": (r"\b(break|breaks|broke|broken)[ _-]off", EVERYWHERE),
    "settle": (
        r"(?<!is_)(?<![a-z])settl(e|es|ing)\b",
        ("pytest_deploygate", "tests", "docs", "README.md"),
    ),
    "misbehave": (r"misbehav", EVERYWHERE),
    "marks": (r"\b(Rollout)?Marks\(|class (Rollout)?Marks", EVERYWHERE),
    "witness": (r"witness", EVERYWHERE),
    "lies": (r"\blies\b", ("docs", "README.md")),
    "person": (r"\bperson\b", ("pytest_deploygate", "docs", "README.md", "CONTRIBUTING.md")),
}
"""A retired word, its pattern (in any case), and the places that must not contain it."""
HERE = (GLOSSARY, Path(__file__))
NAMED_BY_OTHERS = {"__init__.py", "__main__.py", "conftest.py", "main.py"}
"""Names that Python, pytest and Cloud Functions look for."""
PROGRAMS = (
    "fixtures/process_invoice",
    "fixtures/second_function/source",
    "tests/suites/another_author",
)
"""Functions that are deployed: each is a code base of its own, beside the one that judges it."""


def files_below(places: tuple[str, ...]) -> list[Path]:
    """Sources and pages, without those that must name the words: changelog fragments name old words."""
    found: list[Path] = []
    for place in places:
        path = ROOT / place
        found += path.rglob("*") if path.is_dir() else [path]
    return [
        p
        for p in found
        if p.suffix in (".py", ".md") and p not in HERE and p.parent.name != "changelog.d"
    ]


@pytest.mark.parametrize("word", RETIRED)
def test_retired_word_does_not_come_back(word: str) -> None:
    pattern, places = RETIRED[word]
    flags = 0 if word in ("marks", "LockHeld", "Ledgered") else re.IGNORECASE
    hits = []
    for file in files_below(places):
        name = str(file.relative_to(ROOT))
        lines = [name, *file.read_text(encoding="utf-8").splitlines()]
        hits += [
            f"{name}:{number}: {line.strip()}"
            for number, line in enumerate(lines)
            if re.search(pattern, line, flags)
        ]
    assert not hits, f"{word} was retired, see docs/reference/glossary.md:\n" + "\n".join(hits)


def test_every_retired_word_is_in_the_glossary() -> None:
    table = GLOSSARY.read_text(encoding="utf-8").partition("## Retired words")[2]
    first_cells = "\n".join(re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE))
    assert [word for word in RETIRED if word not in first_cells] == []


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("twin", "def begin_twin() -> None:"),
        ("LockHeld", "raise LockHeld(lease)"),
        ("way back", "found.no_way_back"),
        ("way back", "test_way_back.py"),
        ("break off", "the rollout is broken off"),
        ("settle", "recover settles it"),
        ("witness", "self._witness"),
        ("misbehave", "self._misbehaviours"),
        ("person", "a person must look"),
    ],
)
def test_pattern_finds_the_word(word: str, line: str) -> None:
    assert re.search(RETIRED[word][0], line, re.IGNORECASE)


def test_package_knows_nothing_of_invoices() -> None:
    """What the sample function reads belongs to the sample; examples may name it and its files."""
    word = re.compile(r"(?<![-_/])\b(invoices?|isbn)\b(?!\.json)", re.IGNORECASE)
    hits = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in files_below(("pytest_deploygate",))
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if word.search(line)
    ]
    assert hits == []


def modules() -> list[Path]:
    """Every module of this code base."""
    places = ("pytest_deploygate", "suites", "tests", "benchmarks", "fixtures", "test_invoices")
    return [path for place in places for path in (ROOT / place).rglob("*.py")]


def repeated(places: list[tuple[str, Path]]) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, path in places:
        found[name].append(str(path.relative_to(ROOT)))
    return {name: sorted(files) for name, files in found.items() if len(files) > 1}


def test_no_two_files_have_one_name() -> None:
    files = [(path.name, path) for path in modules() if path.name not in NAMED_BY_OTHERS]
    assert len(files) > 500
    assert repeated(files) == {}


def test_no_two_classes_have_one_name() -> None:
    classes = [
        (name, path)
        for path in modules()
        if not str(path.relative_to(ROOT)).startswith(PROGRAMS)
        for name in re.findall(r"^class (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(classes) > 500
    assert repeated(classes) == {}
