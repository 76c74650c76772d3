"""Values of the core cannot be changed, have no room for typing errors, are made by names, and begin empty."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from pytest_deploygate import core
from pytest_deploygate.core.policy import Leniency
from pytest_deploygate.core.release import Marks
from pytest_deploygate.core.rollout import Step
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.core.values import Phase

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

BY_POSITION = (Step,)
"""A row of the rollout table reads better without names."""
GIVEN = {
    "Gate": {
        "threshold": Fraction(1),
        "weight": Fraction(1),
        "required": True,
        "least_checks": 1,
        "skips": Leniency.FAIL,
        "flaky": Leniency.FAIL,
    },
    "Trigger": {"needed_in": (Phase.LIVE,)},
    "StatisticsWindow": {"window_s": 600, "least_requests": 10},
    "SecretRef": {"version": "latest"},
    "FunctionSpec": {"memory": "256Mi", "timeout_s": 60, "ingress": "ALLOW_ALL"},
    "Snapshot": {
        "traffic": Traffic.of({}),
        "serving": Traffic.of({}),
        "is_settled": True,
        "marks": Marks(),
    },
}
"""What is not empty where nobody said anything."""


def values() -> "Iterator[type[DataclassInstance]]":
    for module in pkgutil.iter_modules(core.__path__):
        found = importlib.import_module(f"{core.__name__}.{module.name}")
        own = [
            value
            for value in vars(found).values()
            if isinstance(value, type) and value.__module__ == found.__name__
        ]
        yield from (value for value in own if dataclasses.is_dataclass(value))


@pytest.mark.parametrize("value", list(values()), ids=lambda v: v.__name__)
def test_value_is_frozen_slotted_and_made_by_names(value: "type[DataclassInstance]") -> None:
    assert value.__dataclass_params__.frozen  # type: ignore[attr-defined]  # of every dataclass
    assert "__slots__" in vars(value)
    by_name = all(field.kw_only for field in dataclasses.fields(value))
    assert by_name is (value not in BY_POSITION)


@pytest.mark.parametrize("value", list(values()), ids=lambda v: v.__name__)
def test_value_is_empty_where_nobody_said_anything(value: "type[DataclassInstance]") -> None:
    found = {
        field.name: field.default
        if field.default_factory is dataclasses.MISSING
        else field.default_factory()
        for field in dataclasses.fields(value)
    }
    said = {name: what for name, what in found.items() if what and what is not dataclasses.MISSING}
    assert said == GIVEN.get(value.__name__, {})
