"""Rollouts of the engine with a real target, in this process: promoted, taken back, and left by a death."""

from pytest_deploygate.core.errors import DeployGateError
from pytest_deploygate.core.identifiers import Actor, EnvironmentName, Phase, RevisionName
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.engine_context import Ports
from pytest_deploygate.engine.operator_rollback import rollback_to_revision
from pytest_deploygate.engine.permits import PhasePermits
from pytest_deploygate.engine.recovery import Recovery, recover_environment
from pytest_deploygate.engine.rollback_plan import plan_rollback
from pytest_deploygate.engine.rollout import Rollout
from pytest_deploygate.ports import Clock, Target
from pytest_deploygate.store.sql import open_memory_store

ACTOR = Actor(user="ann", host="ci", pid=1)
HELD = Reason(code=ReasonCode.HELD, sentence="all gates held")
FAILED = Reason(code=ReasonCode.GATE_FAILED, sentence="a gate failed")


def ports_on(target: Target, clock: Clock) -> Ports:
    """``target`` with a record of its own; close its store at the end."""
    store = open_memory_store(clock)
    return Ports(environment=EnvironmentName("production"), target=target, store=store, clock=clock)


def begin(ports: Ports, config: str) -> Rollout:
    """A rollout that has looked at everything and touched nothing; preflight blocks none."""
    assert [f for f in ports.target.preflight() if f.is_blocking] == []
    rollout = Rollout.open(ports, actor=ACTOR, purpose="deploy", permits=PhasePermits(*Phase))
    rollout.observe(ports.target.snapshot(), ports.target.package(), config)
    return rollout


def deploy(ports: Ports, config: str, *, holds: bool = True) -> RolloutRecord:
    """A whole rollout; unless it ``holds``, it is taken back from 100 %. What breaks it off is its reason."""
    rollout = begin(ports, config)
    try:
        rollout.stage()
        rollout.promote()
        if holds:
            rollout.finalise(HELD)
        else:
            rollout.abort(FAILED)
    except DeployGateError as error:
        rollout.abort(Reason(code=ReasonCode.STAGE_FAILED, sentence=str(error)))
    return rollout.record


def deploy_and_die(ports: Ports, config: str) -> RolloutRecord:
    """A rollout whose process ends when its candidate serves."""
    rollout = begin(ports, config)
    rollout.stage()
    rollout.promote()
    return rollout.record


def recover(ports: Ports) -> tuple[Recovery, ...]:
    """What the next command does."""
    return recover_environment(ports, actor=ACTOR, is_stale=lambda _: True)


def go_back(ports: Ports, to: RevisionName | None) -> RolloutRecord:
    """What ``deploygate rollback --to`` does."""
    plan = plan_rollback(ports, ports.target.snapshot(), to=to)
    reason = Reason(code=ReasonCode.REQUESTED, sentence="a drill")
    return rollback_to_revision(ports, plan, actor=ACTOR, purpose="rollback", reason=reason).record
