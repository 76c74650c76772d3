"""What checks are told of an environment without anybody asking it."""

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.config.environment import Environment
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.release import Variant


def configuration_of(environment: Environment, phase: Phase, memory: str) -> Deployment:
    """What is known of an environment without asking it."""
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
        production_variables=spec.variables_of(Variant.CANDIDATE),
        memory_mb=memory_mb(memory),
        timeout_s=spec.timeout_s,
        services=dict(environment.services),
        statistics_url="",
        access_token=None,
        source=spec.source,
        secret_names=tuple(spec.secrets),
    )


_UNITS = {"Ki": 1 / 1024, "Mi": 1, "Gi": 1024, "k": 1e3 / 2**20, "M": 1e6 / 2**20, "G": 1e9 / 2**20}


def memory_mb(text: str) -> int:
    """Mebibytes that the platform's memory text (``512Mi``, ``1G``) stands for."""
    unit = text.lstrip("0123456789.")
    return round(float(text[: len(text) - len(unit)]) * _UNITS[unit])
