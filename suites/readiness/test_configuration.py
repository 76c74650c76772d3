"""The configuration is whole, holds no secret, and keeps tests away from production."""

from collections.abc import Callable

import pytest

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.targets.secret_scan import scan_variables
from suites.support.profile import profile

LONGEST_TIMEOUT_S = 3600


def test_function_region_and_project_are_named(deployment: Deployment) -> None:
    assert deployment.function
    assert deployment.region
    assert deployment.project


def test_memory_and_timeout_are_enough(deployment: Deployment) -> None:
    assert deployment.memory_mb >= profile().limit("least-configured-memory-mb")
    assert profile().limit("longest-s") <= deployment.timeout_s <= LONGEST_TIMEOUT_S


@pytest.mark.parametrize("name", profile().required_variables)
def test_required_variable_is_set(deployment: Deployment, name: str) -> None:
    for variables in (
        deployment.production_variables,
        deployment.verify_variables,
        *deployment.variant_variables.values(),
    ):
        assert variables.get(name, "").strip() == variables.get(name)
        assert variables.get(name)


def test_checks_write_elsewhere_than_production(
    deployment: Deployment, remark: Callable[[str, str], None]
) -> None:
    """Where the settings name no ``verify-environment`` production's place is shared, and checks remove their rows."""
    production, verify = deployment.production_variables, deployment.verify_variables
    is_shared = all(production[name] == verify[name] for name in profile().sink.place)
    remark("sink", "shared with production" if is_shared else "of the checks' own")
    assert not is_shared or production == verify, "verify-environment leaves the sink as it is"


def test_verification_differs_from_production_in_the_sink_alone(deployment: Deployment) -> None:
    production, place = deployment.production_variables, set(profile().sink.place)
    for variables in (deployment.verify_variables, *deployment.variant_variables.values()):
        names = {*production, *variables}
        assert {name for name in names if production.get(name) != variables.get(name)} <= place


def test_no_variable_holds_a_secret(deployment: Deployment) -> None:
    for where, variables in (
        ("environment-variables", deployment.production_variables),
        ("verify-environment", deployment.verify_variables),
        *deployment.variant_variables.items(),
    ):
        assert scan_variables(variables, where=where) == ()
