"""Builds the adapters that the settings ask for; the only module that knows them all.

Heavy libraries are loaded here, when a target is really used, and never in a worker of pytest-xdist.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_deploygate.config.environment import (
    CLOUD_RUN,
    GOOGLE,
    GOOGLE_LAG_S,
    LOCAL,
    REHEARSAL,
    Environment,
)
from pytest_deploygate.config.environment_selection import redactor_for, select_environment
from pytest_deploygate.config.settings import Settings, load
from pytest_deploygate.core.errors import ConfigError, DeployGateError, LeaseHeld
from pytest_deploygate.core.identifiers import Secret
from pytest_deploygate.core.record import Lease
from pytest_deploygate.core.redaction import Redactor
from pytest_deploygate.ports import Clock, Metrics, Store, Target
from pytest_deploygate.system.clock import SystemClock
from pytest_deploygate.system.own_program import import_named
from pytest_deploygate.system.private_folder import make_private_folder
from pytest_deploygate.system.retry import Backoff, attempts

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from pytest_deploygate.emulator.lifecycle import RunningEmulator
    from pytest_deploygate.engine.engine_context import Ports, Progress
    from pytest_deploygate.engine.recovery import Recovery
    from pytest_deploygate.telemetry.trace_recording import TraceRecording

STATE_VARIABLE = "DEPLOYGATE_STATE"
"""Environment variable that says where the record is kept; wins over ``state`` of the settings."""
TARGET_GROUP = "pytest_deploygate.targets"
"""Entry points ``(Environment, Settings, Clock) -> Target`` by the name that ``target`` gives; ``module:callable``
does without an entry point."""
STORE_GROUP = "pytest_deploygate.stores"
"""Entry points ``(url, Clock) -> Store`` by the scheme of the URL; ``module:callable`` does without an entry point."""
GOOGLE_SERVICES = {"sheets": "https://sheets.googleapis.com"}


@contextlib.contextmanager
def open_ports(
    settings: Settings, environment: Environment, *, in_memory: bool = False
) -> Iterator["Ports"]:
    """Everything that a rollout in ``environment`` works with; closed when the block ends.

    ``in_memory`` is for the emergency in which the record cannot be opened: what is recorded is then lost.

    Raises:
        ConfigError: credentials or a library are missing, or the emulator cannot be started.
        StoreError: the record cannot be opened.
    """
    from pytest_deploygate.engine.engine_context import Ports

    clock = SystemClock()
    store = open_memory_store(settings, clock) if in_memory else open_store(settings, clock)
    try:
        target = open_target(settings, environment, clock)
    except BaseException:
        store.close()
        raise
    try:
        yield Ports(
            environment=environment.name,
            target=target,
            store=store,
            clock=clock,
            settings=environment.engine,
        )
    finally:
        target.close()
        store.close()


def open_store(settings: Settings, clock: Clock) -> Store:
    """The record of this project."""
    url = os.environ.get(STATE_VARIABLE) or settings.state
    if not url:
        return _open_sql_store(f"sqlite:///{settings.state_dir / 'state.db'}", settings, clock)
    scheme = url.partition(":")[0]
    import importlib.metadata  # reads the metadata of all packages

    for entry in importlib.metadata.entry_points(group=STORE_GROUP, name=scheme):
        store: Store = entry.load()(url, clock)
        return store
    if ":" in url and "//" not in url:
        made: Store = _load(url)(url, clock)
        return made
    return _open_sql_store(url, settings, clock)


def _open_sql_store(url: str, settings: Settings, clock: Clock) -> Store:
    from pytest_deploygate.store.sql import open_store as open_sql_store

    return open_sql_store(url, clock, redactor_for(settings))


def open_memory_store(settings: Settings, clock: Clock) -> Store:
    """An empty record that nothing outlives, for emergencies in which there is no other."""
    from pytest_deploygate.store import sql

    return sql.open_memory_store(clock, redactor_for(settings))


def write_metrics(settings: Settings, *, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Write the metrics of all environments wherever the settings and ``variables`` ask for; what went wrong."""
    from pytest_deploygate.telemetry import event_log, metrics, otlp, prometheus

    path = settings.prometheus_textfile
    is_exported = otlp.has_collector(variables, otlp.METRICS)
    if not (path or is_exported):
        return ()
    problems: list[str] = []
    try:
        with contextlib.closing(open_store(settings, SystemClock())) as store:
            found = [
                metrics.compute_metrics(name, store.history(environment.name, metrics.HISTORY))
                for name, environment in settings.environments.items()
            ]
        if path:
            prometheus.write_textfile(settings.root / path, found)
    except (DeployGateError, OSError) as error:
        problems.append(f"{path or 'metrics'}: {error}")
    else:
        if is_exported:
            try:
                otlp.send_metrics(found, log=settings.state_dir / event_log.LOG)
            except (DeployGateError, OSError) as error:
                problems.append(f"OpenTelemetry: {error}")
    return tuple(problems)


def begin_trace(settings: Settings, redactor: Redactor) -> "TraceRecording | None":
    """A trace of the rollouts of this process; None where the environment names no collector for it."""
    from pytest_deploygate.telemetry import event_log, trace_recording

    return trace_recording.begin_trace(
        os.environ,
        open_store=lambda: open_store(settings, SystemClock()),
        log=settings.state_dir / event_log.LOG,
        redactor=redactor,
    )


def start_notifications(settings: Settings) -> tuple[str, ...]:
    """Have how rollouts ended told to the channels of the project, by a process that nobody waits for."""
    if not settings.channels:
        return ()
    from pytest_deploygate.notify.starting import start_sender

    return tuple(filter(None, [start_sender(settings.root)]))


def send_notifications(root: Path) -> int:
    """Send what is due in the project at ``root``; one process at a time. The exit status: 1 if something is left."""
    from pytest_deploygate.notify.delivering import deliver
    from pytest_deploygate.notify.sender import Outbox, send_due
    from pytest_deploygate.system.file_lock import open_lock, try_lock

    settings, clock = load(root), SystemClock()
    redactor = redactor_for(settings)
    for channel in settings.channels:
        for name in (channel.url, channel.signing_key):
            redactor.learn(filter(None, [os.environ.get(name.removeprefix("env:"))]))
    with open_lock(settings.state_dir / "notify.lock") as lock:
        if not try_lock(lock):
            return 0
        with contextlib.closing(open_store(settings, clock)) as store:
            if not isinstance(store, Outbox):
                return 1  # a store of another package that cannot remember what was sent
            left = send_due(store, settings.channels, clock, deliver, clean=redactor)
    return int(left > 0)


def _load(dotted: str) -> Callable[..., Any]:
    """What ``module:name`` names.

    Raises:
        ConfigError: it cannot be imported.
    """
    module, _, name = dotted.partition(":")
    try:
        made: Callable[..., Any] = getattr(import_named(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{dotted} cannot be loaded: {error}") from error
    return made


def _foreign_target(settings: Settings, environment: Environment, clock: Clock) -> Target:
    """One that another package brings, or that the settings name by ``module:callable``."""
    if ":" in environment.target:
        made: Target = _load(environment.target)(environment, settings, clock)
        return made
    entries = _installed_targets(environment)
    if not entries:
        raise _unknown_target_error(environment)
    target: Target = entries[0].load()(environment, settings, clock)
    return target


def _installed_targets(environment: Environment) -> "tuple[EntryPoint, ...]":
    import importlib.metadata  # reads the metadata of all packages

    return tuple(importlib.metadata.entry_points(group=TARGET_GROUP, name=environment.target))


def _unknown_target_error(environment: Environment) -> ConfigError:
    return ConfigError(
        f"tool.deploygate.environments.{environment.name}.target: there is no target {environment.target!r}",
        hint=f"targets are {LOCAL}, {GOOGLE}, {CLOUD_RUN}, and those of packages that are installed here",
    )


def unknown_target_error(environment: Environment) -> ConfigError | None:
    """The error where nothing that is installed here has the target of ``environment``."""
    is_known = environment.target == LOCAL or environment.is_remote or ":" in environment.target
    return (
        None if is_known or _installed_targets(environment) else _unknown_target_error(environment)
    )


def open_target(settings: Settings, environment: Environment, clock: Clock) -> Target:
    """The target of ``environment``; starts the emulator where that is the target."""
    is_local = environment.target == LOCAL
    if not (is_local or environment.is_remote):
        return _foreign_target(settings, environment, clock)
    from pytest_deploygate.targets.auth import credentials_for
    from pytest_deploygate.targets.cloud_functions import CloudFunctionsTarget
    from pytest_deploygate.targets.cloud_run import CloudRunTarget

    made = CloudRunTarget if environment.platform == CLOUD_RUN else CloudFunctionsTarget
    endpoint = start_emulator(settings, environment).endpoint if is_local else environment.endpoint
    return made(
        spec=environment.spec,
        endpoint=endpoint,
        credentials=None if is_local else credentials_for(environment.spec.project),
        home=settings.state_dir / environment.name,
        clock=clock,
        is_local=is_local,
        confirm=environment.confirm,
    )


def services_token(environment: Environment) -> Secret | None:
    """What checks show to ``services``; None where they ask for nothing.

    Raises:
        ConfigError, TargetRefused, TargetUnavailable: the credentials give none.
    """
    if not environment.is_remote:
        return None
    from pytest_deploygate.targets.auth import SHEETS, access_token

    return access_token(environment.spec.project, SHEETS)


def open_metrics(settings: Settings, environment: Environment, clock: Clock) -> Metrics | None:
    """The platform's own statistics for ``environment``, or None where its target comes from another package."""
    is_local = environment.target == LOCAL
    if not (is_local or environment.is_remote):
        return None
    from pytest_deploygate.targets.cloud_monitoring import open_metrics as open_platform_metrics

    return open_platform_metrics(
        environment.spec,
        endpoint=start_emulator(settings, environment).endpoint
        if is_local
        else environment.endpoint,
        is_local=is_local,
        clock=clock,
        lag_s=statistics_lag_s(environment),
        least_requests=environment.statistics.least_requests,
    )


def statistics_lag_s(environment: Environment) -> int:
    """How late the statistics of ``environment`` are, in seconds."""
    if environment.statistics.lag_s is not None:
        return environment.statistics.lag_s
    return GOOGLE_LAG_S if environment.is_remote else 0


def start_emulator(settings: Settings, environment: Environment) -> "RunningEmulator":
    """The running emulator, started if it is not running."""
    from pytest_deploygate.emulator.lifecycle import ensure_running
    from pytest_deploygate.emulator.secrets_file import link_secrets

    home = settings.emulator_home
    make_private_folder(home)
    if environment.secrets_file:
        link_secrets(settings.root / environment.secrets_file, home / "secrets.toml")
    return ensure_running(home, port=environment.port)


def is_stale(lease: Lease, store: Store, clock: Clock) -> bool:
    """Whether the holder of ``lease`` is dead: seen from the same host at once, else by its silent heartbeat.

    Watching a silent heartbeat takes the lease's time to live, by this process' own monotonic clock.
    """
    from pytest_deploygate.system.process_identity import is_gone

    gone = is_gone(lease.actor)
    if gone is not None:
        return gone
    looks = Backoff(first_s=min(1.0, lease.ttl_s / 10), factor=1)
    for _ in attempts(clock, looks, deadline=clock.monotonic() + lease.ttl_s):
        now = store.lease(lease.environment)
        if now is None or (now.token, now.beat) != (lease.token, lease.beat):
            return False
    return True


RECOVERY_WAIT_S = 30.0
"""How long a recovery is waited for unasked: a command that follows a death at once meets the watchdog."""


def recover(
    ports: "Ports", *, wait_s: float = 0, progress: "Progress | None" = None
) -> "tuple[Recovery, ...]":
    """Recover what dead processes left in the environment; waits up to ``wait_s`` for a living one to end.

    Raises:
        LeaseHeld: a living process still holds the lease.
    """
    from pytest_deploygate.engine.engine_context import ignore_progress
    from pytest_deploygate.engine.recovery import RECOVERY, recover_environment
    from pytest_deploygate.system.process_identity import this_process

    tell = progress or ignore_progress
    began = ports.clock.monotonic()
    for attempt in attempts(ports.clock, Backoff(first_s=0.1, factor=1.5, longest_s=0.5)):
        try:
            return recover_environment(
                ports,
                actor=this_process(),
                is_stale=lambda lease: is_stale(lease, ports.store, ports.clock),
                progress=tell,
            )
        except LeaseHeld as error:
            held = ports.store.lease(ports.environment)
            is_recovering = held is None or held.purpose == RECOVERY
            patience_s = max(wait_s, RECOVERY_WAIT_S) if is_recovering else wait_s
            left_s = patience_s - (ports.clock.monotonic() - began)
            if left_s <= 0:
                raise
            attempt.pause_s = min(attempt.pause_s, left_s)  # never longer than was asked for
            if attempt.number == 1:
                tell("waiting", error.message)
    raise AssertionError("the last attempt returns or raises")


def prepare_recovery(root: Path, environment: str, rollout_id: str) -> Callable[[], str]:
    """Load everything that restoring needs, for the watchdog; the result restores and says what it did."""
    settings = load(root)
    name = environment.removesuffix(REHEARSAL)
    endpoint = LOCAL if name != environment else ""
    chosen = select_environment(settings, name, endpoint=endpoint)
    stack = contextlib.ExitStack()
    ports = stack.enter_context(open_ports(settings, chosen))

    trace = begin_trace(settings, redactor_for(settings))

    def run() -> str:
        with stack, trace or contextlib.nullcontext():
            recovered = recover(ports)
            records = [ports.store.rollout(one.rollout_id) for one in recovered]
        if trace is not None:
            trace.send_all(filter(None, records))
        start_notifications(settings)
        return "; ".join(f"{r.rollout_id} {r.state.value}: {r.sentence}" for r in recovered) or (
            f"nothing to recover for {rollout_id}"
        )

    return run
