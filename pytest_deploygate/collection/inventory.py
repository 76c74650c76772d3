"""Which tests were collected, and which gate each of them belongs to."""

from pathlib import Path

import pytest

from pytest_deploygate.channel.messages import CollectedCheck
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.membership import gate_among, gates_of_file
from pytest_deploygate.core.policy import Gate, Policy
from pytest_deploygate.core.property_names import DEFECT_PROPERTY

STEP_PARAMETER = "deploygate_step"
"""Parameter of a check of a step gate: the percent of the traffic at which it runs."""


def step_of(item: pytest.Item) -> int:
    """Percent of the traffic at which a check of a step gate runs; 0 for any other test."""
    callspec = getattr(item, "callspec", None)
    return int(callspec.params.get(STEP_PARAMETER, 0)) if callspec is not None else 0


class Gates:
    """Tells which gate of ``policy`` a collected test belongs to; paths are relative to ``root``."""

    def __init__(self, policy: Policy, root: Path) -> None:
        self._policy = policy
        self._root = root
        self._at: dict[Path, tuple[Gate, ...]] = {}
        """By file: the gates whose paths it lies in. Asking once for all its tests makes a large suite cheap."""
        self._path: Path | None = None
        self._gates: tuple[Gate, ...] = ()
        """Gates of the file that was asked for last."""
        self._markers = tuple({gate.marker: None for gate in policy.gates if gate.marker})

    def of(self, item: pytest.Item) -> Gate | None:
        """The gate that ``item`` belongs to, or None.

        Raises:
            ConfigError: it belongs to more than one.
        """
        path = item.path
        if path is not self._path:  # of another file than the item before
            if path not in self._at:
                self._at[path] = gates_of_file(self._policy, self._root, path)
            self._path, self._gates = path, self._at[path]
        gates = self._gates
        if len(gates) == 1 and not gates[0].marker:
            return gates[0]
        return gate_among(gates, item.nodeid, self._markers_of(item))

    def _markers_of(self, item: pytest.Item) -> tuple[str, ...]:
        if not self._markers:  # of most policies; a generator would cost more than it saves
            return ()
        return tuple(name for name in self._markers if item.get_closest_marker(name))

    def describe(self, item: pytest.Item) -> CollectedCheck:
        """What the judge is told of ``item``."""
        markers = self._markers_of(item) if self._markers else ()
        defect = ""
        for key, text in item.user_properties:
            if key == DEFECT_PROPERTY:
                defect = str(text)
                break
        return CollectedCheck(item.nodeid, str(item.path), markers, defect, step_of(item))


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
