"""What a rollback needs of the platform, tried without moving traffic (ADR 31)."""

from typing import Final

from pytest_deploygate.core.errors import TargetRefused
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.own_tags import TAG_PREVIOUS
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.engine.journaled_rollout import JournaledRollout
from pytest_deploygate.engine.traffic_verification import wait_until_tag_answers

_IMAGE_TAG: Final = "dg-drill"
"""Tag of the image in the registry alone: that of the previous revision must stay, as this rollout may go back."""


def drill_rollback(rollout: JournaledRollout, baseline: RevisionName, now: Traffic) -> None:
    """Try a rollback to ``baseline`` before a promotion, while ``now`` serves.

    Raises:
        DeployGateError: the drill failed; no traffic was moved.
    """
    rollout.progress("drill", f"whether all traffic can return to {baseline}")
    try_rollback_writes(rollout, baseline, TAG_PREVIOUS, now)
    rollout.progress("drill", f"the rollback to {baseline} holds: {rollout.record.drill_s:.1f} s")


def try_rollback_writes(
    rollout: JournaledRollout, revision: RevisionName, tag: str, now: Traffic
) -> None:
    """Try everything that a rollback to ``revision`` needs while ``now`` serves; records how long that took.

    The revision is ready, its image is in the registry by digest, its own URL answers from it, and one compare-and-set
    write of the current traffic onto itself is accepted. That write differs in ``tag`` alone, so it is a real one.

    Raises:
        DeployGateError: something does not hold; no traffic was moved.
    """
    target, clock = rollout.ports.target, rollout.ports.clock
    info = target.revision(revision)
    if info is None or not info.is_ready:
        raise _drill_error(f"{revision} is gone or not ready")
    if not info.digest:
        raise _drill_error(f"the platform does not tell by digest which image {revision} runs")
    rollout.act(
        "keep_image",
        lambda: target.keep_image(revision, _IMAGE_TAG),
        intent={"revision": revision, "tag": _IMAGE_TAG},
    )
    began = clock.monotonic()
    wanted = now.with_tags({tag: revision})
    after: Snapshot = rollout.act(
        "drill",
        lambda: target.shift_traffic(wanted, expect=Traffic.of(dict(now.shares))),
        intent={"traffic": str(wanted)},
        observed=lambda s: {"traffic": str(s.traffic)},
    )
    url = after.tag_urls[tag]
    wait_until_tag_answers(rollout, revision, tag, url)
    target.answering_revision(
        url
    )  # raises where nobody answers, which the wait before takes as an answer
    seconds = round(clock.monotonic() - began, 3)
    rollout.update(rollout.record._replace(drill_s=seconds))


def _drill_error(cause: str) -> TargetRefused:
    return TargetRefused(
        f"the rollback drill failed: {cause}",
        hint="nothing was promoted; make a revision serve that a rollback can return to, then deploy again",
    )
