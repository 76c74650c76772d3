"""Test cases of the deployment task; docs/explanation/traceability.md says where the others are."""

import re
from fractions import Fraction

import pytest

from pytest_deploygate.config.settings import load
from pytest_deploygate.core.evidence import CheckState, Evidence
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.measurement import Measurement
from pytest_deploygate.core.policy import Gate, PhasePolicy, Policy
from pytest_deploygate.core.triggers import Firing, evaluate
from pytest_deploygate.core.verdict import judge_phase
from pytest_deploygate.targets.gcloud_commands import commands
from tests.cli.cli_project import REPOSITORY

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


NAMES = """
ProductionDeploymentSystem PostDeploymentValidator PostDeploymentHealthChecker LiveProductionValidator
ProductionPerformanceValidator ProductionZapierTester ProductionRegressionTester AutomatedRollbackSystem
RollbackValidator EmergencyRollbackProcedure DeploymentError deploy_to_production_safely _load_deployment_config
validate_deployment_prerequisites _validate_production_readiness validate_production_deployment_readiness
_create_deployment_backup generate_deployment_command _generate_deployment_command _execute_deployment
_execute_gcloud_deployment _run_deployment_command _validate_post_deployment validate_post_deployment_health
validate_endpoint_health _test_endpoint_accessibility test_creative_coop_processing _test_creative_coop_in_production
_test_production_performance _test_vendor_regression _test_zapier_integration _call_production_api _calculate_accuracy
load_test_invoice validate_production_performance test_zapier_webhook_processing test_all_vendors_in_production
should_trigger_rollback execute_rollback _execute_rollback _restore_backup _deploy_rollback_version _validate_rollback
validate_post_rollback_state get_deployment_status test_deployment_prerequisites_validation
test_deployment_aborts_when_not_ready test_deployment_command_generation test_post_deployment_health_check
test_live_creative_coop_processing_validation test_production_performance_validation test_rollback_trigger_conditions
test_rollback_execution test_rollback_validation test_zapier_integration_in_production
test_vendor_regression_in_production deployment_duration_seconds post_deployment_validation_score backup_identifier
deployment_error rollback_successful rollback_reason correlation_id deployment_success_rate rollback_trigger_rate
"""
"""Every class, function, test case, field and metric of the original deployment task."""


def test_documents_say_what_became_of_every_name_of_the_original_task() -> None:
    docs = REPOSITORY / "docs"
    names = ("explanation/traceability.md", "reference/json-output.md", "reference/records.md")
    pages = (docs / name for name in names)
    words = set(re.findall(r"\w+", "\n".join(page.read_text(encoding="utf-8") for page in pages)))
    assert [name for name in NAMES.split() if name not in words] == []
