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
from typing import Final

from pytest_deploygate.config.selection import select_environment
from pytest_deploygate.config.settings import load
from pytest_deploygate.core.errors import DeployGateError
from pytest_deploygate.core.identifiers import Actor, RevisionName
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.engine.journaled_rollout import JournaledRollout
from pytest_deploygate.engine.recovery import recover_environment
from pytest_deploygate.judge.context import SessionContext
from pytest_deploygate.system.own_program import own_program
from pytest_deploygate.system.process_identity import this_process
from pytest_deploygate.wiring import open_ports

logger = logging.getLogger(__name__)

BUDGET_S: Final = 60
"""How long the other process repeats what fails in a way that time may mend."""
_LIMIT_S: Final = BUDGET_S + 30


def recover_elsewhere(context: SessionContext, rollout: JournaledRollout) -> None:
    """Have another process return to the baseline; ``rollout`` then ends as it ended there.

    The heartbeat of the lease must have stopped: the other process takes the lease over. Raises nothing.
    """
    context.terminal.step("recovering", "in another process, since this one did not succeed")
    told = {
        "root": str(context.settings.root),
        "environment": context.options.environment,
        "endpoint": context.options.endpoint,
        "holder": this_process()._asdict(),
        "rollout": rollout.record.rollout_id,
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
        found = json.loads(done.stdout)
        rollout.record = _ended(rollout.record, found)
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        logger.warning(
            "recovery.other_process_failed",
            extra={"correlation_id": rollout.record.rollout_id, "error": type(error).__name__},
        )


def _ended(record: RolloutRecord, found: dict[str, str]) -> RolloutRecord:
    serving = found["serving"]
    return record._replace(
        state=State(found["state"]),
        serving=RevisionName(serving) if serving else None,
        reason_code=found["reason_code"],
        reason=found["reason"],
    )


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
            record = ports.store.rollout(told["rollout"])
    except DeployGateError as error:
        print(error.message, file=sys.stderr)  # noqa: T201 # nobody but a person who debugs sees it
        return 1
    if record is None:
        return 1
    found = {
        "state": record.state.value,
        "serving": record.serving or "",
        "reason_code": record.reason_code,
        "reason": record.reason,
    }
    print(json.dumps(found))  # noqa: T201 # the answer
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
