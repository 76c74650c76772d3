"""What a session left behind, as anybody sees it from outside: exit status, output, JUnit file, record."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from pytest_deploygate.core.record import RolloutRecord

PREFIX = "deploygate."
"""Of the properties of this plugin."""
VERDICT = ("deploygate", "verdict")
"""Class and name of the test case that fails when a session did not end well."""
RESULTS = ("failure", "error", "skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class JUnitCase:
    """One test case of a JUnit file; ``results`` are the elements that say that it did not pass."""

    classname: str
    name: str
    results: tuple[str, ...]
    properties: tuple[tuple[str, str], ...]

    def property(self, name: str) -> str:
        """A ``deploygate.`` property of the case; empty where it is not there."""
        return dict(self.properties).get(f"{PREFIX}{name}", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class JUnitFile:
    """A JUnit file with one suite."""

    path: Path
    properties: Mapping[str, str]
    """The ``deploygate.`` properties of the suite, without that prefix."""
    cases: tuple[JUnitCase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOutcome:
    """A ``pytest`` or ``deploygate`` that has ended."""

    status: int
    """Exit status; negative for the signal that ended it."""
    out: str
    err: str
    junit: JUnitFile | None
    """None where there is no readable file."""
    shares: Mapping[str, int]
    """What serves when it has ended: percent by revision, as the platform shows it."""
    find_record: "Callable[[], RolloutRecord | None]" = field(repr=False)

    @property
    def record(self) -> "RolloutRecord | None":
        """The rollout that began in this session, if one did and none has begun since."""
        return self.find_record()

    @property
    def output(self) -> str:
        """Everything that it printed."""
        return self.out + self.err

    @property
    def json(self) -> dict[str, object]:
        """What it printed, as a JSON object."""
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document

    @property
    def serving(self) -> str:
        """The revision that serves; what serves together otherwise: ``svc-00001=50, svc-00002=50``."""
        if list(self.shares.values()) == [100]:
            return next(iter(self.shares))
        return ", ".join(f"{revision}={percent}" for revision, percent in self.shares.items())

    @property
    def cases(self) -> tuple[JUnitCase, ...]:
        """Test cases of the JUnit file, without the one that stands for the verdict."""
        return tuple(c for c in self._all_cases if (c.classname, c.name) != VERDICT)

    @property
    def verdict_case(self) -> JUnitCase | None:
        """The test case that stands for the verdict, where there is just one."""
        found = [c for c in self._all_cases if (c.classname, c.name) == VERDICT]
        return found[0] if len(found) == 1 else None

    @property
    def _all_cases(self) -> tuple[JUnitCase, ...]:
        return self.junit.cases if self.junit is not None else ()

    def property(self, name: str) -> str:
        """One ``deploygate.`` property of the suite; empty where it is not there."""
        return self.junit.properties.get(name, "") if self.junit is not None else ""

    def state_of(self, check: str) -> str:
        """What the record says of a check that did not pass, by its node id; empty for all others."""
        record = self.record
        state = record.not_passed.get(check) if record is not None else None
        return state.value if state is not None else ""


def read_junit(path: Path) -> JUnitFile | None:
    """The file at ``path``; None if there is none, or an empty one."""
    if not path.exists() or not path.read_bytes().strip():
        return None
    tree = ET.parse(path)  # noqa: S314 # pytest has just written it
    properties = {
        name.removeprefix(PREFIX): value
        for name, value in _properties(tree.findall("./testsuite/properties/property"))
        if name.startswith(PREFIX)
    }
    return JUnitFile(
        path=path, properties=properties, cases=tuple(map(_case, tree.iter("testcase")))
    )


def _case(element: ET.Element) -> JUnitCase:
    return JUnitCase(
        classname=element.get("classname", ""),
        name=element.get("name", ""),
        results=tuple(child.tag for child in element if child.tag in RESULTS),
        properties=tuple(_properties(element.findall("./properties/property"))),
    )


def _properties(found: list[ET.Element]) -> list[tuple[str, str]]:
    return [(one.get("name", ""), one.get("value", "")) for one in found]
