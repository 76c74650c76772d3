"""Deployers, recoveries, operators and faults in any order: invariants hold, and recovery ends every rollout."""

import contextlib
import logging

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pytest_deploygate.core.errors import DeployGateError
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.state_machine import Judged, State
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.journaled_rollout import reason_for
from pytest_deploygate.engine.permits import PhasePermits
from pytest_deploygate.engine.rollout import Rollout
from tests.engine.simulation import CONFIG, GRID, PROD, Simulation
from tests.engine.test_grid import SCENARIOS
from tests.fakes import Fault, ProcessKilled

logging.getLogger("pytest_deploygate").setLevel(logging.CRITICAL)

FAULTS = st.sampled_from(list(Fault))
BAD = Reason(code=ReasonCode.GATE_FAILED, sentence="a gate failed")
GOOD = Reason(code=ReasonCode.HELD, sentence="all gates held")


class Deployers(RuleBasedStateMachine):
    """At most one rollout runs step by step; the others run to their end at once."""

    def __init__(self) -> None:
        super().__init__()
        self.simulation: Simulation
        self.rollout: Rollout | None = None
        self.sources = 10

    @initialize(scenario=st.sampled_from(SCENARIOS))
    def begin(self, scenario: object) -> None:
        assert scenario in SCENARIOS
        self.simulation = Simulation(next(s for s in SCENARIOS if s == scenario))

    # A deployer that is stopped between its steps

    @precondition(lambda self: self.rollout is None)
    @rule()
    def open(self) -> None:
        self.sources += 1
        actor, ports = self.simulation.new_actor(), self.simulation.ports(f"v{self.sources}")
        try:
            if any(s.state is State.STRANDED for s in self.simulation.recover_first(ports, actor)):
                return
            snapshot = ports.target.snapshot()
            self.simulation.observed()
            package = ports.target.package()
            rollout = Rollout.open(
                ports, actor=actor, purpose="deploy", permits=PhasePermits(*Phase, *Judged)
            )
            self.rollout = rollout
            rollout.observe(snapshot, package, CONFIG)
        except ProcessKilled:
            self.dies()
        except DeployGateError as error:
            self.aborts(reason_for(error, ReasonCode.COULD_NOT_ACT))

    @precondition(lambda self: self.rollout is not None)
    @rule()
    def advances(self) -> None:
        """Take the next step of the rollout, or end it if there is none."""
        rollout = self.rollout
        assert rollout is not None
        try:
            if rollout.state is State.OPEN:
                rollout.stage()
            elif rollout.state is State.STAGED:
                rollout.promote()
            elif rollout.state is State.STEPPING:
                rollout.advance_step()
            elif rollout.state is State.SERVING:
                rollout.finalise(GOOD)
                self.ends()
        except ProcessKilled:
            self.dies()
        except DeployGateError as error:
            self.aborts(reason_for(error, ReasonCode.COULD_NOT_ACT))

    @precondition(lambda self: self.rollout is not None)
    @rule()
    def gates_break(self) -> None:
        self.aborts(BAD)

    @precondition(lambda self: self.rollout is not None)
    @rule()
    def dies(self) -> None:
        if self.rollout is not None:
            self.simulation.living.discard(self.rollout.record.actor.pid)
        self.rollout = None

    @precondition(lambda self: self.rollout is not None)
    @rule()
    def sleeps_so_long_that_somebody_unlocks(self) -> None:
        """A process that resumes after it lost its lease must not act."""
        with contextlib.suppress(DeployGateError, ProcessKilled):
            self.simulation.store.break_lease(PROD, self.simulation.new_actor(), "it hangs")

    def aborts(self, reason: Reason) -> None:
        rollout = self.rollout
        try:
            if rollout is not None and not rollout.state.is_final:
                with contextlib.suppress(DeployGateError):
                    rollout.abort(reason)
        except ProcessKilled:
            self.dies()
        self.ends()

    def ends(self) -> None:
        rollout, self.rollout = self.rollout, None
        if rollout is None:
            return
        self.simulation.living.discard(rollout.record.actor.pid)
        kept = self.simulation.store.peek_all()[-1]
        is_last = (kept.rollout_id, kept.state) == (rollout.record.rollout_id, rollout.state)
        if is_last and kept.state.is_final:
            self.simulation.check_told_truth(kept)

    # Others

    @rule(number=st.integers(1, 80), fault=FAULTS)
    def something_will_go_wrong(self, number: int, fault: Fault) -> None:
        self.simulation.faults.at(len(self.simulation.faults.calls) + number, fault)

    @rule()
    def faults_are_over(self) -> None:
        self.simulation.faults.clear()

    @rule()
    def another_recovers(self) -> None:
        with contextlib.suppress(DeployGateError, ProcessKilled):
            self.simulation.recover()

    @rule()
    def another_deploys(self) -> None:
        with contextlib.suppress(ProcessKilled):
            self.simulation.deploy("other")

    @rule(seconds=st.sampled_from([-7200.0, 3600.0]))
    def wall_clock_jumps(self, seconds: float) -> None:
        self.simulation.clock.jump(seconds)

    @rule()
    def time_passes(self) -> None:
        self.simulation.cloud.finish_operations()

    # Invariants; the simulation checks more of them at every change of traffic

    @invariant()
    def tokens_and_sequences_grow(self) -> None:
        for record in self.simulation.store.peek_all():
            journal = self.simulation.store.peek_journal(record.rollout_id)
            assert [entry.sequence for entry in journal] == list(range(1, len(journal) + 1))

    @invariant()
    def open_rollouts_are_those_that_did_not_end(self) -> None:
        for record in self.simulation.store.peek_all():
            assert record.is_open or record.state.is_final

    def teardown(self) -> None:
        """When all processes are dead and there are no more faults, one recovery ends every rollout."""
        self.simulation.faults.clear()
        self.simulation.living.clear()
        self.simulation.recover()
        self.simulation.check_settled()
        self.simulation.check_recovery_is_idempotent()
        self.simulation.check_next_rollout_works()


TestDeployers = Deployers.TestCase
TestDeployers.settings = settings(
    max_examples={"": 40, "few": 10}.get(GRID, 200),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
