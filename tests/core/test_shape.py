"""Values of the core cannot be changed, have no room for typing errors, and are made by names."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_deploygate import core
from pytest_deploygate.core.rollout import Step

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

BY_POSITION = (Step,)
"""A row of the rollout table reads better without names."""


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
