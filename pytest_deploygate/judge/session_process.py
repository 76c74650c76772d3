"""The session as the judge sees it: a child process that is told what to run, heard, guarded, and ended.

Nothing that it does or leaves undone can keep the judge from coming to an end: every wait has a deadline, and a
session that dies is crash of the checks that it owed.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from pytest_deploygate.channel import SESSION_VARIABLE
from pytest_deploygate.channel.judge_end import (
    ConnectionClosed,
    JudgeChannel,
    ProcessConnection,
    Received,
)
from pytest_deploygate.channel.messages import (
    CollectionDone,
    Done,
    Hello,
    Message,
    Opinion,
    PhaseDone,
    SessionEnding,
)
from pytest_deploygate.channel.orders import (
    Decide,
    EndChecks,
    Finish,
    Order,
    RunPhase,
    SkipChecks,
)
from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.evidence import Evidence
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.judge.evidence_ledger import EvidenceLedger
from pytest_deploygate.system.parent_death import signal_with_parent

M = TypeVar("M", bound=Message)

COLLECTION_LIMIT_S: Final = 900.0
"""How long collecting may take at most."""
HOOK_LIMIT_S: Final = 60.0
"""How long a hook of the project may take that is told or asked something."""
GRACE_S: Final = 10.0
"""How long a session may go on after the time of a phase is up, or after it was interrupted, before it is killed."""
END_LIMIT_S: Final = 120.0
"""How long a session may take to end after its last order: other plugins write their files then."""
_TICK_S: Final = 0.5
_GATHER_S: Final = 0.01
"""How long what checks say may lie before it is heard."""


class SessionOver(Exception):
    """The session came to its end before the judge told it to."""


class SessionProcess:
    """Starts the session and speaks with it."""

    def __init__(self, ledger: EvidenceLedger) -> None:
        self._ledger = ledger
        self._channel = JudgeChannel()
        self._process: subprocess.Popen[bytes] | None = None
        self._session: ProcessConnection | None = None
        self._inbox: list[Message] = []
        self._open: set[int] = set()
        self.refusals: tuple[str, ...] = ()
        self.root = ""
        self.is_over = False
        """Whether the session ends or has ended by itself; orders to report and to finish may still reach it."""
        self.status: int | None = None
        self.junit = str(self._channel.folder / "junit.xml")
        """Where the session writes its JUnit file."""

    @property
    def folder(self) -> Path:
        """A folder for files of this session that is gone after it."""
        return self._channel.folder

    # -- start and collection --------------------------------------------------------------------

    def start(self, command: Sequence[str], cwd: str, environment: Mapping[str, str]) -> None:
        """Start the session's process.

        Raises:
            ConfigError: it cannot be started.
        """
        told = {
            "address": self._channel.address,
            "judge": os.getpid(),
            "session": None,
            "junit": self.junit,
        }
        judge = os.getpid()
        try:
            self._process = subprocess.Popen(
                list(command),
                cwd=cwd,
                env={**environment, SESSION_VARIABLE: json.dumps(told)},
                preexec_fn=lambda: signal_with_parent(judge, signal.SIGKILL),  # noqa: PLW1509
            )
        except OSError as error:
            raise ConfigError(f"{command[0]} cannot be started: {error.strerror}") from error

    def collect(self) -> int:
        """Wait until everything is collected; how many things could not be.

        Raises:
            SessionOver: it ended first.
        """
        done = self._wait_for(CollectionDone, COLLECTION_LIMIT_S)
        if done is None:
            self._ledger.mark_incomplete(
                f"collecting the checks took longer than {COLLECTION_LIMIT_S:g} s"
            )
            self.kill()
            raise SessionOver
        self._drain()
        return done.errors

    # -- orders ----------------------------------------------------------------------------------

    def run_phase(self, phase: Phase, deployment: Deployment, budget_s: float) -> bool:
        """Run the checks of ``phase`` against ``deployment``; whether it took no longer than ``budget_s`` seconds.

        Raises:
            SessionOver: the session ended, or had to be killed, before its checks had run.
        """
        checks = tuple(check.nodeid for check in self._ledger.checks_of(phase))
        self._ledger.running_phase = phase
        began = time.monotonic()
        try:
            order = RunPhase(
                phase=phase, checks=checks, deployment=deployment.to_json(), budget_s=budget_s
            )
            self._send(order)
            done = self._wait_for(PhaseDone, budget_s + GRACE_S, gather_s=_GATHER_S)
            if done is None:
                self.kill()
            self._drain()
            return done is not None and time.monotonic() - began <= budget_s
        finally:
            self._ledger.running_phase = None

    def decide(self, evidence: Evidence) -> Opinion | None:
        """What the project's hook thinks of ``evidence``; None where nobody can be asked any more."""
        return self._ask(Decide(evidence=evidence), Opinion, HOOK_LIMIT_S)

    def tell(self, order: Order) -> str:
        """Have hooks of the project hear of something; what went wrong with them, if anything."""
        done = self._ask(order, Done, HOOK_LIMIT_S)
        if done is None and self._session is not None and self._session.is_open:
            return f"no answer within {HOOK_LIMIT_S:g} s"
        return done.note if done is not None else ""

    def wait(self, seconds: float) -> None:
        """Let ``seconds`` go by, and hear the session meanwhile.

        Raises:
            SessionOver: it ended.
        """
        deadline = time.monotonic() + seconds
        while (left_s := deadline - time.monotonic()) > 0:
            if self._has_gone() or self.is_over:
                self._drain()
                raise SessionOver
            self._step(min(_TICK_S, left_s))

    def end_checks(self) -> None:
        """Nothing of a check may run any more when this returns."""
        self._ask(EndChecks(), Done, HOOK_LIMIT_S)
        self._drain()

    def skip(self, checks: tuple[str, ...], reason: str) -> None:
        """Have checks that did not run reported as skipped, for people and for the JUnit file."""
        if checks:
            self._ask(SkipChecks(checks=checks, reason=reason), Done, HOOK_LIMIT_S)

    # -- end -------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Have the session stop what it runs; it goes on to its own end."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(OSError):
                self._process.send_signal(signal.SIGINT)

    def finish(self, limit_s: float = END_LIMIT_S) -> int | None:
        """Let the session end, or end it; its exit status, negative for a signal, None where it never began."""
        if self._process is None:
            return None
        if self._session is not None and self._session.is_open:
            self._channel.send(self._session, Finish())
        deadline = time.monotonic() + limit_s
        while self._process.poll() is None and time.monotonic() < deadline:
            # its connection closes moments before it has ended, and nobody says when that is
            tick_s = _GATHER_S if self._has_gone() else _TICK_S
            self._step(min(tick_s, max(deadline - time.monotonic(), 0)))
        if self._process.poll() is None:
            self.kill()
        self._drain()
        return self._process.returncode

    def kill(self) -> None:
        """End the session at once."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._process.kill()
            self._process.wait()
        self._drain()

    def close(self) -> None:
        """Kill what is left and remove the channel."""
        self.kill()
        self._channel.close()

    # -- inside ----------------------------------------------------------------------------------

    def _ask(self, order: Order, kind: type[M], limit_s: float) -> M | None:
        if not self._send(order):
            return None
        try:
            return self._wait_for(kind, limit_s, is_ending_heard=False)
        except SessionOver:
            return None

    def _send(self, order: Order) -> bool:
        if self._session is None or not self._session.is_open:
            if self._process is not None:
                self.is_over = True
            return False
        return self._channel.send(self._session, order)

    def _wait_for(
        self, kind: type[M], limit_s: float, *, is_ending_heard: bool = True, gather_s: float = 0
    ) -> M | None:
        """The session's next message of that kind; None when ``limit_s`` seconds went by."""
        deadline = time.monotonic() + limit_s
        while True:
            for index, message in enumerate(self._inbox):
                if isinstance(message, kind):
                    del self._inbox[: index + 1]
                    return message
            if self._has_gone() or (is_ending_heard and self.is_over):
                self._drain()
                raise SessionOver
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            self._step(min(_TICK_S, left_s), gather_s)

    def _has_gone(self) -> bool:
        if self._session is not None:
            return not self._session.is_open
        assert self._process is not None
        return self._process.poll() is not None

    def _drain(self) -> None:
        """Hear what is left of processes that have ended or are about to."""
        deadline = time.monotonic() + GRACE_S
        is_ended = self._process is None or self._process.poll() is not None
        while self._step(0.0 if not (is_ended and self._open) else _TICK_S / 10):
            if time.monotonic() > deadline:
                return

    def _step(self, timeout_s: float, gather_s: float = 0) -> bool:
        """Hear everything that was said; whether there was anything within ``timeout_s`` seconds."""
        event = self._channel.receive(timeout_s, gather_s=gather_s)
        if event is None:
            return False
        while event is not None:
            self._hear_event(event)
            event = self._channel.next_ready()
        return True

    def _hear_event(self, event: Received | ConnectionClosed) -> None:
        match event:
            case ConnectionClosed(connection=connection):
                self._hear_end(connection)
            case Received(connection=connection, message=None, problem=problem):
                self._ledger.hear_nonsense(connection.pid, problem)
            case Received(connection=connection, message=message):
                assert message is not None
                self._hear(connection, message)

    def _hear_end(self, connection: ProcessConnection) -> None:
        self._open.discard(connection.number)
        self._ledger.hear_end(connection.number, connection.pid)
        if connection is self._session:
            self.is_over = True

    def _hear(self, connection: ProcessConnection, message: Message) -> None:
        self._open.add(connection.number)
        if isinstance(message, Hello) and message.role == "session":
            self._greet(connection, message)
        self._ledger.hear(connection.number, connection.pid, message)
        if connection is not self._session:
            return
        match message:
            case SessionEnding(status=status, why=why):
                self.is_over, self.status = True, status
                if why:
                    self._ledger.mark_incomplete(why)
            case CollectionDone() | PhaseDone() | Opinion() | Done():
                self._inbox.append(message)
            case _:
                pass  # evidence, which the ledger has

    def _greet(self, connection: ProcessConnection, hello: Hello) -> None:
        assert self._process is not None
        if self._session is not None or connection.pid != self._process.pid:
            self._ledger.mark_incomplete(f"process {connection.pid} claims to be the session")
            return
        self._session = connection
        self.refusals = hello.refusals
        self.root = hello.root


def junit_text(path: str) -> bytes:
    """What the session wrote as its JUnit file; empty where there is none."""
    with contextlib.suppress(OSError):
        return Path(path).read_bytes()
    return b""
