"""The digest of a plan changes with everything that a person approves."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from pytest_deploygate.core.approval import plan_digest
from pytest_deploygate.core.policy import Condition, Gate, PhasePolicy, Policy, Trigger
from pytest_deploygate.core.values import Digest, Phase, RevisionName, Severity

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


def digest(
    package: str = "a" * 64,
    config: str = "b" * 64,
    policy: Policy = POLICY,
    baseline: str | None = "svc-00001",
) -> str:
    return plan_digest(
        package=Digest(package),
        config=Digest(config),
        policy=policy,
        baseline=RevisionName(baseline) if baseline else None,
    )


def test_plan_digest_is_the_same_for_the_same_plan() -> None:
    assert digest() == digest()
    assert len(digest()) == 64


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
    ],
)
def test_plan_digest_differs_when_any_part_differs(other: dict[str, Any]) -> None:
    assert digest(**other) != digest()
