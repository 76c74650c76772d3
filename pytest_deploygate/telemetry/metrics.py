"""The four metrics, computed from the whole history, so that they survive every process."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.state_machine import State

HISTORY: Final = 100_000
"""How many rollouts the metrics include: in practice, all."""


def validation_score(record: RolloutRecord) -> float | None:
    """Score of the last phase that was judged on a running revision, 0 to 1; None if there is none."""
    for phase in (Phase.LIVE, Phase.CANDIDATE):
        if phase in record.scores:
            return float(record.scores[phase])
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Metrics of one environment. Ratios are 0 to 1; None means not known yet.

    A deployment counts once it has staged something; a refused one does not count.
    """

    environment: str
    deployment_success_rate: float | None = None
    """Promoted deployments, of all that ended."""
    deployment_duration_seconds: float | None = None
    """Duration of the last promoted deployment, from lease to end."""
    post_deployment_validation_score: float | None = None
    """Score of the last phase judged on a running revision, in the newest rollout that has one."""
    rollback_trigger_rate: float | None = None
    """Automatic rollbacks (in the deployment, or later by rollback-checks) per deployment."""
    last_success_timestamp_seconds: float | None = None
    rollouts: Mapping[str, int] = field(default_factory=dict)
    """Count of ended rollouts by ``purpose/STATE``."""
    rollbacks: Mapping[str, int] = field(default_factory=dict)
    """Count of rollouts that ended as rolled back or stranded, by reason code."""


def compute_metrics(environment: str, records: Iterable[RolloutRecord]) -> Figures:
    """Compute the metrics from ``records`` of ``environment``, newest first."""
    final = [r for r in records if r.state.is_final]
    deployments = [r for r in final if r.purpose == "deploy" and _has_staged(r)]
    promoted = [r for r in deployments if r.state is State.PROMOTED]
    went_back = [
        r
        for r in final
        if r.state is State.STRANDED or (r.state is State.ROLLED_BACK and r.purpose != "drill")
    ]
    automatic = [r for r in went_back if r.purpose in ("deploy", "rollback-checks")]
    scores = (score for r in final if (score := validation_score(r)) is not None)
    newest = promoted[0] if promoted else None
    return Figures(
        environment=environment,
        deployment_success_rate=len(promoted) / len(deployments) if deployments else None,
        deployment_duration_seconds=newest.duration_s if newest is not None else None,
        post_deployment_validation_score=next(scores, None),
        rollback_trigger_rate=len(automatic) / len(deployments) if deployments else None,
        last_success_timestamp_seconds=newest.ended_at.timestamp()
        if newest is not None and newest.ended_at is not None
        else None,
        rollouts=dict(Counter(f"{r.purpose}/{r.state.value}" for r in final)),
        rollbacks=dict(Counter(r.reason_code for r in went_back)),
    )


def _has_staged(record: RolloutRecord) -> bool:
    return record.state is not State.REFUSED and record.reason_code != "nothing_to_deploy"


GAUGES: Final = {
    "deployment_success_rate": "Promoted deployments, of all deployments that staged something (ratio).",
    "deployment_duration_seconds": "Duration of the last promoted deployment in seconds.",
    "post_deployment_validation_score": "Score of the last judged phase on a running revision (ratio).",
    "rollback_trigger_rate": "Automatic rollbacks per deployment (ratio).",
}
"""The metrics of the original deployment task, with their help texts."""
