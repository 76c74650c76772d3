"""The configuration is whole, holds no secret, and keeps tests away from production."""

from collections.abc import Callable

import pytest

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.targets.secret_scan import scan_variables
from suites.invoices import SPREADSHEET, TAB

REQUIRED = ("GOOGLE_CLOUD_PROJECT_ID", "DOCUMENT_AI_PROCESSOR_ID", SPREADSHEET, TAB)
LEAST_MEMORY_MB = 256
LONGEST_TIMEOUT_S = 3600
LONGEST_INVOICE_S = 120


def test_function_region_and_project_are_named(deployment: Deployment) -> None:
    assert deployment.function == "process_invoice"
    assert deployment.region
    assert deployment.project


def test_memory_and_timeout_are_enough(deployment: Deployment) -> None:
    assert deployment.memory_mb >= LEAST_MEMORY_MB
    assert LONGEST_INVOICE_S <= deployment.timeout_s <= LONGEST_TIMEOUT_S


@pytest.mark.parametrize("name", REQUIRED)
def test_required_variable_is_set(deployment: Deployment, name: str) -> None:
    for variables in (deployment.production_variables, deployment.verify_variables):
        assert variables.get(name, "").strip() == variables.get(name)
        assert variables.get(name)


def test_checks_write_to_a_tab_that_is_not_the_production_one(
    deployment: Deployment, remark: Callable[[str, str], None]
) -> None:
    """Where the settings name no ``verify-environment`` the tab is shared, and checks remove their rows from it."""
    production, verify = deployment.production_variables, deployment.verify_variables
    is_shared = (production[SPREADSHEET], production[TAB]) == (verify[SPREADSHEET], verify[TAB])
    remark("sheet", "shared with production" if is_shared else "of the checks' own")
    assert not is_shared or production == verify, "verify-environment leaves the tab as it is"


def test_verification_differs_from_production_in_the_sheet_alone(deployment: Deployment) -> None:
    production, verify = deployment.production_variables, deployment.verify_variables
    different = {
        name for name in {*production, *verify} if production.get(name) != verify.get(name)
    }
    assert different <= {SPREADSHEET, TAB}


def test_no_variable_holds_a_secret(deployment: Deployment) -> None:
    for where, variables in (
        ("environment-variables", deployment.production_variables),
        ("verify-environment", deployment.verify_variables),
    ):
        assert scan_variables(variables, where=where) == ()
