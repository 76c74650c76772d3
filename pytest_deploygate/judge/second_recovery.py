"""Before anybody is told STRANDED, another process tries what this one could not do.

``python -m pytest_deploygate.judge.second_recovery REQUEST`` is that process: it has loaded nothing but this package,
with the variables that the session was started with, and recovers under the lease of the one that started it. Whatever
spoils the deciding process (a limit that was lowered, a library in a bad state, a connection that hangs) ends with it.
"""

import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pytest_deploygate.config.environment_selection import select_environment
from pytest_deploygate.config.settings import load
from pytest_deploygate.core.errors import DeployGateError
from pytest_deploygate.core.identifiers import Actor, RolloutId
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.engine.journaled_rollout import JournaledRollout
from pytest_deploygate.engine.recovery import recover_environment
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.ports import Store
from pytest_deploygate.store.record_json import record_body, record_from
from pytest_deploygate.system.own_program import own_program
from pytest_deploygate.system.process_identity import this_process
from pytest_deploygate.wiring import open_ports

logger = logging.getLogger(__name__)

BUDGET_S: Final = 60
"""How long the other process repeats what fails in a way that time may mend."""
_LIMIT_S: Final = BUDGET_S + 30
_RECENT: Final = 100
"""How many of the last rollouts may have begun after the one of the holder."""


class SecondRecovery(NamedTuple):
    """What the other process found: the rollout as it ended, None where none had begun; and what serves."""

    record: RolloutRecord | None
    serving: str


def recover_elsewhere(context: SessionContext, rollout: JournaledRollout) -> None:
    """Have another process return to the baseline; ``rollout`` then ends as it ended there.

    The heartbeat of the lease must have stopped: the other process takes the lease over. Raises nothing.
    """
    found = recover_session(context, rollout.record.rollout_id)
    if found is not None and found.record is not None:
        ended = found.record
        rollout.record = rollout.record._replace(
            state=ended.state,
            serving=ended.serving,
            reason_code=ended.reason_code,
            reason=ended.reason,
        )


def recover_session(context: SessionContext, rollout_id: str = "") -> SecondRecovery | None:
    """Have another process recover what this one left open; None where that process did not succeed either.

    Without ``rollout_id`` it is asked for the rollout of this process, whichever that is. Raises nothing.
    """
    context.terminal.step("recovering", "in another process, since this one did not succeed")
    told = {
        "root": str(context.settings.root),
        "environment": context.options.environment,
        "endpoint": context.options.endpoint,
        "holder": this_process()._asdict(),
        "rollout": rollout_id,
    }
    command = own_program("pytest_deploygate.judge.second_recovery")
    try:
        done = subprocess.run(
            [*command, json.dumps(told)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIMIT_S,
            check=True,
        )
        answer = json.loads(done.stdout)
        body = answer["record"]
        record = record_from(body) if body is not None else None
        return SecondRecovery(record=record, serving=str(answer["serving"]))
    except Exception as error:  # this process is in a bad state  # noqa: BLE001
        logger.warning(
            "recovery.other_process_failed",
            extra={"correlation_id": rollout_id, "error": type(error).__name__},
        )
        return None


def main(arguments: Sequence[str]) -> int:
    """Recover, and print how the rollout ended as JSON; 1 where it cannot be told."""
    told = json.loads(arguments[0])
    holder = Actor(**told["holder"])
    settings = load(Path(told["root"]))
    chosen = select_environment(settings, told["environment"], endpoint=told["endpoint"])
    try:
        with open_ports(settings, chosen) as ports:
            budget_s = min(ports.settings.rollback_budget_s, BUDGET_S)
            recover_environment(
                ports._replace(settings=ports.settings._replace(rollback_budget_s=budget_s)),
                actor=this_process(),
                is_stale=lambda lease: lease.actor == holder,
            )
            record = _rollout(ports.store, told["rollout"], holder)
            serving = ports.target.snapshot().serving
    except DeployGateError as error:
        print(error.message, file=sys.stderr)  # noqa: T201 # only who debugs sees it
        return 1
    if record is None and told["rollout"]:
        return 1
    body = record_body(record) if record is not None else None
    found = {"record": body, "serving": str(serving.sole or serving)}
    print(json.dumps(found))  # noqa: T201 # the answer
    return 0


def _rollout(store: Store, rollout_id: str, holder: Actor) -> RolloutRecord | None:
    """The rollout of that id; without one, the newest that ``holder`` began."""
    if rollout_id:
        return store.rollout(RolloutId(rollout_id))
    recent = store.history(None, _RECENT)
    return next((record for record in recent if record.actor == holder), None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
