"""A function on the emulator with a baseline and a staged candidate, and targets that look at it."""

import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from google.cloud import run_v2

from pytest_deploygate.core.function_spec import FunctionSpec, Variant
from pytest_deploygate.core.identifiers import RevisionName, RolloutId
from pytest_deploygate.core.own_tags import TAG_CANDIDATE, TAG_VERIFY
from pytest_deploygate.core.release import RolloutLabels, Snapshot
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.ports import Clock, Target
from pytest_deploygate.targets.cloud_functions import CloudFunctionsTarget
from pytest_deploygate.targets.cloud_run import CloudRunTarget
from tests.emulator.emulator_driver import Driver, until

MAIN = """
import os

def hello(request):
    said = {name: os.environ.get(name) for name in ("K_REVISION", "SHEET", "MODE", "TOKEN")}
    return said, 200, {"X-Revision": os.environ["K_REVISION"]}
"""
RUNTIME = f"python3{sys.version_info.minor}"
BUDGET_S = 3000.0
ROLLOUT = RolloutId("20261123-0001-abcd")


class HurriedClock:
    """Real time in which nobody sleeps long: what was not slept is added to ``monotonic``."""

    def __init__(self, longest_s: float = 0.1) -> None:
        self._longest_s = longest_s
        self._skipped = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic() + self._skipped

    def sleep(self, seconds: float) -> None:
        real = min(seconds, self._longest_s)
        time.sleep(real)
        self._skipped += seconds - real
        self.slept.append(seconds)


def make_source(folder: Path, main: str = MAIN, requirements: str = "") -> Path:
    """A source directory."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.py").write_text(main)
    (folder / "requirements.txt").write_text(requirements)
    return folder


def make_spec(function: str, source: Path, **changes: object) -> FunctionSpec:
    """Settings of a function whose verification revision writes to another sheet."""
    spec = FunctionSpec(
        function=function,
        project="p1",
        region="us-central1",
        runtime=RUNTIME,
        entry_point="hello",
        source=str(source),
        memory="512Mi",
        timeout_s=20,
        public=True,
        variables={"SHEET": "production", "MODE": "a, b=c"},
        verify_variables={"SHEET": "staging"},
    )
    return spec._replace(**changes)  # type: ignore[arg-type]  # names are checked by replace itself


AnyTarget = CloudFunctionsTarget | CloudRunTarget
KINDS: dict[str, type[AnyTarget]] = {
    "google": CloudFunctionsTarget,
    "cloud-run": CloudRunTarget,
}
"""The targets that deploy to Google, by their names in the settings."""


def make_target(
    driver: Driver, spec: FunctionSpec, home: Path, *, timeout_s: float = 20.0
) -> CloudFunctionsTarget:
    """A target for Cloud Functions on the emulator."""
    return make_target_of(CloudFunctionsTarget, driver, spec, home, timeout_s=timeout_s)


T = TypeVar("T", bound=AnyTarget)


def make_target_of(
    kind: type[T],
    driver: Driver,
    spec: FunctionSpec,
    home: Path,
    *,
    clock: Clock | None = None,
    timeout_s: float = 20.0,
) -> T:
    """A target of that kind on the emulator, in a hurry without a ``clock``."""
    return kind(
        spec=spec,
        endpoint=driver.cloud.endpoint,
        credentials=None,
        home=home,
        clock=clock or HurriedClock(),
        is_local=True,
        timeout_s=timeout_s,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedRevisions:
    """Two revisions beside what serves."""

    verification: RevisionName
    candidate: RevisionName
    snapshot: Snapshot


def quietly(_: str) -> None:
    """Nobody listens to the progress."""


def stage(target: Target, rollout: RolloutId = ROLLOUT) -> StagedRevisions:
    """Stage the target's source as the engine does: pin, upload, two revisions, tags."""
    before = target.snapshot()
    rollout_labels = RolloutLabels(rollout=rollout, baseline=before.baseline)
    if before.exists:
        target.pin(before, rollout_labels)
    source = target.upload(target.package())
    operation = target.begin_release(source, rollout_labels)
    built = target.await_release(operation, progress=quietly, budget_s=BUDGET_S)
    if not before.exists:
        target.pin(target.snapshot(), rollout_labels)
    verification = target.add_revision(built, Variant.VERIFICATION)
    candidate = target.add_revision(built, Variant.CANDIDATE)
    for revision in (verification, candidate):
        target.await_revision(revision, budget_s=BUDGET_S)
    resting = Traffic.of({before.baseline or built: 100})
    tags = {TAG_CANDIDATE: candidate, TAG_VERIFY: verification}
    after = target.shift_traffic(resting.with_tags(tags), expect=resting)
    return StagedRevisions(verification=verification, candidate=candidate, snapshot=after)


def release(target: Target) -> RevisionName:
    """A whole first release, open to the public."""
    staged = stage(target)
    target.shift_traffic(
        Traffic.of({staged.candidate: 100}),
        expect=staged.snapshot.serving,
        rollout_labels=RolloutLabels(baseline=staged.candidate, digest="d1", config="c1"),
    )
    if target.spec.public:
        target.set_public(True)
    return staged.candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedFunction:
    """A function with a baseline that serves and a candidate without traffic; see the fixture ``shared``."""

    driver: Driver
    target: AnyTarget
    home: Path
    service: str
    baseline: RevisionName
    verification: RevisionName
    candidate: RevisionName

    @property
    def at_baseline(self) -> Traffic:
        """All traffic to the baseline, the candidate's tags in place."""
        return Traffic.of(
            {self.baseline: 100}, {TAG_CANDIDATE: self.candidate, TAG_VERIFY: self.verification}
        )

    @property
    def at_candidate(self) -> Traffic:
        """All traffic to the candidate, its tags in place."""
        return self.at_baseline.with_shares({self.candidate: 100})

    def promote(self) -> Snapshot:
        """What the engine does when the candidate was judged good."""
        return self.target.shift_traffic(self.at_candidate, expect=self.at_baseline)

    def again(self, *, clock: Clock | None = None, timeout_s: float = 20.0) -> AnyTarget:
        """Another target on the same function, as another process has it."""
        kind: type[AnyTarget] = type(self.target)
        return make_target_of(
            kind, self.driver, self.target.spec, self.home, clock=clock, timeout_s=timeout_s
        )

    def read(self) -> run_v2.Service:
        """The service, as the platform describes it."""
        return self.driver.service(self.service)

    def writes(self, after: int) -> int:
        """How many changes the emulator was asked for since the call number ``after``."""
        return sum(call["method"] == "PATCH" for call in self.driver.calls(after))

    def serving(self) -> set[str]:
        """Revisions that answer at the public URL, of 20 requests."""
        url = self.read().uri
        return {str(self.driver.get(url).json()["K_REVISION"]) for _ in range(20)}

    def reset(self) -> None:
        """No faults, all traffic to the baseline, our tags on the candidate and no others, no rollout labels."""
        self.driver.local("DELETE", "faults")
        kind = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
        wanted = run_v2.Service(
            name=self.service,
            traffic=[
                run_v2.TrafficTarget(type_=kind, revision=self.baseline, percent=100),
                run_v2.TrafficTarget(type_=kind, revision=self.candidate, tag=TAG_CANDIDATE),
                run_v2.TrafficTarget(type_=kind, revision=self.verification, tag=TAG_VERIFY),
            ],
            labels={"team": "billing"},
        )
        request = run_v2.UpdateServiceRequest(
            service=wanted, update_mask={"paths": ["traffic", "labels"]}
        )
        self.driver.services.update_service(request, timeout=20)
        until(self.read, lambda service: not service.reconciling)
