"""Values of the core are immutable, accept no unknown attribute, take keyword arguments only, and default to empty."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_deploygate import core
from pytest_deploygate.config.reference_page import tables
from pytest_deploygate.config.tables import fields_of
from pytest_deploygate.core.container_spec import ContainerSpec
from pytest_deploygate.core.engine_settings import EngineSettings
from pytest_deploygate.core.latency_histogram import LatencyHistogram
from pytest_deploygate.core.record import StepDetails
from pytest_deploygate.core.release import RolloutLabels
from pytest_deploygate.core.traffic import Traffic

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

GIVEN = {
    "EngineSettings": {"pause_s": 1.0},
    "SecretRef": {"version": "latest"},
    "FunctionSpec": {"container": ContainerSpec()},
    "JournalEntry": {"details": StepDetails()},
    "Line": {"scale": 1.0},
    "MinuteCounts": {"latencies": LatencyHistogram()},
    "Snapshot": {
        "traffic": Traffic.of({}),
        "serving": Traffic.of({}),
        "is_settled": True,
        "rollout_labels": RolloutLabels(),
    },
}
"""Defaults that are not empty, besides those of settings."""


def _values() -> Iterator[type]:
    for module in pkgutil.iter_modules(core.__path__):
        found = importlib.import_module(f"{core.__name__}.{module.name}")
        own = [
            value
            for value in vars(found).values()
            if isinstance(value, type) and value.__module__ == found.__name__
        ]
        yield from (v for v in own if dataclasses.is_dataclass(v) or hasattr(v, "_fields"))


VALUES = list(_values())
WRITTEN = {*tables(), EngineSettings, ContainerSpec}
"""Values from settings: tests/core/test_config.py checks their defaults."""


def defaults_of(value: type) -> dict[str, object]:
    if not dataclasses.is_dataclass(value):
        defaults: dict[str, object] = value._field_defaults  # type: ignore[attr-defined]  # a named tuple
        return defaults
    made = {
        field.name: field.default_factory()
        for field in dataclasses.fields(value)
        if field.default_factory is not dataclasses.MISSING
    }
    given = {
        field.name: field.default
        for field in dataclasses.fields(value)
        if field.default is not dataclasses.MISSING
    }
    return {**given, **made}


@pytest.mark.parametrize(
    "value", [v for v in VALUES if dataclasses.is_dataclass(v)], ids=lambda v: v.__name__
)
def test_dataclass_is_frozen_and_made_by_names(value: "type[DataclassInstance]") -> None:
    assert value.__dataclass_params__.frozen  # type: ignore[attr-defined]  # of every dataclass
    assert all(field.kw_only for field in dataclasses.fields(value))


@pytest.mark.parametrize("value", VALUES, ids=lambda v: v.__name__)
def test_value_has_no_room_for_what_it_does_not_know(value: type) -> None:
    assert not any("__dict__" in vars(part) for part in value.__mro__)


@pytest.mark.parametrize("value", VALUES, ids=lambda v: v.__name__)
def test_value_is_empty_where_nobody_said_anything(value: type) -> None:
    settings = {field.name for field in fields_of(value)} if value in WRITTEN else set()
    said = {n: what for n, what in defaults_of(value).items() if what and n not in settings}
    assert said == GIVEN.get(value.__name__, {})
