"""The test cases of the original deployment task, restated; docs/seed.md says where the others live."""

from fractions import Fraction

import pytest

from pytest_deploygate.config import load
from pytest_deploygate.core.evidence import CheckState, Evidence, Measurement
from pytest_deploygate.core.policy import Gate, PhasePolicy, Policy
from pytest_deploygate.core.triggers import Firing, evaluate
from pytest_deploygate.core.values import Phase
from pytest_deploygate.core.verdict import judge_phase
from pytest_deploygate.targets.gcloud import commands
from tests.cli.shop import REPOSITORY

SETTINGS = load(REPOSITORY)


@pytest.mark.parametrize(
    ("ready", "may_deploy"), [(96, True), (95, True), (94, False), (92, False)]
)
def test_deployment_may_begin_from_a_readiness_of_095_on(ready: int, may_deploy: bool) -> None:
    gate = Gate(name="readiness", phase=Phase.READINESS, paths=("x",), threshold=Fraction(0))
    threshold = SETTINGS.policy.phases[Phase.READINESS].threshold
    policy = Policy(
        gates=(gate,), phases={Phase.READINESS: PhasePolicy(threshold=threshold, budget_s=1)}
    )
    states = [CheckState.PASSED] * ready + [CheckState.FAILED] * (100 - ready)
    checks = tuple((str(number), state) for number, state in enumerate(states))
    evidence = Evidence(phase=Phase.READINESS, checks={"readiness": checks})
    assert judge_phase(policy, evidence).holds is may_deploy


def test_deployment_command_is_the_one_that_was_typed_by_hand() -> None:
    spec = SETTINGS.environment("production").spec
    text = "\n".join(commands(spec, None, cwd=REPOSITORY))
    flat = " ".join(text.replace("\\\n", " ").split())
    assert "gcloud functions deploy process_invoice" in flat
    for flag in (
        "--gen2",
        "--runtime python312",
        "--trigger-http",
        "--memory=1GiB",
        "--timeout=540s",
        "--region=us-central1",
        "--entry-point=process_invoice",
        "GOOGLE_CLOUD_PROJECT_ID=freckled-hen-analytics",
        "DOCUMENT_AI_PROCESSOR_ID=be53c6e3a199a473",
        "GEMINI_API_KEY=",
    ):
        assert flag in flat, flag


METRICS = {
    "accuracy_score": 0.97,
    "processing_time_s": 45,
    "error_rate": 0.02,
    "memory_usage_mb": 400,
    "memory_kills": 0,
}


@pytest.mark.parametrize(
    ("metric", "bad", "fine", "trigger", "severity"),
    [
        ("accuracy_score", 0.75, 0.85, "accuracy_degradation", "critical"),
        ("processing_time_s", 121, 120, "performance_degradation", "high"),
        ("error_rate", 0.11, 0.10, "high_error_rate", "critical"),
        ("memory_usage_mb", 1501, 1500, "memory_exhaustion", "high"),
        ("memory_kills", 1, 0, "memory_exhaustion", "high"),
    ],
)
def test_trigger_fires_with_its_name_and_severity(
    metric: str, bad: float, fine: float, trigger: str, severity: str
) -> None:
    def fired(value: float) -> list[tuple[str, str]]:
        measured = tuple(Measurement.of(k, v) for k, v in {**METRICS, metric: value}.items())
        return [
            (result.trigger.name, result.trigger.severity.value)
            for result in evaluate(SETTINGS.policy.triggers, Phase.LIVE, measured)
            if result.firing is Firing.FIRED
        ]

    assert fired(bad) == [(trigger, severity)]
    assert fired(fine) == []
