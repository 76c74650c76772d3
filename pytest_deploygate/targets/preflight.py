"""Everything that can be found wrong without changing anything."""

from pytest_deploygate.core.release import Finding, FunctionSpec
from pytest_deploygate.targets.functions import Functions
from pytest_deploygate.targets.secret_versions import SecretVersions
from pytest_deploygate.targets.services import Services


def look(
    spec: FunctionSpec, functions: Functions, services: Services, secrets: SecretVersions | None
) -> tuple[Finding, ...]:
    """Findings, the blocking ones first."""
    return ()
