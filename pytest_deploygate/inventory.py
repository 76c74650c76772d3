"""Which checks there are, and which gate each of them belongs to."""

import functools
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.policy import Gate, Policy
from pytest_deploygate.core.values import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One collected test of a gate. ``location`` is (file, line, name), as reports carry it."""

    nodeid: str
    gate: str
    phase: Phase
    location: tuple[str, int | None, str]


def gate_of(item: pytest.Item, policy: Policy, root: Path) -> Gate | None:
    """The gate that ``item`` belongs to, or None.

    Raises:
        ConfigError: it belongs to more than one.
    """
    gates = [gate for gate in policy.gates if _belongs(item, gate, root)]
    if len(gates) > 1:
        names = ", ".join(gate.name for gate in gates)
        raise ConfigError(
            f"{item.nodeid} belongs to several gates: {names}",
            hint="a check belongs to one gate: change paths or markers in [tool.deploygate.gates]",
        )
    return gates[0] if gates else None


def _belongs(item: pytest.Item, gate: Gate, root: Path) -> bool:
    if gate.marker and item.get_closest_marker(gate.marker) is None:
        return False
    return not gate.paths or _is_below(item.path, root, gate.paths)


@functools.lru_cache(maxsize=4096)
def _is_below(file: Path, root: Path, paths: tuple[str, ...]) -> bool:
    """The checks of a file lie at one place: asking once for all of them is what makes a large suite cheap."""
    return any(file.is_relative_to(root / path) for path in paths)


def check_of(item: pytest.Item, policy: Policy, root: Path) -> Check | None:
    """The check that ``item`` is, or None if it belongs to no gate."""
    gate = gate_of(item, policy, root)
    if gate is None:
        return None
    return Check(nodeid=item.nodeid, gate=gate.name, phase=gate.phase, location=item.location)


def paths_to_collect(policy: Policy, root: Path, testpaths: list[str]) -> list[str]:
    """What a session collects when no path is given: exactly the gates.

    Raises:
        ConfigError: a path of a gate does not exist.
    """
    paths: list[str] = []
    for gate in policy.gates:
        for path in gate.paths:
            if not (root / path).exists():
                raise ConfigError(
                    f"gate {gate.name}: the path {path} does not exist below {root}",
                    hint="correct tool.deploygate.gates." + gate.name + ".paths in pyproject.toml",
                )
            paths.append(str(root / path))
    if any(not gate.paths for gate in policy.gates):
        paths.extend(str(root / path) for path in testpaths or ["."])
    return list(dict.fromkeys(paths))
