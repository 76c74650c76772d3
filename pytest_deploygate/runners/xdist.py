"""The phases under pytest-xdist: fresh workers for each phase, in one session. Only the controller acts.

The only module that touches what pytest-xdist does not promise: those attributes of its ``DSession`` that ``_PRIVATE``
names; most have kept their names since xdist 2.0. A worker learns its phase and what it judges from ``workerinput``,
also when it replaces one that crashed, and answers with the inventory over a channel of its own.
"""

import contextlib
import json
import queue
import threading
from collections.abc import Callable, Generator
from typing import Final, Protocol, TypeAlias

import pytest

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.collection.inventory import Check, Gates
from pytest_deploygate.collection.outcome_audit import OutcomeAuditor
from pytest_deploygate.config.settings import Settings
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.judge.evidence_ledger import EvidenceCollector
from pytest_deploygate.runners.in_process import Budget, BudgetExceeded
from pytest_deploygate.state_keys import DEPLOYMENT, MODE, WORKER_INPUT, Mode

_CHANNEL: Final = "deploygate_channel"
_FALSIFIED: Final = "falsified "
"""Begins what a worker says of a report that looks better than what it saw."""
_GONE: Final = None
"""What a channel delivers last: its worker has ended."""
_WAIT_S: Final = 120
"""Longest wait for the inventories of a generation of workers."""

_PER_GENERATION: Final = ("_active_nodes", "_failed_collection_errors")
_PRIVATE: Final = (
    "nodemanager", "shuttingdown", "queue", "pytest_sessionstart", "pytest_runtestloop", *_PER_GENERATION
)  # fmt: skip

WorkerInput: TypeAlias = "dict[str, object]"


class _Channel(Protocol):
    def send(self, item: str) -> None: ...
    def setcallback(self, callback: object, endmarker: object) -> None: ...


class _Gateway(Protocol):
    def newchannel(self) -> _Channel: ...


class _Node(Protocol):
    workerinput: WorkerInput
    gateway: _Gateway
    shutting_down: bool

    def shutdown(self) -> None: ...


class _NodeManager(Protocol):
    def teardown_nodes(self) -> None: ...


class _DSession(Protocol):
    nodemanager: _NodeManager | None
    shuttingdown: bool
    queue: "queue.Queue[object]"

    def pytest_sessionstart(self, session: pytest.Session) -> None: ...
    def pytest_runtestloop(self) -> bool: ...


class _WorkerMessages:
    """What one worker sent: its inventory, and that it has ended. ``falsified`` hears of reports that look too good."""

    def __init__(self, change: threading.Condition, falsified: Callable[[str, str], None]) -> None:
        self._change = change
        self._falsified = falsified
        self.text: str | None = None
        self.is_gone = False

    def __call__(self, item: object) -> None:
        with self._change:
            if item is _GONE:
                self.is_gone = True
            elif str(item).startswith(_FALSIFIED):
                self._falsified(*json.loads(str(item).removeprefix(_FALSIFIED)))
            else:
                self.text = str(item)
            self._change.notify_all()


class DistributedRunner:
    """Runs each phase in workers of its own; lives in the controller."""

    def __init__(
        self, config: pytest.Config, recorder: EvidenceCollector, settings: Settings
    ) -> None:
        self._config = config
        self._recorder = recorder
        self._settings = settings
        self._phase = Phase.READINESS
        self._deployment = config.stash[DEPLOYMENT]
        self._change = threading.Condition()
        self._mail: list[_WorkerMessages] = []
        self._nodes: list[_Node] = []
        self._is_fresh = True
        self._total = 0
        self._inventory = ""
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
        mail = _WorkerMessages(self._change, self._recorder.mark_tampered)
        channel = node.gateway.newchannel()
        channel.setcallback(mail, endmarker=_GONE)
        node.workerinput[_CHANNEL] = channel
        node.workerinput[WORKER_INPUT] = json.dumps(
            {"phase": self._phase.value, "deployment": self._deployment.to_json()}
        )
        self._mail.append(mail)
        self._nodes.append(node)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        """Progress counts all checks of the session, where xdist counts those of the running phase."""
        session = self._session()
        if session is not None and self._total:
            session.testscollected = self._total

    # -- PhaseRunner -----------------------------------------------------------------------------

    def collect(self, session: pytest.Session) -> None:
        """Wait for the first workers' inventories and fix them."""
        self._known_session = session
        found = self._inventories()
        if not found:
            self._recorder.mark_incomplete(
                "no worker of pytest-xdist collected anything: each of them died as it started or collected"
            )
            return
        first = self._inventory = found[0]
        if any(other != first for other in found[1:]):
            self._recorder.mark_incomplete("the workers collected different checks")
        self._recorder.take_inventory(_checks(first))
        self._doubt(first)
        self._total = sum(len(self._recorder.checks_of(phase)) for phase in Phase)

    def run(
        self, session: pytest.Session, phase: Phase, deployment: Deployment, budget: Budget
    ) -> None:
        """Run one phase; the first one uses the workers that were there for the inventory."""
        if not self._recorder.checks_of(phase):
            return
        ds = self._dsession()
        with contextlib.suppress(BudgetExceeded), budget.running():
            if not (self._is_fresh and phase is self._phase):
                self._restart(ds, session, phase, deployment)
            self._is_fresh = False
            ds.pytest_runtestloop()
        if budget.is_exceeded:
            self.stop()

    def stop(self) -> None:
        """End all workers; returns when they are gone."""
        ds = self._dsession()
        for node in self._nodes:
            if not node.shutting_down:
                node.shutdown()  # one that waits for checks would otherwise be waited for until it is killed
        self._nodes.clear()
        if ds.nodemanager is not None:
            ds.nodemanager.teardown_nodes()

    # -- inside ----------------------------------------------------------------------------------

    def _restart(
        self, ds: _DSession, session: pytest.Session, phase: Phase, deployment: Deployment
    ) -> None:
        self.stop()
        self._phase, self._deployment = phase, deployment
        self._mail.clear()
        ds.shuttingdown = False
        while not ds.queue.empty():
            ds.queue.get_nowait()  # what the workers before said while they ended
        for name in _PER_GENERATION:
            getattr(ds, name).clear()
        ds.pytest_sessionstart(session)
        for found in self._inventories():
            if found == self._inventory:
                continue
            if {c.nodeid for c in _checks(found)} != {
                c.nodeid for p in Phase for c in self._recorder.checks_of(p)
            }:
                self._recorder.mark_incomplete(
                    f"the workers of the {phase.value} phase collected other checks"
                )
            self._doubt(found)

    def _inventories(self) -> list[str]:
        """What each worker of the running generation collected; one that died says nothing."""
        with self._change:
            self._change.wait_for(
                lambda: all(mail.text is not None or mail.is_gone for mail in self._mail),
                timeout=_WAIT_S,
            )
            return [mail.text for mail in self._mail if mail.text is not None]

    def _doubt(self, inventory: str) -> None:
        for sentence in json.loads(inventory)["doubts"]:
            self._recorder.mark_incomplete(str(sentence))

    def _dsession(self) -> _DSession:
        found = self._config.pluginmanager.get_plugin("dsession")
        if found is None or not all(hasattr(found, name) for name in _PRIVATE):
            raise ConfigError(
                "this version of pytest-xdist is not supported for deployments",
                hint="run without -n, or with a version of pytest-xdist that the changelog names",
            )
        session: _DSession = found
        return session

    def _session(self) -> pytest.Session | None:
        return getattr(self, "_known_session", None)


def _checks(inventory: str) -> list[Check]:
    return [
        Check(
            nodeid=nodeid,
            gate=gate,
            phase=Phase(phase),
            location=(location[0], location[1], location[2]),
        )
        for nodeid, gate, phase, location in json.loads(inventory)["checks"]
    ]


class Worker:
    """The part that lives in a worker: keeps the checks of its phase and reports the inventory of all."""

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        workerinput: WorkerInput,
        witness: OutcomeAuditor,
    ) -> None:
        self._witness = witness
        told = json.loads(str(workerinput[WORKER_INPUT]))
        self._phase = Phase(told["phase"])
        self._counts_all = config.stash[MODE] is not Mode.ROLLBACK_CHECKS
        self._settings = settings
        self._channel: _Channel = workerinput[_CHANNEL]  # type: ignore[assignment]  # execnet made it
        self._inventory: list[Check] = []
        self._doubts: list[str] = []
        config.stash[DEPLOYMENT] = Deployment.from_json(told["deployment"])

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None]:
        """Note what was collected before anybody can take a check out, and keep the phase's own."""
        gates = Gates(self._settings.policy, self._settings.root)
        self._inventory = [check for check in map(gates.check, items) if check is not None]
        yield
        left = {item.nodeid for item in items}
        mine = {check.nodeid for check in self._inventory if check.phase is self._phase}
        counted = {c.nodeid for c in self._inventory if c.phase is Phase.LIVE or self._counts_all}
        self._doubts = [
            f"{n} was taken out of the run after collection" for n in sorted(counted - left)
        ]
        items[:] = [item for item in items if item.nodeid in mine]

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self) -> None:
        """Send the inventory; it arrives before xdist's own word that collection is finished."""
        self._channel.send(
            json.dumps(
                {
                    "checks": [
                        [c.nodeid, c.gate, c.phase.value, list(c.location)] for c in self._inventory
                    ],
                    "doubts": self._doubts,
                }
            )
        )

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None]:
        """Hold a report against what was seen, after all others had their hands on it."""
        yield
        nodeid = report.nodeid
        if sentence := self._witness.mismatch(report, nodeid):
            self._channel.send(_FALSIFIED + json.dumps([nodeid, sentence]))
