"""How a session ends: what is said of a rollout, of an error, and of a lease that was lost."""

import contextlib
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pytest_deploygate.channel.messages import SERVER_ERRORS
from pytest_deploygate.config.environment import LOCAL
from pytest_deploygate.core.documentation import stranded_advice
from pytest_deploygate.core.errors import (
    BuildFailed,
    ConfigError,
    DeployGateError,
    ExitStatus,
    PolicyRefused,
    StartFailed,
)
from pytest_deploygate.core.evidence import CheckState
from pytest_deploygate.core.failure_excerpt import excerpt_of
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.verdict import PhaseVerdict, Reason, ReasonCode
from pytest_deploygate.engine.journaled_rollout import JournaledRollout, reason_for
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.judge.reporting.session_result import SessionResult
from pytest_deploygate.targets import gcloud_commands

_STILL_SERVES = re.compile(r"^what served before still does(\. )?")
"""How hints of a failed deployment begin; not true of a first release."""
FINAL_VERDICT = {
    State.PROMOTED: "PROMOTE",
    State.ROLLED_BACK: "ROLL_BACK",
    State.REFUSED: "REFUSE",
    State.STRANDED: "ROLL_BACK",
}


def result_of_rollout(
    context: SessionContext,
    rollout: JournaledRollout,
    error: DeployGateError | None,
    deciding: PhaseVerdict | None,
) -> SessionResult:
    """How a session ends that began ``rollout``; ``error`` is what broke it, ``deciding`` the last verdict."""
    if not rollout.state.is_final:
        return result_without_lease(rollout, error)
    if rollout.record.restore_point is None:  # it ended before it had seen what serves
        with contextlib.suppress(DeployGateError):
            serving = rollout.ports.target.snapshot().serving.sole
            rollout.record = rollout.record._replace(serving=serving)
    record, state = rollout.record, rollout.state
    code = ReasonCode(record.reason_code) if record.reason_code else ReasonCode.COULD_NOT_ACT
    others = deciding.reasons[1:] if deciding is not None and not deciding.holds else ()
    return SessionResult(
        verdict=FINAL_VERDICT.get(state, "REFUSE"),
        state=state.value,
        reason=Reason(code=code, sentence=record.reason),
        others=others,
        status=_status(state, error),
        record=record,
        lines=_lines(context, rollout, error),
        hints=_hints(context, rollout),
    )


def _status(state: State, error: DeployGateError | None) -> ExitStatus:
    if state is State.PROMOTED:
        return ExitStatus.OK
    if state is State.STRANDED:
        return ExitStatus.STRANDED
    if error is None or isinstance(error, (BuildFailed, StartFailed, PolicyRefused)):
        return ExitStatus.FAILED
    return ExitStatus.USAGE if isinstance(error, ConfigError) else ExitStatus.COULD_NOT_ACT


def _lines(
    context: SessionContext, rollout: JournaledRollout, error: DeployGateError | None
) -> tuple[str, ...]:
    """Who serves, and what must be done."""
    lines = [*_failure(context, error), f"serving: {rollout.record.serving or 'nothing'}"]
    if rollout.record.url:
        lines.append(f"url: {rollout.record.url}")
    if error is not None and error.hint:
        hint = error.hint if rollout.record.baseline else _STILL_SERVES.sub("", error.hint)
        lines += [f"hint: {hint}"] if hint else []
    if rollout.unwritten:
        lines.append(
            f"the record does not say so: {rollout.unwritten}; when it can be written again: "
            f"deploygate recover {rollout.ports.environment}"
        )
    if rollout.state is State.STRANDED:
        lines.append(stranded_advice(rollout.ports.environment))
    return tuple(lines)


def _failure(context: SessionContext, error: DeployGateError | None) -> Iterator[str]:
    """Of a build or a start that failed: the user's own line, and where the rest is."""
    if not isinstance(error, (BuildFailed, StartFailed)):
        return
    found = excerpt_of(error.message)
    if not found.error:
        return
    if found.source:
        yield f"  {found.place}: {found.source}"
    is_local = context.environment.target == LOCAL
    if is_local and found.revision:
        yield f"  all of it: {own_command(context.settings.root)} emulator logs {found.revision}"
    elif error.log_url:
        yield f"  all of it: {error.log_url}"


def tell_server_errors(context: SessionContext) -> Iterator[str]:
    """Of each revision that answered failed checks with 5xx: how often, and where its log is."""
    spec = context.environment.spec
    for phase, verdict in context.verdicts.items():
        if verdict.holds or phase not in context.asked:
            continue
        given = context.asked[phase]
        endpoints = {
            "candidate": given.candidate,
            "verification": given.verification,
            "live": given.live,
        }
        for kind, count in _server_errors(context, verdict).items():
            endpoint = endpoints.get(kind)
            if endpoint is None or not endpoint.revision:
                continue
            if context.environment.target == LOCAL:
                log = f"{own_command(context.settings.root)} emulator logs {endpoint.revision}"
            else:
                log = gcloud_commands.read_log(spec, endpoint.revision)
            times = "once" if count == 1 else f"{count} times"
            yield f"  {endpoint.revision} answered 5xx {times}; its log: {log}"


def _server_errors(context: SessionContext, verdict: PhaseVerdict) -> Counter[str]:
    """How many answers of 5xx the checks that did not pass were given, by the kind of endpoint."""
    found: Counter[str] = Counter()
    for checks in verdict.evidence.checks.values():
        for nodeid in (nodeid for nodeid, state in checks if state is not CheckState.PASSED):
            for name, count in context.recorder.count_answers_to(nodeid).items():
                if name.endswith(SERVER_ERRORS):
                    found[name.removesuffix(SERVER_ERRORS)] += count
    return found


def _hints(context: SessionContext, rollout: JournaledRollout) -> tuple[str, ...]:
    """What to type next. What is for Google only is not said of the emulator."""
    hints = [f"postings: {text}" for text in filter(None, [rollout.record.notes.get("postings")])]
    is_local = context.environment.target == LOCAL
    next_steps: list[str] = []
    with contextlib.suppress(DeployGateError):
        now = rollout.ports.target.snapshot()
        if rollout.state is State.ROLLED_BACK and not is_local:
            hints += gcloud_commands.pinned_notes(rollout.ports.target.spec, now)
        if rollout.record.serving and rollout.record.url:
            next_steps.append(f"call it: {curl_command(now, is_local=is_local)}")
    if is_local and rollout.record.serving:
        next_steps.append(f"stop it: {own_command(context.settings.root)} emulator down")
    hints += filter(None, ["   ".join(next_steps)])
    return tuple(hints)


def curl_command(now: Snapshot, *, is_local: bool) -> str:
    """How to call what serves from a shell; one that is closed wants a token, of which the emulator takes any."""
    if now.is_public:
        return f"curl {now.url}"
    token = "anybody" if is_local else "$(gcloud auth print-identity-token)"
    return f'curl -H "Authorization: Bearer {token}" {now.url}'


def own_command(root: Path) -> str:
    """How an operator in this folder calls ``deploygate``: by its path where it is installed inside the project.

    Such an environment (``.tox/deploy``, ``.venv``) need not be active in the shell that reads this.
    """
    script = Path(sys.executable).parent / "deploygate"
    return os.path.relpath(script) if script.is_relative_to(root) else "deploygate"


def result_of_detached(rollout: JournaledRollout) -> SessionResult:
    """How a session ends that leaves its rollout at a step."""
    record = rollout.record
    assert record.detached_until is not None
    name = record.environment
    held = record.steps[-1].reason if record.steps else ""
    until = f"{record.detached_until:%Y-%m-%d %H:%M} UTC"
    return SessionResult(
        verdict="PENDING",
        state=record.state.value,
        reason=Reason(
            code=ReasonCode.STEP_UNDECIDED, sentence=f"waits at {record.step_percent} %: {held}"
        ),
        status=ExitStatus.STEPPING,
        record=record,
        serving=f"{record.candidate} {record.step_percent} %, {record.baseline} {100 - record.step_percent} %",
        lines=(
            f"the steps go on: pytest --deploy-resume={name}, again and again, or deploygate watch {name}",
            f"without that all traffic returns to {record.baseline} after {until}",
        ),
    )


def result_of_error(error: DeployGateError) -> SessionResult:
    """How a session ends that could not act."""
    status = ExitStatus.USAGE if isinstance(error, ConfigError) else ExitStatus.COULD_NOT_ACT
    lines = (f"hint: {error.hint}",) if error.hint else ()
    return SessionResult(
        verdict="REFUSE",
        state=State.REFUSED.value,
        reason=reason_for(error, ReasonCode.COULD_NOT_ACT),
        status=status,
        lines=lines,
    )


def result_without_lease(rollout: JournaledRollout, error: DeployGateError | None) -> SessionResult:
    """How a session ends whose lease went to somebody else: nothing is done here any more, so what serves is looked up.

    The status is STRANDED unless what served before serves; whoever holds the lease, or ``recover``, ends the rest.
    """
    record = rollout.record
    serving, is_restored = None, False
    with contextlib.suppress(DeployGateError):
        now = rollout.ports.target.snapshot()
        serving = now.serving.sole
        is_restored = _is_restored(record, now)
    sentence = error.message if error is not None else f"the rollout was left {record.state.value}"
    return SessionResult(
        verdict="ROLL_BACK",
        state="PENDING",
        reason=Reason(code=ReasonCode.COULD_NOT_ACT, sentence=sentence),
        status=ExitStatus.COULD_NOT_ACT if is_restored else ExitStatus.STRANDED,
        record=record._replace(serving=serving),
        lines=(
            f"serving: {serving or 'not known'}",
            f"to clean up, run: deploygate recover {record.environment}",
        ),
    )


def result_of_second_recovery(
    context: SessionContext, found: RolloutRecord | None, serving: str
) -> SessionResult:
    """How a session ends that could not conclude, and was recovered by another process (see ``second_recovery``).

    ``found`` is its rollout, None where it had not begun one; ``serving`` is empty where nobody can tell.
    """
    sentence = "the session could not be concluded: internal error (see the log)"
    if not serving or (found is not None and found.state is State.STRANDED):
        code, state, status = ReasonCode.ROLLBACK_UNVERIFIED, State.STRANDED, ExitStatus.STRANDED
        line = stranded_advice(context.environment.name)
    elif found is not None and found.state is State.PROMOTED:
        code, state, status = ReasonCode(found.reason_code), found.state, ExitStatus.OK
        sentence, line = f"{found.reason}; {sentence}", f"serving: {serving}"
    else:
        code, status = ReasonCode.COULD_NOT_ACT, ExitStatus.COULD_NOT_ACT
        state = found.state if found is not None else State.REFUSED
        line = f"serving: {serving}"
    return SessionResult(
        verdict=FINAL_VERDICT.get(state, "REFUSE"),
        state=state.value,
        reason=Reason(code=code, sentence=sentence),
        status=status,
        record=found,
        serving=serving,
        lines=(line,),
    )


def result_of_empty_session(context: SessionContext) -> SessionResult:
    """How a session ends in which pytest never came to run a check."""
    doubts = context.recorder.doubts
    sentence = doubts[0] if doubts else "the session ended before any check could run"
    return SessionResult(
        verdict="REFUSE",
        state="REFUSED",
        reason=Reason(code=ReasonCode.INTERRUPTED, sentence=sentence),
        status=ExitStatus.FAILED,
    )


def result_without_rollout(context: SessionContext) -> SessionResult:
    """Result of a session that ended before its rollout began."""
    doubts = context.recorder.doubts
    sentence = doubts[0] if doubts else "the session ended before its rollout began"
    return SessionResult(
        verdict="REFUSE",
        state=State.REFUSED.value,
        reason=Reason(code=ReasonCode.INTERRUPTED, sentence=sentence),
        status=ExitStatus.FAILED,
    )


def _is_restored(record: RolloutRecord, now: Snapshot) -> bool:
    """Whether what served before the rollout serves ``now``."""
    point = record.restore_point
    if point is None:
        return True  # it was lost before it touched anything
    return now.serving.sole == record.baseline if point.existed else not now.is_public
