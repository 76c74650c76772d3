"""What every command starts from: the project, its settings, one environment, the clock, the log."""

import contextlib
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_deploygate import FILE, is_configured, project_folder, wiring
from pytest_deploygate.cli.output import Output
from pytest_deploygate.config import environment_selection
from pytest_deploygate.config.environment import LOCAL, REHEARSAL
from pytest_deploygate.config.settings import Settings, load
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.identifiers import Actor, EnvironmentName
from pytest_deploygate.core.redaction import Redactor, secrets_among
from pytest_deploygate.ports import Clock, Store
from pytest_deploygate.system.clock import SystemClock

if TYPE_CHECKING:
    from pytest_deploygate.config.environment import Environment
    from pytest_deploygate.core.record import Lease, RolloutRecord
    from pytest_deploygate.engine.engine_context import Ports
    from pytest_deploygate.telemetry.trace_recording import TraceRecording


class CliContext:
    """The operator or job at the command line, in one project."""

    def __init__(self, project: Path | None = None) -> None:
        self._project = project
        self.clock: Clock = SystemClock()
        self._trace: TraceRecording | None = None

    @cached_property
    def settings(self) -> Settings:
        """Settings of the project.

        Raises:
            ConfigError: there is no project here, or its settings are wrong.
        """
        if self._project is not None and not is_configured(self._project):
            raise ConfigError(
                f"no {FILE} with a [tool.deploygate] table in {self._project}",
                hint="give the directory that contains pyproject.toml: deploygate --project DIRECTORY ...",
            )
        return load(self._project or _project_above(Path.cwd()))

    @property
    def directory(self) -> Path:
        """The directory that was named, or this one."""
        return (self._project or Path.cwd()).resolve()

    @property
    def has_project(self) -> bool:
        """Whether there are settings: named, here, or above."""
        return self._project is not None or project_folder(Path.cwd()) is not None

    @cached_property
    def redactor(self) -> Redactor:
        """Knows the project's secrets; without a project, those that variables have."""
        if not self.has_project:
            return Redactor(secrets_among(os.environ))
        return environment_selection.redactor_for(self.settings)

    def output(self, *, is_json: bool) -> Output:
        """Where a command writes."""
        return Output(is_json=is_json, clean=self.redactor)

    def environment(self, name: str) -> "Environment":
        """The environment of that name, or the default one; ``NAME-rehearsal`` is NAME on the emulator.

        Raises:
            ConfigError: there is none.
        """
        is_rehearsal = name.endswith(REHEARSAL) and name not in self.settings.environment_names
        endpoint = LOCAL if is_rehearsal else ""
        base = name.removesuffix(REHEARSAL) if is_rehearsal else name
        return environment_selection.select_environment(self.settings, base, endpoint=endpoint)

    def names(self, name: str) -> tuple[EnvironmentName, ...]:
        """The environment of that name, which may be that of a rehearsal, or all of them if it is empty.

        Raises:
            ConfigError: there is none.
        """
        if name in self.settings.environment_names:
            return (EnvironmentName(name),)
        return (self.environment(name).name,) if name else self.settings.environment_names

    @property
    def actor(self) -> Actor:
        """Who acts."""
        from pytest_deploygate.system.process_identity import this_process

        return this_process()

    @contextlib.contextmanager
    def store(self, *, in_memory: bool = False) -> Iterator[Store]:
        """The record, or an empty one in memory that nothing outlives; closed when the block ends."""
        make = wiring.open_memory_store if in_memory else wiring.open_store
        with contextlib.closing(make(self.settings, self.clock)) as store:
            yield store

    @contextlib.contextmanager
    def log_to_file(self) -> Iterator[None]:
        """Write what the package logs to the project's log, and keep what a trace needs, while the block runs."""
        from pytest_deploygate.telemetry import event_log

        path = self.settings.state_dir / event_log.LOG
        with contextlib.ExitStack() as stack:
            stack.enter_context(event_log.log_to(path, self.redactor))
            self._trace = wiring.begin_trace(self.settings, self.redactor)
            if self._trace is not None:
                stack.enter_context(self._trace)
            yield

    @contextlib.contextmanager
    def acting_on(self, environment: "Environment") -> Iterator["Ports"]:
        """What acts on ``environment``, with a log; a signal waits until the block ends."""
        from pytest_deploygate.system.signal_guard import SignalGuard

        guard = SignalGuard()
        guard.install()
        try:
            with (
                self.log_to_file(),
                wiring.open_ports(self.settings, environment) as ports,
                guard.shield(),
            ):
                yield ports
        finally:
            guard.remove()

    def record(self, out: Output, record: "RolloutRecord") -> None:
        """Log how a rollout ended, write the metrics, send its trace; what goes wrong is noted."""
        from pytest_deploygate.telemetry import event_log

        event_log.log_ending(record)
        problems = [
            *wiring.write_metrics(self.settings, variables=os.environ),
            self._trace.send(record) if self._trace is not None else "",
            *wiring.start_notifications(self.settings),
        ]
        for problem in filter(None, dict.fromkeys(problems)):
            out.note(f"note: not everything was recorded: {problem}")

    def free_lease(self, ports: "Ports", reason: str) -> "Lease | None":
        """Take the lease away from a holder that is dead.

        Raises:
            LeaseHeld: the holder lives.
        """
        from pytest_deploygate.core.record import lease_held_error

        held = ports.store.lease(ports.environment)
        if held is None:
            return None
        if not wiring.is_stale(held, ports.store, ports.clock):
            raise lease_held_error(held)
        return ports.store.break_lease(ports.environment, self.actor, reason)


def _project_above(start: Path) -> Path:
    if (folder := project_folder(start)) is not None:
        return folder
    raise ConfigError(
        f"no {FILE} with a [tool.deploygate] table in {start} or above",
        hint="go into the project, or name it: deploygate --project DIRECTORY ...; "
        "a new one begins with: deploygate init",
    )
