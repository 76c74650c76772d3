"""Long-running operations: one store for both APIs, as both use the same paths.

An operation is stored before it is answered, and works in a task of its own. One that was in flight when the process
died ends in an error at the next start: nobody knows how far it came, as on the platform after a lost worker.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from google.longrunning import operations_pb2
from google.protobuf.message import Message

from pytest_deploygate.emulator.storage.state import EmulatorState

logger = logging.getLogger(__name__)

CANCELLED, INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION, INTERNAL, UNAVAILABLE = (
    1,
    3,
    5,
    9,
    13,
    14,
)
"""Numbers of ``google.rpc.Code``."""

_KEPT = 500
"""Operations that are remembered after their end, the newest ones."""

FaultKind = Literal["build_failed", "start_failed", "never_done", "fail_after_success", "slow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationFault:
    """What shall go wrong with one operation; ``message`` replaces the usual one, ``slow_s`` is waited first."""

    kind: FaultKind
    message: str = ""
    slow_s: float = 0.0
    is_applied: bool = False
    """For ``never_done``: the work is done although the operation never says so."""


class OperationFailed(Exception):
    """Ends an operation with ``error.code`` and ``error.message``."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work of one operation: ``target`` may have only one at a time if ``is_exclusive``."""

    parent: str
    """``projects/P/locations/L``."""
    target: str
    metadata: Message
    work: Callable[["OperationProgress"], Awaitable[Message]]
    give_up: Callable[[str], None] | None = None
    """Called with the reason when the work was not done."""
    fault: OperationFault | None = None
    is_exclusive: bool = True


class OperationProgress:
    """Lets the work of an operation update the metadata that clients poll."""

    def __init__(self, operations: "Operations", name: str, job: Job) -> None:
        self._operations = operations
        self.name = name
        self.metadata = job.metadata
        self.fault = job.fault

    def publish(self) -> None:
        """Store ``metadata`` as it is now."""
        self._operations.publish(self.name, self.metadata)


class Operations:
    """Starts operations, remembers them, and knows which targets are busy."""

    def __init__(self, state: EmulatorState, *, least_s: float) -> None:
        self._state = state
        self._least_s = least_s
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._busy: dict[str, str] = {}
        self._released = asyncio.Event()

    def fail_interrupted(self) -> None:
        """End what was in flight when the process died."""
        for name in self._state.operations.names():
            operation = self._state.operations[name]
            if not operation.done:
                operation.done = True
                operation.error.code = INTERNAL
                operation.error.message = (
                    "The emulator was stopped while this operation was running."
                )
                self._state.operations.put(name, operation)

    def is_busy(self, target: str) -> bool:
        """Whether an operation on ``target`` is running."""
        return target in self._busy

    def start(self, job: Job) -> Message:
        """Store a new operation and begin its work; returns it as it is now, not done."""
        # The names sort by age.
        name = f"{job.parent}/operations/{time.time_ns():016x}-{secrets.token_hex(8)}"
        self._forget_old()
        operation = operations_pb2.Operation(name=name)
        operation.metadata.Pack(job.metadata)
        self._state.operations.put(name, operation)
        if job.is_exclusive:
            self._busy[job.target] = name
        self._tasks[name] = asyncio.create_task(self._run(name, job))
        return operation

    def publish(self, name: str, metadata: Message) -> None:
        """Replace the metadata of the operation ``name``."""
        operation = self._state.operations[name]
        operation.metadata.Pack(metadata)
        self._state.operations.put(name, operation)

    def release_stuck(self) -> None:
        """End operations that a ``never_done`` fault holds, with an error."""
        self._released.set()
        self._released = asyncio.Event()

    def _forget_old(self) -> None:
        done = [name for name in self._state.operations.names() if name not in self._tasks]
        for name in done[:-_KEPT]:
            self._state.operations.delete(name)

    async def close(self) -> None:
        """Stop all work; the operations stay as they are and are settled at the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, name: str, job: Job) -> None:
        progress = OperationProgress(self, name, job)
        result: Message | None = None
        code, message = 0, ""
        try:
            result = await self._perform(progress, job)
        except OperationFailed as error:
            code, message = error.code, error.message
        except Exception as error:
            logger.exception("operation.crashed", extra={"operation": name})
            code, message = INTERNAL, f"The emulator has a defect: {error!r}"
            if job.give_up is not None:  # what the target was before, it is again
                job.give_up(message)
        finally:
            self._tasks.pop(name, None)
            if self._busy.get(job.target) == name:
                del self._busy[job.target]
        operation = self._state.operations[name]
        operation.done = True
        if result is None:
            operation.error.code, operation.error.message = code, message
            logger.warning("operation.failed", extra={"operation": name, "error": message})
        else:
            operation.response.Pack(result)
        self._state.operations.put(name, operation)

    async def _perform(self, progress: OperationProgress, job: Job) -> Message:
        fault = job.fault
        await asyncio.sleep(self._least_s + (fault.slow_s if fault is not None else 0.0))
        if fault is not None and fault.kind == "never_done":
            released = self._released
            if fault.is_applied:
                await job.work(progress)
            await released.wait()
            text = fault.message or "The operation was stuck and was cancelled."
            if not fault.is_applied and job.give_up is not None:
                job.give_up(text)
            raise OperationFailed(CANCELLED, text)
        try:
            result = await job.work(progress)
        except OperationFailed as error:
            if job.give_up is not None:
                job.give_up(error.message)
            raise
        if fault is not None and fault.kind == "fail_after_success":
            raise OperationFailed(INTERNAL, fault.message or "An internal error has occurred.")
        return result
