"""A whole gated rollout through ``cloud-run`` beside one through ``google``, at Google's pace divided by ten."""

import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.google_pace import (
    calls_after,
    deploy_another,
    kind_of,
    last_call,
    paced_project,
)

_TOPIC = "cloud-run beside google"
_ROLLOUTS = 2


def figures() -> list[Figure]:
    """Wall time and admin calls of a rollout, through each target."""
    seconds, kinds = {}, {}
    for target in ("google", "cloud-run"):
        seconds[target], kinds[target] = _measure(target)
    run, google = seconds["cloud-run"], seconds["google"]
    counted = [
        Figure(
            topic=_TOPIC,
            what=f"admin calls of a rollout through {target}",
            value=sum(counts.values()) / _ROLLOUTS,
            unit="calls",
            note=", ".join(f"{kind} {n / _ROLLOUTS:g}" for kind, n in sorted(counts.items())),
        )
        for target, counts in kinds.items()
    ]
    return [
        Figure(
            topic=_TOPIC,
            what="whole gated rollout through cloud-run, times one through google (best of 2)",
            value=run / google,
            note=f"{run:.1f} s and {google:.1f} s; one build each, three revisions",
        ),
        *counted,
    ]


def _measure(target: str) -> tuple[float, Counter[str]]:
    """Seconds of the quickest rollout of another release, and calls of all of them by kind."""
    with tempfile.TemporaryDirectory() as folder:
        project = paced_project(Path(folder), emulates=target)
        try:
            before = last_call(project)
            quickest = min(deploy_another(project, number) for number in range(_ROLLOUTS))
            return quickest, Counter(kind_of(call) for call in calls_after(project, before))
        finally:
            project.close()
