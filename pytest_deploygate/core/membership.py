"""Assigns collected tests to gates, by file and markers."""

from collections.abc import Collection
from pathlib import Path

from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.policy import Gate, Policy


def gates_of_file(policy: Policy, root: Path, path: Path) -> tuple[Gate, ...]:
    """Gates with a path (relative to ``root``) above the file ``path``; a gate without paths takes every file."""
    return tuple(
        gate
        for gate in policy.gates
        if not gate.paths or any(path.is_relative_to(root / name) for name in gate.paths)
    )


def gate_among(gates: tuple[Gate, ...], nodeid: str, markers: Collection[str]) -> Gate | None:
    """The gate of the test ``nodeid`` with ``markers``, or None.

    Raises:
        ConfigError: the test belongs to more than one gate.
    """
    found = tuple(gate for gate in gates if not gate.marker or gate.marker in markers)
    if len(found) > 1:
        names = ", ".join(gate.name for gate in found)
        raise ConfigError(
            f"{nodeid} belongs to several gates: {names}",
            hint="a check belongs to one gate: change paths or markers in [tool.deploygate.gates]",
        )
    return found[0] if found else None
