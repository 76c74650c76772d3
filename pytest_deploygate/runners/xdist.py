"""The phases under pytest-xdist: fresh workers for each phase, in one session.

The only module that touches what pytest-xdist does not promise: those attributes of its ``DSession`` that ``_PRIVATE``
names; most have kept their names since xdist 2.0. A worker learns its phase and what it judges from ``workerinput``,
also when it replaces one that crashed; what it collects and sees it tells the judge itself.
"""

import contextlib
import json
import queue
import threading
from collections.abc import Callable, Generator
from typing import Final, Protocol, TypeAlias

import pytest

from pytest_deploygate.channel.client import JudgeGone, JudgeLink
from pytest_deploygate.channel.messages import Bye
from pytest_deploygate.channel.orders import RunPhase
from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.collection.check_collector import CheckCollector, counts_all_phases
from pytest_deploygate.collection.inventory import Gates
from pytest_deploygate.collection.outcome_audit import OutcomeAuditor
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.runners.in_process import Budget
from pytest_deploygate.state_keys import DEPLOYMENT, WORKER_INPUT

_CHANNEL: Final = "deploygate_channel"
_GONE: Final = None
"""What a channel delivers last: its worker has ended."""
_END_S: Final = 60
"""How long workers may take to end by themselves."""
_KILL_S: Final = 10
"""How long they may take then before they are killed; one that is killed is one that died."""
_WAIT_S: Final = 120
"""Longest wait for the inventories of a generation of workers."""

_PER_GENERATION: Final = ("_active_nodes", "_failed_collection_errors")
_PRIVATE: Final = (
    "nodemanager", "shuttingdown", "queue", "pytest_sessionstart", "pytest_runtestloop", *_PER_GENERATION
)  # fmt: skip

WorkerInput: TypeAlias = "dict[str, object]"


class _Channel(Protocol):
    def send(self, item: str) -> None: ...
    def close(self) -> None: ...
    def setcallback(self, callback: object, endmarker: object) -> None: ...


class _Gateway(Protocol):
    def newchannel(self) -> _Channel: ...


class _Node(Protocol):
    workerinput: WorkerInput
    gateway: _Gateway
    shutting_down: bool

    def shutdown(self) -> None: ...


class _NodeManager(Protocol):
    EXIT_TIMEOUT: int

    def teardown_nodes(self) -> None: ...


class _DSession(Protocol):
    nodemanager: _NodeManager | None
    shuttingdown: bool
    queue: "queue.Queue[object]"

    def pytest_sessionstart(self, session: pytest.Session) -> None: ...
    def pytest_runtestloop(self) -> bool: ...


class _WorkerMessages:
    """What one worker says of its collection: how many checks count, and that it has ended."""

    def __init__(self, change: threading.Condition) -> None:
        self._change = change
        self.count: int | None = None
        self.is_gone = False

    def __call__(self, item: object) -> None:
        with self._change:
            if item is _GONE:
                self.is_gone = True
            else:
                self.count = int(str(item))
            self._change.notify_all()


class DistributedRunner:
    """Runs each phase in workers of its own; lives in the session's first process."""

    def __init__(self, config: pytest.Config, doubt: Callable[[str], None]) -> None:
        self._config = config
        self._doubt = doubt
        self._order = RunPhase(
            phase=Phase.READINESS,
            checks=(),
            deployment=config.stash[DEPLOYMENT].to_json(),
            budget_s=0,
        )
        self._change = threading.Condition()
        self._mail: list[_WorkerMessages] = []
        self._nodes: list[_Node] = []
        self._is_fresh = True
        self._total = 0
        self._known_session: pytest.Session | None = None
        if config.getoption("maxworkerrestart", None) is None:
            config.option.maxworkerrestart = (
                "1"  # a crash is a failed check; replacing goes on to the others
            )
        if not config.getoption("testrunuid", None):
            config.option.testrunuid = f"deploygate-{id(self):x}"

    # -- hooks -----------------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: _Node) -> None:
        """Tell a worker, also one that replaces another, what it is for."""
        mail = _WorkerMessages(self._change)
        channel = node.gateway.newchannel()
        channel.setcallback(mail, endmarker=_GONE)
        node.workerinput[_CHANNEL] = channel
        node.workerinput[WORKER_INPUT] = json.dumps(
            {"phase": self._order.phase.value, "deployment": self._order.deployment}
        )
        self._mail.append(mail)
        self._nodes.append(node)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        """Progress counts all checks of the session, where xdist counts those of the running phase."""
        if self._known_session is not None and self._total:
            self._known_session.testscollected = self._total

    # -- running ---------------------------------------------------------------------------------

    def collect(self, session: pytest.Session) -> None:
        """Wait until the first workers have collected."""
        self._known_session = session
        counts = self._counts()
        if not counts:
            self._doubt(
                "no worker of pytest-xdist collected anything: each of them died as it started or collected"
            )
        self._total = max(counts, default=0)

    def run(self, session: pytest.Session, order: RunPhase, budget: Budget) -> None:
        """Run one phase; the first one uses the workers that have collected."""
        if not order.checks:
            return
        ds = self._dsession()
        with budget.suppress_interruption(), budget.watch_time():
            is_first = self._is_fresh and order.deployment == self._order.deployment
            if not (is_first and order.phase is self._order.phase):
                self._restart(ds, session, order)
            self._is_fresh = False
            ds.pytest_runtestloop()
        if budget.is_exceeded:
            self._end_workers(0)

    def stop(self, *, at_once: bool) -> None:
        """End all workers; returns when they are gone. ``at_once`` does not wait for the checks that they run."""
        self._end_workers(0 if at_once else _END_S)

    def _end_workers(self, patience_s: float) -> None:
        ds = self._dsession()
        for node in self._nodes:
            if not node.shutting_down:
                node.shutdown()  # one that waits for checks would otherwise be waited for until it is killed
        self._nodes.clear()
        with self._change:
            # execnet interrupts a worker that has not ended within seconds of being torn down
            self._change.wait_for(lambda: all(mail.is_gone for mail in self._mail), patience_s)
        if ds.nodemanager is not None:
            ds.nodemanager.EXIT_TIMEOUT = _KILL_S
            ds.nodemanager.teardown_nodes()

    # -- inside ----------------------------------------------------------------------------------

    def _restart(self, ds: _DSession, session: pytest.Session, order: RunPhase) -> None:
        self.stop(at_once=False)
        self._order = order
        self._mail.clear()
        ds.shuttingdown = False
        while not ds.queue.empty():
            ds.queue.get_nowait()  # what the workers before said while they ended
        for name in _PER_GENERATION:
            getattr(ds, name).clear()
        ds.pytest_sessionstart(session)
        self._counts()

    def _counts(self) -> list[int]:
        """How many checks each worker of the running generation collected; one that died says nothing."""
        with self._change:
            self._change.wait_for(
                lambda: all(mail.count is not None or mail.is_gone for mail in self._mail),
                timeout=_WAIT_S,
            )
            return [mail.count for mail in self._mail if mail.count is not None]

    def _dsession(self) -> _DSession:
        found = self._config.pluginmanager.get_plugin("dsession")
        if found is None or not all(hasattr(found, name) for name in _PRIVATE):
            raise ConfigError(
                "this version of pytest-xdist is not supported for deployments",
                hint="run without -n, or with a version of pytest-xdist that the changelog names",
            )
        session: _DSession = found
        return session


class WorkerCollection:
    """The part that lives in a worker: tells the judge all checks, and keeps those of its phase."""

    def __init__(
        self,
        config: pytest.Config,
        gates: Gates,
        workerinput: WorkerInput,
        link: JudgeLink,
        auditor: OutcomeAuditor,
    ) -> None:
        self._link = link
        told = json.loads(str(workerinput[WORKER_INPUT]))
        self._phase = Phase(told["phase"])
        deployment = Deployment.from_json(told["deployment"], counter=auditor.counter)
        config.stash[DEPLOYMENT] = deployment
        self._step = deployment.step_percent
        if (
            basetemp := config.option.basetemp
        ):  # a worker of the next phase has the same name, and empties its folder
            at_step = f"-{self._step}" if self._step else ""
            config.option.basetemp = f"{basetemp}-{self._phase.value}{at_step}"
        self._collector = CheckCollector(gates, link, auditor, counts_all=counts_all_phases(config))
        self._channel: _Channel = workerinput[_CHANNEL]  # type: ignore[assignment]  # execnet made it

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that cannot be collected is told before any check runs."""
        if report.failed:
            self._collector.note_error(report)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None]:
        """Note what was collected before anybody can take a check out, and keep the phase's own."""
        self._collector.note(items)
        yield
        self._collector.compare(items)
        items[:] = self._collector.of_phase(items, self._phase, self._step)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self) -> None:
        """Tell the judge, and then whoever waits for this worker."""
        self._collector.send()
        self._channel.send(str(self._collector.count))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Tell the judge of the last check before the session hears that this worker has finished."""
        with contextlib.suppress(JudgeGone):
            self._link.flush()

    def pytest_unconfigure(self) -> None:
        """Say good-bye: a worker that does not has died."""
        with contextlib.suppress(JudgeGone):
            self._link.send(Bye(0))
        self._channel.close()
