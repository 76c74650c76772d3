"""The digest of a plan changes with everything that an operator approves."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from pytest_deploygate.core.approval import plan_digest
from pytest_deploygate.core.duration import Duration
from pytest_deploygate.core.engine_settings import TrafficStep
from pytest_deploygate.core.identifiers import Digest, Phase, RevisionName, Severity
from pytest_deploygate.core.policy import Condition, Gate, Leniency, PhasePolicy, Policy, Trigger

POLICY = Policy(
    gates=(Gate(name="health", phase=Phase.CANDIDATE, paths=("suites/health",)),),
    phases={Phase.CANDIDATE: PhasePolicy(threshold=Fraction("0.75"), budget_s=300)},
    triggers=(
        Trigger(
            name="errors",
            conditions=(Condition.parse("error_rate > 0.10"),),
            severity=Severity.CRITICAL,
        ),
    ),
)
STEPS = (TrafficStep(percent=5, wait=Duration(600)), TrafficStep(percent=100))


def digest(
    package: str = "a" * 64,
    config: str = "b" * 64,
    policy: Policy = POLICY,
    baseline: str | None = "svc-00001",
    steps: tuple[TrafficStep, ...] = STEPS,
    is_fresh: bool = False,
) -> str:
    return plan_digest(
        package=Digest(package),
        config=Digest(config),
        policy=policy,
        baseline=RevisionName(baseline) if baseline else None,
        steps=steps,
        is_fresh=is_fresh,
    )


def test_plan_digest_covers_how_traffic_moves() -> None:
    """Whoever approved judged steps has not approved --deploy-steps=none."""
    longer = (STEPS[0]._replace(wait=Duration(601)), STEPS[1])
    made = {digest(), digest(steps=longer), digest(steps=STEPS[1:]), digest(is_fresh=True)}
    assert len(made) == 4


def test_plan_digest_is_the_same_for_the_same_plan() -> None:
    assert digest() == digest()
    assert len(digest()) == 64


def test_plan_digest_does_not_depend_on_the_order_of_phases() -> None:
    one = PhasePolicy(threshold=Fraction(1), budget_s=1)
    phases = dict.fromkeys(Phase, one)
    turned = dict(reversed(phases.items()))
    assert digest(policy=replace(POLICY, phases=phases)) == digest(
        policy=replace(POLICY, phases=turned)
    )


@pytest.mark.parametrize(
    "other",
    [
        {"package": "c" * 64},
        {"config": "c" * 64},
        {"baseline": "svc-00002"},
        {"baseline": None},
        {"policy": replace(POLICY, gates=())},
        {"policy": replace(POLICY, gates=(replace(POLICY.gates[0], threshold=Fraction(1, 2)),))},
        {"policy": replace(POLICY, triggers=())},
        {"policy": replace(POLICY, gates=(replace(POLICY.gates[0], phase=Phase.LIVE),))},
        {"policy": replace(POLICY, gates=(replace(POLICY.gates[0], skips=Leniency.ALLOW),))},
        {"policy": replace(POLICY, gates=(replace(POLICY.gates[0], least_checks=2),))},
        {"policy": replace(POLICY, gates=(replace(POLICY.gates[0], required=False),))},
        {
            "policy": replace(
                POLICY, triggers=(replace(POLICY.triggers[0], severity=Severity.HIGH),)
            )
        },
        {"policy": replace(POLICY, phases={Phase.LIVE: POLICY.phases[Phase.CANDIDATE]})},
        {
            "policy": replace(
                POLICY, phases={Phase.CANDIDATE: PhasePolicy(threshold=Fraction(1), budget_s=300)}
            )
        },
    ],
)
def test_plan_digest_differs_when_any_part_differs(other: dict[str, Any]) -> None:
    assert digest(**other) != digest()
