"""``status`` and ``history`` as they are typed most: understood without the library that understands all the rest.

It would take longer to load than they take to answer.
"""

import os
from collections.abc import Callable, Sequence

from pytest_deploygate.cli.cli_context import CliContext
from pytest_deploygate.cli.exit import ended, tell
from pytest_deploygate.core.errors import DeployGateError

COMMANDS = ("status", "history")
COMPLETION = "_DEPLOYGATE_COMPLETE"
"""Set while a shell asks what could be typed."""


def command_of(arguments: Sequence[str]) -> Callable[[], int] | None:
    """What is to be done for ``status`` or ``history``, with ENV and ``--json`` at most; None for anything else."""
    command, *words = arguments or [""]
    is_json = "--json" in words
    names = [word for word in words if word != "--json"]
    if command not in COMMANDS or len(names) > 1 or "".join(names).startswith("-"):
        return None
    if COMPLETION in os.environ:
        return None
    environment = names[0] if names else ""
    return lambda: ended(lambda: _answer(command, environment, is_json=is_json))


def _answer(command: str, environment: str, *, is_json: bool) -> int:
    context = CliContext()
    try:
        if command == "status":
            from pytest_deploygate.cli.status import show_status

            return show_status(context, environment, is_json=is_json)
        from pytest_deploygate.cli.history import LIMIT, show_history

        show_history(context, environment, LIMIT, is_json=is_json)
    except DeployGateError as error:
        return tell(error, context, is_json=is_json)
    return 0
