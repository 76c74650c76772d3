"""The first steps of a session that touches a target: the process that the user starts becomes the judge.

Before any conftest file is loaded, and before pytest captures any output, this process is replaced by the judge
(:mod:`pytest_deploygate.judge`), which starts the very same command again as its child: the session. Where pytest was
called by another program (``pytest.main``, an IDE, ``coverage run``), the judge is started beside it instead, and its
exit status is what pytest's becomes.

Which of the processes this one is, the variable ``DEPLOYGATE_SESSION`` tells, bound to process ids: a pytest that a
check starts is a session of its own.
"""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Final, NoReturn

import pytest

from pytest_deploygate import ROLLBACK_CHECKS, is_configured, project_folder
from pytest_deploygate.channel import SESSION_VARIABLE
from pytest_deploygate.system.own_program import own_program

_ASKED: Final = ("help", "version", "markers")
"""Options that only ask pytest something."""
_SELECTS: Final = re.compile(rf"(?<!not )(?<![\w-]){ROLLBACK_CHECKS}(?![\w-])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What this process is in the session of a judge: ``session`` or ``worker``; ``junit`` is where its file goes."""

    name: str
    address: str
    junit: str


def role_of_this_process() -> Role | None:
    """The part of this process in a judge's session, or None where it has none (a nested pytest, too)."""
    text = os.environ.get(SESSION_VARIABLE)
    is_worker = _is_worker()
    if not text and not is_worker:
        return None
    try:
        told = json.loads(text or "")
        told["judge"], told["session"], told["address"], told["junit"]
    except (ValueError, TypeError, KeyError):
        told = {"judge": 0, "session": 0}
    if told["session"] is None and told["judge"] == os.getppid():
        os.environ[SESSION_VARIABLE] = json.dumps({**told, "session": os.getpid()})
        return Role(name="session", address=told["address"], junit=told["junit"])
    if told["session"] == os.getppid() and "PYTEST_XDIST_WORKER" in os.environ:
        return Role(name="worker", address=told["address"], junit="")
    if is_worker:  # it must not begin a session of its own
        raise pytest.UsageError(f"{SESSION_VARIABLE} was changed: this worker finds no judge")
    del os.environ[SESSION_VARIABLE]
    return None


def _is_worker() -> bool:
    """Whether pytest-xdist started this process, and not a check in one of its workers."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    return run is not None and run != _environment_of_start().get("PYTEST_XDIST_TESTRUNUID", run)


def needs_judge(config: pytest.Config) -> bool:
    """Whether the options ask for a target."""
    known = config.known_args_namespace
    if any(getattr(known, name, False) for name in _ASKED):
        return False
    if known.deploy_to is not None or known.deploy_env is not None:
        return True
    return bool(_SELECTS.search(known.markexpr or "")) and is_configured(project_of(config))


def project_of(config: pytest.Config) -> Path:
    """The folder whose settings count: the nearest at or above the working directory, as for ``deploygate``.

    pytest's own root may lie above it, in a repository of several projects. A root that was typed is the project.
    """
    if getattr(config.known_args_namespace, "rootdir", None):
        return config.rootpath
    return project_folder(config.invocation_params.dir) or config.rootpath


def hand_over(config: pytest.Config) -> NoReturn:
    """Let the judge take over; does not return."""
    is_whole = _is_pytest_itself(config)
    request = json.dumps(_request(config, is_whole=is_whole))
    command = [*own_program("pytest_deploygate.judge"), request]
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    if is_whole:
        os.execve(sys.executable, command, _environment_of_start())  # noqa: S606
    sys.exit(_run(command))


def _request(config: pytest.Config, *, is_whole: bool) -> dict[str, object]:
    known = config.known_args_namespace
    return {
        "parent": 0 if is_whole else os.getpid(),
        "command": _command(config, is_whole=is_whole),
        "arguments": [str(argument) for argument in config.invocation_params.args],
        "cwd": os.getcwd(),  # noqa: PTH109
        "pytest_root": str(config.rootpath),
        "root": str(project_of(config)),
        "junit": getattr(known, "xmlpath", None) or "",
        "verbosity": known.verbose,
        "color": known.color,
        "to": known.deploy_to,
        "env": known.deploy_env,
        "markers": known.markexpr or "",
        "endpoint": known.deploy_endpoint or "",
        "report_only": bool(known.deploy_report_only),
        "wait_s": float(known.deploy_wait),
        "page": known.deploy_report or "",
        "watchdog": not known.deploy_no_watchdog,
        "plan": bool(known.deploy_plan),
        "reason": known.deploy_reason,
        "steps": known.deploy_steps,
        "detach": bool(known.deploy_detach),
        "resume": known.deploy_resume,
        "approval": known.deploy_approval,
        "overrides": list(known.deploy_override),
    }


def _command(config: pytest.Config, *, is_whole: bool) -> list[str]:
    """The command that starts the session, as this process was started; in the project, if pytest's root is another."""
    project = project_of(config)
    rooted = [] if project.resolve() == config.rootpath.resolve() else [f"--rootdir={project}"]
    given = [str(argument) for argument in config.invocation_params.args]
    if is_whole:
        before = sys.orig_argv[1 : len(sys.orig_argv) - len(given)]
        return [sys.executable, *before, *rooted, *given]
    arguments = [*rooted, *given]
    for plugin in config.invocation_params.plugins or ():
        if isinstance(plugin, ModuleType):
            arguments = ["-p", plugin.__name__, *arguments]
        elif isinstance(plugin, str):
            arguments = ["-p", plugin, *arguments]
        else:
            raise pytest.UsageError(
                f"pytest.main(plugins=[{plugin!r}]): an object cannot be handed to the process that runs the checks\n"
                "  hint: give the name of a module, or leave it out of sessions that deploy"
            )
    program = f"import sys; sys.path[:] = {sys.path!r}; import pytest; sys.exit(pytest.main({arguments!r}))"
    return [sys.executable, "-c", program]


def _is_pytest_itself(config: pytest.Config) -> bool:
    """Whether this process is pytest and nothing else, so that it may be replaced.

    Not where another program runs pytest: ``coverage run -m pytest``, a debugger, an IDE.
    """
    arguments = [str(argument) for argument in config.invocation_params.args]
    started = sys.orig_argv[1:]
    if not arguments == sys.argv[1:] == started[len(started) - len(arguments) :]:
        return False
    program = started[: len(started) - len(arguments)]
    if program[-2:] == ["-m", "pytest"]:
        options = program[:-2]
    elif program and Path(program[-1]).name in ("pytest", "py.test"):
        options = program[:-1]
    else:
        return False
    return all(
        option.startswith("-") or before in ("-X", "-W")
        for before, option in pairwise(["", *options])
    )


def _environment_of_start() -> dict[str, str]:
    """The variables that this process was started with, without what modules named by ``-p`` set meanwhile."""
    try:
        is_ours = Path("/proc/self/cmdline").read_bytes().split(b"\0")[:-1] == [
            os.fsencode(word) for word in sys.orig_argv
        ]
        entries = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return dict(os.environ)
    if not is_ours:  # forked by a program that had been started with others
        return dict(os.environ)
    pairs = (os.fsdecode(entry).partition("=") for entry in entries if b"=" in entry)
    return {name: value for name, _, value in pairs}


def _run(command: list[str]) -> int:
    """Run the judge beside this process; signals that reach this process alone are passed on."""
    environment = {name: value for name, value in os.environ.items() if name != SESSION_VARIABLE}
    with subprocess.Popen(command, env=environment) as judge:
        before = {
            number: signal.signal(number, lambda number, _: judge.send_signal(number))
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            if signal.getsignal(number) is not None
        }
        try:
            status = judge.wait()
            return status if status >= 0 else 128 - status  # as a shell says it
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
