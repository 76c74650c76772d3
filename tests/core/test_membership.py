"""Which gate a check belongs to."""

import pytest

from pytest_deploygate.core.engine_settings import EngineSettings
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.membership import gate_among
from tests.core.policy_factory import a_gate


def test_check_of_two_gates_is_an_error_that_names_them() -> None:
    gates = (a_gate("health"), a_gate("prices"))
    with pytest.raises(
        ConfigError, match=r"test_a\.py::test_a belongs to several gates: health, prices"
    ):
        gate_among(gates, "test_a.py::test_a", ())


def test_settings_without_steps_move_all_traffic_at_once() -> None:
    assert [step.percent for step in EngineSettings().without_steps().steps] == [100]
