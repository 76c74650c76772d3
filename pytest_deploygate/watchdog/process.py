"""The watchdog: a detached process that detects the death of its parent and then recovers the rollout.

However the parent ends (SIGKILL, segmentation fault, ``os._exit``), the watchdog's parent pid changes and the pidfd
becomes readable; a pipe would stay open while a forked child still holds it. The watchdog loads in advance what a
recovery needs, has its own session so that signals to the process group do not reach it, keeps no file of its parent
open, and ends by itself. The recovery is that of ``deploygate recover``: it takes the lease, and does nothing if the
rollout has ended.
"""

import argparse
import contextlib
import gc
import logging
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from pytest_deploygate.core.errors import (
    DeployGateError,
    OutcomeUnknown,
    StoreError,
    TargetUnavailable,
)
from pytest_deploygate.core.redaction import Redactor, secrets_among
from pytest_deploygate.system.clock import SystemClock
from pytest_deploygate.system.json_log import log_to_stderr
from pytest_deploygate.system.own_program import import_named, own_program
from pytest_deploygate.system.retry import Backoff, attempts
from pytest_deploygate.watchdog import registry

logger = logging.getLogger(__name__)

PREPARE = "pytest_deploygate.wiring:prepare_recovery"
"""Function that loads and returns the recovery: ``(root, environment, rollout id) -> () -> sentence``, as
``module:name``. Not imported, because its layer is above this module."""
LOG = "watchdog.log"
RETRY_FOR_S = 300.0
"""How long a recovery is retried if target or store are unavailable; equals the default budget of a rollback."""
_RETRY = Backoff(first_s=0.5, longest_s=15.0)
POLL_MS = 200
"""Interval for checking the parent if there is no pidfd."""
STAND_DOWN = b"stand down\n"

Recovery = Callable[[], str]
Prepare = Callable[[Path, str, str], Recovery]


class Watchdog:
    """The parent's handle of its watchdog."""

    def __init__(self, process: subprocess.Popen[bytes], note: Path) -> None:
        self._process = process
        self._note = note

    @property
    def pid(self) -> int:
        """Process id of the watchdog."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def is_watching(self) -> bool:
        """Whether it runs and is ready to detect our death."""
        return self.is_alive() and self._note.exists()

    def stand_down(self) -> None:
        """Tell it that the rollout has ended; does not wait, see :meth:`wait_for_end`."""
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(OSError):  # it has already ended
            stdin.write(STAND_DOWN)
            stdin.flush()
        with contextlib.suppress(OSError):
            stdin.close()

    def wait_for_end(self, timeout_s: float = 10) -> None:
        """Return when a watchdog that was told to stand down has ended, or after ``timeout_s`` seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)


def start(
    *, root: Path, environment: str, rollout_id: str, state_dir: Path, prepare: str = PREPARE
) -> Watchdog:
    """Start a watchdog for the calling process, until that ends or calls :meth:`Watchdog.stand_down`; does not wait.

    ``state_dir`` must exist; the watchdog writes its log there.

    Raises:
        StoreError: the log cannot be written.
    """
    command = own_program("pytest_deploygate.watchdog.process")
    command += ["--root", str(root), "--environment", environment, "--rollout", rollout_id]
    command += ["--state-dir", str(state_dir), "--parent", str(os.getpid()), "--prepare", prepare]
    try:
        with _log(state_dir) as log:
            # Output goes to the log, and the watchdog inherits no pipe: a CI job ends only when its pipes are closed.
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
    except OSError as error:
        raise StoreError(
            f"the watchdog cannot be started: {error.strerror}",
            hint=f"check that {state_dir} is writable, or turn the watchdog off",
        ) from error
    return Watchdog(process, registry.path_of(state_dir, process.pid))


def _log(state_dir: Path) -> BinaryIO:
    """Open the log, accessible only to its owner, whatever the umask or an earlier version allowed."""
    descriptor = os.open(state_dir / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with contextlib.suppress(OSError):  # another user owns it and lets us write
        os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "ab")


def main(arguments: Sequence[str] | None = None) -> int:
    """Watch the parent process; the entry of ``python -m pytest_deploygate.watchdog.process``."""
    gc.disable()  # until the recovery is prepared, beside a rollout that begins: what is loaded stays
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Handled, not ignored: children, such as the emulator, inherit ignored signals.
        signal.signal(number, lambda *_: None)
    options = _parser().parse_args(arguments)
    log_to_stderr(Redactor(secrets_among(os.environ)))
    facts = {"correlation_id": options.rollout, "environment": options.environment}

    def prepare() -> Recovery:
        module, _, name = options.prepare.partition(":")
        function: Prepare = getattr(import_named(module), name)
        return function(options.root, options.environment, options.rollout)

    with registry.register(options.state_dir, options.parent, options.environment, options.rollout):
        pidfd = _open_pidfd(options.parent)
        logger.info("watchdog.watching", extra={**facts, "watched_pid": options.parent})
        recovery = _try_recovery(prepare, facts)
        gc.enable()
        gc.freeze()  # the interpreter looks at all that is not frozen when it ends, which takes longer than the rest
        if not _has_died(options.parent, pidfd):
            logger.info("watchdog.stood_down", extra=facts)
            return 0
        logger.warning("watchdog.parent_died", extra={**facts, "watched_pid": options.parent})
        return _recover(recovery, prepare, facts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pytest_deploygate.watchdog.process", description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--environment", required=True)
    parser.add_argument("--rollout", required=True)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--prepare", required=True)
    return parser


def _open_pidfd(parent: int) -> int | None:
    """A descriptor that becomes readable when the parent dies; None if there is none, or the parent is dead."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        pidfd = os.pidfd_open(parent)
    except OSError:
        return None
    if os.getppid() == parent:
        return pidfd
    os.close(pidfd)  # the parent died before; another process may have its pid now
    return None


def _has_died(parent: int, pidfd: int | None) -> bool:
    """Wait for the parent's death (True) or the command to stand down (False); the command wins if both came."""
    poll = select.poll()
    stdin = sys.stdin.fileno()
    poll.register(stdin, select.POLLIN)
    if pidfd is not None:
        poll.register(pidfd, select.POLLIN)
    said = b""
    while True:
        ready = {descriptor for descriptor, _ in poll.poll(None if pidfd is not None else POLL_MS)}
        if stdin in ready:
            heard = os.read(stdin, 64)
            said += heard
            if said.startswith(STAND_DOWN):
                return False
            if not heard:  # closed without a command: keep watching the parent
                poll.unregister(stdin)
        # The kernel gives orphans another parent at once, so a reused pid causes no error.
        if pidfd in ready or os.getppid() != parent:
            return True


def _recover(
    recovery: Recovery | None, prepare: Callable[[], Recovery], facts: dict[str, str]
) -> int:
    clock = SystemClock()
    for _ in attempts(clock, _RETRY, deadline=clock.monotonic() + RETRY_FOR_S):
        try:
            sentence = (recovery or prepare())()
        except (StoreError, TargetUnavailable, OutcomeUnknown) as error:
            logger.warning("watchdog.retry", extra={**facts, "reason": error.message})
        except DeployGateError as error:
            # LeaseHeld is among them: a live process already recovers this rollout.
            logger.error("watchdog.not_recovered", extra={**facts, "reason": str(error)})  # noqa: TRY400 # an expected error, so no traceback
            return 1
        except Exception:
            logger.exception("watchdog.failed", extra=facts)
            return 1
        else:
            logger.info("watchdog.recovered", extra={**facts, "result": sentence})
            return 0
        recovery = None  # a prepared recovery can be used once
    logger.error("watchdog.gave_up", extra=facts)
    return 1


def _try_recovery(prepare: Callable[[], Recovery], facts: dict[str, str]) -> Recovery | None:
    """Prepare the recovery now; if that fails, it is tried again when needed."""
    try:
        return prepare()
    except Exception:  # whatever failed: an unprepared watchdog is better than none
        logger.warning("watchdog.prepare_failed", extra=facts, exc_info=True)
        return None


if __name__ == "__main__":
    sys.exit(main())
