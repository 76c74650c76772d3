"""Proves, before a promotion moves any traffic, that all of it can return to the baseline (ADR 31)."""

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
    """Try everything that a rollback to ``baseline`` needs while ``now`` serves; records how long that took.

    The revision is ready, its image is in the registry by digest, its own URL answers from it, and one compare-and-set
    write of the current traffic onto itself is accepted. That write differs in one tag alone, so it is a real one.

    Raises:
        DeployGateError: the drill failed; no traffic was moved.
    """
    target, clock = rollout.ports.target, rollout.ports.clock
    rollout.progress("drill", f"whether all traffic can return to {baseline}")
    info = target.revision(baseline)
    if info is None or not info.is_ready:
        raise _drill_error(f"baseline {baseline} is gone or not ready")
    if not info.digest:
        raise _drill_error(f"the platform does not tell by digest which image {baseline} runs")
    rollout.act(
        "keep_image",
        lambda: target.keep_image(baseline, _IMAGE_TAG),
        intent={"revision": baseline, "tag": _IMAGE_TAG},
    )
    began = clock.monotonic()
    wanted = now.with_tags({TAG_PREVIOUS: baseline})
    after: Snapshot = rollout.act(
        "drill",
        lambda: target.shift_traffic(wanted, expect=Traffic.of(dict(now.shares))),
        intent={"traffic": str(wanted)},
        observed=lambda s: {"traffic": str(s.traffic)},
    )
    url = after.tag_urls[TAG_PREVIOUS]
    wait_until_tag_answers(rollout, baseline, TAG_PREVIOUS, url)
    target.answering_revision(
        url
    )  # raises where nobody answers, which the wait before takes as an answer
    seconds = round(clock.monotonic() - began, 3)
    rollout.update(rollout.record._replace(drill_s=seconds))
    rollout.progress("drill", f"the rollback to {baseline} holds: {seconds:.1f} s")


def _drill_error(cause: str) -> TargetRefused:
    return TargetRefused(
        f"the rollback drill failed: {cause}",
        hint="nothing was promoted; make a revision serve that a rollback can return to, then deploy again",
    )
