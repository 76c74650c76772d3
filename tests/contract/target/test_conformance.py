"""One whole life of a function, the same against the emulator and against Google.

With ``DEPLOYGATE_GCP_PROJECT`` set (and credentials, and optionally ``DEPLOYGATE_GCP_REGION``), the
second run proves on the platform what is otherwise known from documentation and reports alone: that
an update keeps pinned traffic and tags, that one build makes all revisions, how the service is
named, and that the platform tells of requests after the lag that is waited for. It creates a
function and deletes it, in about a quarter of an hour.

The credentials need the roles of docs/how-to/google.md, and ``roles/run.admin`` to open the function.
"""

import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_deploygate.config.environment import GOOGLE_LAG_S
from pytest_deploygate.core.errors import TargetUnavailable
from pytest_deploygate.core.identifiers import RevisionName, RolloutId
from pytest_deploygate.core.own_tags import TAG_CANDIDATE, TAG_LIVE_VERIFY, TAG_PREVIOUS, TAG_VERIFY
from pytest_deploygate.core.release import RolloutLabels
from pytest_deploygate.core.traffic import LATEST, Traffic
from pytest_deploygate.ports import Metrics
from pytest_deploygate.system.clock import SystemClock
from pytest_deploygate.targets.cloud_monitoring import open_metrics
from tests.contract.target.function_cleaner import (
    BUDGET_S,
    PROJECT,
    deleted_afterwards,
    google_target_of,
)
from tests.contract.target.google_recordings import record_all
from tests.contract.target.staged_function import (
    KINDS,
    MAIN,
    AnyTarget,
    StagedRevisions,
    make_source,
    make_spec,
    make_target_of,
    quietly,
    stage,
)
from tests.emulator.emulator_driver import Driver

FUNCTION = f"dg_conformance_{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformancePlace:
    """A function that does not exist yet, and what its platform tells of it."""

    target: AnyTarget
    metrics: Metrics


@pytest.fixture(
    params=[(place, kind) for place in ("local", "google") for kind in KINDS],
    ids=["local", "local-cloud-run", "google", "google-cloud-run"],
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ConformancePlace]:
    """Each place where functions live, and each way to deploy there; the function is gone afterwards."""
    kind = KINDS[request.param[1]]
    source = make_source(tmp_path / "source")
    endpoint = ""
    made: AnyTarget
    if request.param[0] == "local":
        driver: Driver = request.getfixturevalue("driver")
        endpoint = driver.cloud.endpoint
        made = make_target_of(kind, driver, make_spec(FUNCTION, source), tmp_path / "records")
    else:
        if not os.environ.get(PROJECT):
            pytest.skip(
                f"no Google project: {PROJECT} is not set, so nothing is proved on Google itself"
            )
        made = google_target_of(kind, FUNCTION, tmp_path)
    metrics = open_metrics(
        made.spec,
        endpoint=endpoint,
        is_local=bool(endpoint),
        clock=SystemClock(),
        lag_s=0 if endpoint else GOOGLE_LAG_S,
        least_requests=1,
    )
    record_all(made, f"life-{request.node.callspec.id}")
    with deleted_afterwards(FUNCTION, tmp_path, endpoint):
        yield ConformancePlace(target=made, metrics=metrics)
    made.close()


def answers(target: AnyTarget, url: str, wanted: RevisionName) -> bool:
    """Whether ``wanted`` answers at ``url`` soon: what the platform was told takes a moment everywhere."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if target.answering_revision(url) == wanted:
                return True
        except TargetUnavailable:
            pass
        time.sleep(0.1)
    return False


def tells_of(metrics: Metrics, revision: RevisionName) -> set[str]:
    """Names of what the platform measured of ``revision``, asked until its figures can no longer be late."""
    deadline = time.monotonic() + metrics.lag_s + 120
    while True:
        sample = metrics.sample(revision, 3600)
        assert sample.problems == ()
        names = {m.name for m in sample.measurements}
        if {"request_count", "memory_usage_mb"} <= names or time.monotonic() > deadline:
            return names
        time.sleep(10 if metrics.lag_s else 0.1)


def test_a_function_lives_as_planned(place: ConformancePlace) -> None:
    target = place.target
    assert [f for f in target.preflight() if f.is_blocking] == []
    assert not target.snapshot().exists

    first = stage(target)
    assert not first.snapshot.is_public
    assert first.snapshot.service.endswith(f"/services/{FUNCTION.replace('_', '-')}")
    same_build(target, first)
    target.shift_traffic(Traffic.of({first.candidate: 100}), expect=first.snapshot.serving)
    target.set_public(True)
    done = RolloutLabels(baseline=first.candidate, digest="d1", config="c1")
    tags = {TAG_LIVE_VERIFY: first.verification}
    served = target.shift_traffic(
        Traffic.of({LATEST: 100}, tags),
        expect=Traffic.of({first.candidate: 100}),
        rollout_labels=done,
    )
    assert (served.rollout_labels, served.is_public, served.serving.sole) == (
        done,
        True,
        first.candidate,
    )
    assert answers(target, served.url, first.candidate)
    backup = target.backup(served)
    assert backup.size_bytes > 0

    make_source(Path(target.spec.source), MAIN + "# second\n")
    second = stage(target, RolloutId("second"))
    assert second.snapshot.serving.sole == first.candidate  # pinned all the way
    assert second.snapshot.rollout_labels.rollout == "second"
    same_build(target, second)
    assert answers(target, second.snapshot.url, first.candidate)
    assert answers(target, second.snapshot.tag_urls[TAG_CANDIDATE], second.candidate)
    assert answers(target, second.snapshot.tag_urls[TAG_VERIFY], second.verification)

    resting = Traffic.of({first.candidate: 100})
    promoted = target.shift_traffic(
        Traffic.of({second.candidate: 100}, {TAG_PREVIOUS: first.candidate}), expect=resting
    )
    assert answers(target, promoted.url, second.candidate)
    back = target.shift_traffic(resting, expect=promoted.serving, rollout_labels=done)
    assert answers(target, back.url, first.candidate)
    assert back.rollout_labels == done

    known = {"request_count", "request_count_2xx", "error_rate", "processing_time_s"}
    assert known | {"memory_usage_mb", "memory_kills"} <= tells_of(place.metrics, first.candidate)

    target.delete_revision(second.verification)
    assert target.revision(second.verification) is None
    restored = target.await_release(
        target.begin_restore(backup), progress=quietly, budget_s=BUDGET_S
    )
    assert target.snapshot().serving.sole == first.candidate
    info = target.revision(restored)
    assert info is not None
    assert info.is_ready


def same_build(target: AnyTarget, staged: StagedRevisions) -> None:
    verification, candidate = (
        target.revision(staged.verification),
        target.revision(staged.candidate),
    )
    assert verification is not None
    assert candidate is not None
    assert verification.digest == candidate.digest != ""
    names = verification.variables.keys() | candidate.variables.keys()
    differing = {n for n in names if verification.variables.get(n) != candidate.variables.get(n)}
    assert differing == {"SHEET"}
