"""Simulates one platform, one record, and deployers that act and die, and checks the invariants at every change."""

import os
from dataclasses import dataclass

from pytest_deploygate.core.duration import Duration
from pytest_deploygate.core.engine_settings import EngineSettings, TrafficStep
from pytest_deploygate.core.errors import DeployGateError, Drifted, LeaseLost
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.identifiers import Actor, EnvironmentName, Phase, RevisionName
from pytest_deploygate.core.own_tags import TAGS_OF_SERVING
from pytest_deploygate.core.record import EntryKind, Lease, RolloutRecord
from pytest_deploygate.core.state_machine import Judged, State
from pytest_deploygate.core.variant_tags import is_own_tag
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.detached import abort_detached, detach, find_detached, resume
from pytest_deploygate.engine.engine_context import Ports
from pytest_deploygate.engine.journaled_rollout import reason_for
from pytest_deploygate.engine.permits import PhasePermits
from pytest_deploygate.engine.recovery import (
    Recovery,
    recover_environment,
    wait_for_orphaned_deployment,
)
from pytest_deploygate.engine.rollout import Rollout
from tests.fakes import (
    FOREIGN,
    Change,
    FakeClock,
    FakeCloud,
    FakeStore,
    FakeTarget,
    Faults,
    ProcessKilled,
    a_spec,
)

PROD = EnvironmentName("production")
CONFIG = "c" * 64
GRID = os.environ.get("DEPLOYGATE_GRID", "")
"""How many faults are tried. Empty, as in CI: a sample. ``few``, as in ``tox -e quick``: fewer. ``calls``: every fault
at every call of every kind of rollout. ``full``, as in ``tox -e full``: also every fault at every call of the recovery
from every death."""
CALL_STRIDE = {"calls": 1, "full": 1, "few": 97}.get(GRID, 32)
"""A fault is tried at every n-th call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What a deployer finds, and the results of the gates."""

    name: str
    has_baseline: bool = True
    by_hand: bool = False
    """The baseline was deployed by other means, so the service has no rollout labels."""
    is_pinned: bool = False
    """An earlier rollout of ours promoted the baseline, so traffic is pinned by name."""
    verify: bool = False
    variants: tuple[str, ...] = ()
    """Further verification revisions, each with a sheet called as itself."""
    public: bool = True
    steps: tuple[int, ...] = (100,)
    waiting: tuple[int, ...] = ()
    """Those of ``steps`` at which the candidate is judged before it gets more."""
    detaches: bool = False
    """At each step that waits, the deployer leaves the rollout, and another process carries it on."""
    drill: bool = False
    fresh: bool = False
    """The steps compare the candidate with a new revision of the baseline's image."""
    failing_step: int = 0
    """The step at which the candidate turns out to be worse."""
    candidate_holds: bool = True
    live_holds: bool = True

    @property
    def holds(self) -> bool:
        """Whether all gates and steps hold."""
        return self.candidate_holds and self.live_holds and not self.failing_step

    @property
    def spec(self) -> FunctionSpec:
        """Settings of the function."""
        variants = {name: {"SHEET": name} for name in self.variants}
        verify = {"SHEET": "test"} if self.verify else {}
        return a_spec(public=self.public, variants=variants, **verify)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a deployer ended: its record, if there is one, and the error that stopped it."""

    record: RolloutRecord | None
    error: DeployGateError | None = None


def _reason(code: ReasonCode, sentence: str) -> Reason:
    return Reason(code=code, sentence=sentence)


class Simulation:
    """Everything that survives a process."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.clock = FakeClock()
        self.cloud = FakeCloud(self.clock)
        self.faults = Faults()
        self.store = FakeStore(self.clock, self.faults)
        self.living: set[int] = set()
        self.is_observed = False
        """Whether a deployer has read the service, so that changes by others are drift from now on."""
        self.is_drifted = False
        self.vouched: set[RevisionName] = set()
        """Revisions that served before the rollout under test, and may serve again."""
        self._pids = 100
        if scenario.has_baseline:
            self.cloud.deploy_by_others("v1", by_hand=scenario.by_hand)
            if scenario.is_pinned:
                self.deploy("v1b", is_judged=False)
                plan = self.cloud.serving()
                self.cloud.write("before", plan, None)
        self.observed()
        self.is_observed = False
        self.cloud.changes.clear()
        self.faults.calls.clear()
        self.cloud.watchers.append(self._watch)

    # What processes do

    def new_actor(self) -> Actor:
        """Start a process."""
        self._pids += 1
        self.living.add(self._pids)
        return Actor(user="ada", host="ci", pid=self._pids)

    def observed(self) -> None:
        """Note what a deployer that has just read the service must return to."""
        self.is_observed, self.is_drifted = True, False
        self.existed = self.cloud.service is not None
        self.before = self.cloud.serving()
        self.before_images = self.cloud.images_serving()
        self.was_public = self.cloud.peek().is_public

    def ports(self, source: str = "v2") -> Ports:
        """Ports of a process."""
        target = FakeTarget(self.cloud, self.faults, self.scenario.spec)
        target.source = source
        return Ports(
            environment=PROD,
            target=target,
            store=self.store,
            clock=self.clock,
            settings=EngineSettings(
                steps=tuple(map(self._step, self.scenario.steps)),
                drill=self.scenario.drill,
                baseline="fresh" if self.scenario.fresh else "serving",
            ),
        )

    def _step(self, percent: int) -> TrafficStep:
        waits = percent in self.scenario.waiting
        return TrafficStep(percent=percent, wait=Duration(60) if waits else None)

    def is_stale(self, lease: Lease) -> bool:
        """Whether the holder is dead; the simulation sees every process."""
        return lease.actor.pid not in self.living

    def recover(self) -> tuple[Recovery, ...]:
        """A process that only recovers open rollouts."""
        actor = self.new_actor()
        try:
            return self.recover_first(self.ports(), actor)
        finally:
            self.living.discard(actor.pid)

    def recover_first(self, ports: Ports, actor: Actor) -> tuple[Recovery, ...]:
        """Recover first, as every process does."""
        recovered = recover_environment(ports, actor=actor, is_stale=self.is_stale)
        while (left := find_detached(ports)) is not None:
            self._carry_on(ports, left, actor)
        if not any(r.is_open for r in self.store.peek_all()):
            self.is_observed = False
        return recovered

    def deploy(self, source: str = "v2", *, is_judged: bool = True) -> Ended:
        """A process that runs a whole rollout, as a session does; all gates hold unless ``is_judged``."""
        actor, ports = self.new_actor(), self.ports(source)
        try:
            return self._deploy(actor, ports, is_judged=is_judged)
        finally:
            self.living.discard(actor.pid)

    def _deploy(self, actor: Actor, ports: Ports, *, is_judged: bool) -> Ended:
        rollout: Rollout | None = None
        try:
            if any(s.state is State.STRANDED for s in self.recover_first(ports, actor)):
                return Ended(record=None)
            if wait_for_orphaned_deployment(ports):
                self.recover_first(ports, actor)
            snapshot = ports.target.snapshot()
            self.observed()
            package = ports.target.package()
            rollout = Rollout.open(
                ports, actor=actor, purpose="deploy", permits=PhasePermits(*Phase, *Judged)
            )
            rollout.observe(snapshot, package, CONFIG)
            if rollout.is_unchanged:
                rollout.keep(_reason(ReasonCode.HELD, "nothing changed"))
            else:
                self._judge(rollout, is_judged=is_judged)
        except DeployGateError as error:
            if rollout is None:
                return Ended(record=None, error=error)
            return self._abort(rollout, error)
        return Ended(record=rollout.record)

    def _judge(self, rollout: Rollout, *, is_judged: bool) -> None:
        failed = _reason(ReasonCode.GATE_FAILED, "a gate failed")
        rollout.stage()
        if is_judged and not self.scenario.candidate_holds:
            rollout.abort(failed)
            return
        rollout.promote()
        if is_judged and self.scenario.detaches and rollout.state is State.STEPPING:
            detach(rollout, 0)
            self.living.discard(rollout.lease.actor.pid)
            another = self.new_actor()
            try:
                self.recover_first(rollout.ports, another)
            finally:
                self.living.discard(another.pid)
            rollout.record = self.store.peek(rollout.record.rollout_id)
            return
        self._walk(rollout, is_judged=is_judged)

    def _walk(self, rollout: Rollout, *, is_judged: bool) -> None:
        failed = _reason(ReasonCode.GATE_FAILED, "a gate failed")
        while rollout.state is State.STEPPING:
            assert rollout.step is not None
            if is_judged and rollout.step.percent == self.scenario.failing_step:
                rollout.abort(failed)
                return
            rollout.advance_step()
            if is_judged and self.scenario.detaches and rollout.state is State.STEPPING:
                detach(rollout, 0)
                return
        if is_judged and not self.scenario.live_holds:
            rollout.abort(failed)
            return
        rollout.finalise(_reason(ReasonCode.HELD, "all gates held"))

    def _carry_on(self, ports: Ports, left: RolloutRecord, actor: Actor) -> None:
        """Resume a rollout that another process left, as a session does; all gates hold as the scenario says."""
        package = ports.target.package()
        permits = PhasePermits(*Phase, *Judged)
        try:
            rollout = resume(ports, left, actor=actor, package=package, permits=permits)
        except Drifted:  # nobody but an operator decides what should serve then
            ordered = _reason(ReasonCode.REQUESTED, "an operator ended it")
            abort_detached(ports, left, actor=actor, reason=ordered)
            return
        assert rollout is not None
        try:
            self._walk(rollout, is_judged=True)
        except DeployGateError as error:
            self._abort(rollout, error)

    def _abort(self, rollout: Rollout, error: DeployGateError) -> Ended:
        if isinstance(error, LeaseLost) or rollout.state.is_final:
            return Ended(record=rollout.record, error=error)
        try:
            rollout.abort(reason_for(error, ReasonCode.COULD_NOT_ACT))
        except DeployGateError as another:
            return Ended(record=rollout.record, error=another)
        return Ended(record=rollout.record, error=error)

    def deploy_until_it_ends_or_dies(self) -> Ended | None:
        """Run a process; None if it died."""
        try:
            return self.deploy()
        except ProcessKilled:
            return None

    def watch_traffic_only(self) -> None:
        """Lose the record, so that it can no longer be compared with what serves."""
        self.cloud.watchers.clear()

    # Invariants

    def _watch(self, change: Change) -> None:
        """Check the invariants at a change of traffic."""
        service = self.cloud.service
        if change.cause == "human" and not self.is_observed:
            self.before, self.before_images = change.serving, self.cloud.images_serving()
        elif change.cause == "human":
            self.is_drifted = True
        elif self.is_drifted and self._could_not_be_seen(change):
            self.is_drifted = False
        elif self.is_drifted:
            assert change.serving.percent(FOREIGN) == 100, f"drift was overwritten by {change}"
        if service is None:
            assert not self.existed, "a function that existed was deleted"
            return
        for revision, _ in change.serving.shares:
            assert revision in service.revisions, f"{revision} serves and does not exist"
            assert service.revisions[revision].is_ready, f"{revision} serves and is not ready"
            if change.is_public and revision != FOREIGN:
                self._may_serve(revision)

    def _could_not_be_seen(self, change: Change) -> bool:
        """Whether a first release may be deleted although somebody else has just changed it.

        The platform's delete is not compare-and-set, and a process that died before it learned the name of its first
        revision leaves no way to distinguish that revision from another one.
        """
        if change.cause != "delete_function":
            return False
        has_name = any(r.candidate or r.built for r in self.store.peek_all())
        return not has_name or self.faults.fired[-1][1] == "target.delete_function"

    def _may_serve(self, revision: RevisionName) -> None:
        """Assert that a public revision served before, is a copy of such a revision, or was judged good."""
        service = self.cloud.existing()
        info = service.revisions[revision]
        foreign = service.revisions.get(FOREIGN)
        if self.before.percent(FOREIGN) and foreign and info == foreign._replace(name=revision):
            return  # a fresh baseline of what somebody else made serve
        assert info.variables.get("SHEET") == "production", f"{revision} writes elsewhere"
        if revision in self.vouched or self.before.percent(revision):
            return
        if info.digest in self.before_images:
            return
        assert any(
            entry.kind is EntryKind.MOVED and entry.name == "candidate_held"
            for record in self.store.peek_all()
            if record.candidate == revision
            for entry in self.store.peek_journal(record.rollout_id)
        ), f"{revision} serves, and nobody recorded that it was judged good"

    def serves_baseline(self) -> bool:
        """Whether the public reaches the same revisions as before."""
        if not self.existed:
            return self.cloud.service is None
        return (
            self.cloud.serving().shares == self.before.shares
            or self.cloud.images_serving() == self.before_images
        ) and self.cloud.peek().is_public == self.was_public

    def serves_candidate(self, record: RolloutRecord) -> bool:
        """Whether the public reaches only the rollout's candidate."""
        is_open = self.cloud.peek().is_public == (self.scenario.public or self.was_public)
        return record.candidate is not None and (
            self.cloud.serving().sole == record.candidate and is_open
        )

    def check_told_truth(self, record: RolloutRecord) -> None:
        """Assert that a final state says what serves, and that only a stranded rollout keeps the lease."""
        assert record.state.is_final, f"ended as {record.state}"
        if self.is_drifted:
            assert self.cloud.serving().percent(FOREIGN) == 100
        elif record.state is State.PROMOTED:
            assert self.serves_candidate(record), self._scene(record)
            assert record.serving == record.candidate
        elif record.state in (State.ROLLED_BACK, State.REFUSED):
            assert self.serves_baseline(), self._scene(record)

    def check_settled(self) -> None:
        """Assert that no rollout is open, the lease is free, and the service has no labels of a rollout under way."""
        stranded = [r for r in self.store.peek_all() if r.state is State.STRANDED]
        if stranded:
            return
        assert [r for r in self.store.peek_all() if r.is_open] == []
        assert self.store.peek_lease(PROD) is None, "the lease was kept"
        if not self.is_drifted:
            assert self.cloud.peek().rollout_labels.rollout is None, (
                "the service is marked as under way"
            )
            own = {t for t, _ in self.cloud.peek().traffic.tags if is_own_tag(t)}
            assert own <= set(TAGS_OF_SERVING), f"left behind: {own}"
            self._check_template()

    def _check_template(self) -> None:
        """Assert that the next deployment starts from production variables, or that the record says what is left."""
        service, records = self.cloud.service, self.store.peek_all()
        newest = service.latest_created if service is not None else None
        if service is None or newest not in service.revisions or newest is None:
            return
        is_noted = bool(records) and bool(records[-1].unfinished)
        assert service.revisions[newest].variables.get("SHEET") == "production" or is_noted

    def check_recovery_is_idempotent(self) -> None:
        """Assert that a second recovery finds nothing to do."""
        seen = (self.cloud.peek(), self.store.peek_all(), self.store.peek_lease(PROD))
        changes = len(self.cloud.changes)
        if any(r.state is State.STRANDED for r in self.store.peek_all()):
            return
        assert self.recover() == ()
        assert (self.cloud.peek(), self.store.peek_all(), self.store.peek_lease(PROD)) == seen
        assert len(self.cloud.changes) == changes

    def check_next_rollout_works(self) -> None:
        """Assert that the next deployer succeeds, unless a rollout is stranded."""
        if self.is_drifted or any(r.state is State.STRANDED for r in self.store.peek_all()):
            return
        ended = self.deploy("v9", is_judged=False)
        assert ended.error is None, str(ended.error)
        assert ended.record is not None
        assert ended.record.state is State.PROMOTED
        assert self.serves_candidate(ended.record)
        self.check_settled()

    def _scene(self, record: RolloutRecord) -> str:
        peek = self.cloud.peek()
        return (
            f"{record.state}: serves {peek.serving}, public {peek.is_public}, before {self.before}, "
            f"candidate {record.candidate}, fired {self.faults.fired}"
        )
