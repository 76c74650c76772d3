"""Which checks there are, and which gate each of them belongs to."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.policy import Gate, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One collected test of a gate. ``location`` is (file, line, name), as reports carry it."""

    nodeid: str
    gate: str
    phase: Phase
    location: tuple[str, int | None, str]


class Gates:
    """Tells which gate of ``policy`` a collected test belongs to; paths are relative to ``root``."""

    def __init__(self, policy: Policy, root: Path) -> None:
        self._policy = policy
        self._root = root
        self._at: dict[Path, tuple[Gate, ...]] = {}
        """By file: the gates whose paths it lies in. Asking once for all its tests makes a large suite cheap."""

    def of(self, item: pytest.Item) -> Gate | None:
        """The gate that ``item`` belongs to, or None.

        Raises:
            ConfigError: it belongs to more than one.
        """
        gates = self._at.get(item.path)
        if gates is None:
            gates = self._at[item.path] = tuple(
                g for g in self._policy.gates if self._is_below(item, g)
            )
        if len(gates) == 1 and not gates[0].marker:
            return gates[0]
        gates = tuple(g for g in gates if not g.marker or item.get_closest_marker(g.marker))
        if len(gates) > 1:
            names = ", ".join(gate.name for gate in gates)
            raise ConfigError(
                f"{item.nodeid} belongs to several gates: {names}",
                hint="a check belongs to one gate: change paths or markers in [tool.deploygate.gates]",
            )
        return gates[0] if gates else None

    def _is_below(self, item: pytest.Item, gate: Gate) -> bool:
        return not gate.paths or any(item.path.is_relative_to(self._root / p) for p in gate.paths)

    def check(self, item: pytest.Item) -> Check | None:
        """The check that ``item`` is, or None if it belongs to no gate. Raises as :meth:`of` does."""
        gate = self.of(item)
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
