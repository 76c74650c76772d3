"""The deployment as checks see it before anything is asked of the target: from the settings alone."""

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.config.environment import Environment
from pytest_deploygate.core.function_spec import Variant
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.units import Memory


def configuration_of(environment: Environment, phase: Phase, memory: str) -> Deployment:
    """The deployment of ``environment``, from its settings alone."""
    spec = environment.spec
    return Deployment(
        environment=environment.name,
        phase=phase,
        function=spec.function,
        region=spec.region,
        project=spec.project,
        candidate=None,
        verification=None,
        live=None,
        verify_variables=spec.variables_of(Variant.VERIFICATION),
        variant_variables={name: spec.variables_of(name) for name in spec.verify_variants},
        production_variables=spec.variables_of(Variant.CANDIDATE),
        memory_mb=round(Memory.parse(memory).mb),
        timeout_s=spec.timeout_s,
        services=dict(environment.services),
        statistics_url="",
        access_token=None,
        source=spec.source,
        secret_names=tuple(spec.secrets),
    )
