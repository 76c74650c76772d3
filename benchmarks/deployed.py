"""What is measured on a real emulator with ``process_invoice`` deployed by real sessions."""

import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import requests

from benchmarks.figures import Figure, quantile, spread
from pytest_deploygate.config.environment_selection import select_environment
from pytest_deploygate.config.settings import load as load_settings
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.record import EntryKind
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.verdict import Reason, ReasonCode
from pytest_deploygate.engine.engine_context import Ports
from pytest_deploygate.engine.operator_rollback import rollback_to_revision
from pytest_deploygate.engine.rollback_plan import RollbackPlan
from pytest_deploygate.system.process_identity import this_process
from pytest_deploygate.wiring import open_ports
from tests.e2e.checkout import Checkout, copy_repository, until

INVOICE = Path("test_invoices", "creative_coop_CS003837319.pdf")
_REASON = Reason(code=ReasonCode.REQUESTED, sentence="measuring how fast a rollback is")


def deploy(project: Checkout) -> float:
    """Seconds that a whole rollout took, which must end well."""
    began = time.monotonic()
    run = project.deploy("-q")
    if run.status != 0:
        raise RuntimeError(run.output)
    return time.monotonic() - began


@contextmanager
def checkout(
    before: Callable[[Checkout], None] = lambda _: None,
    first: Callable[[Checkout], float] = deploy,
) -> Iterator[Checkout]:
    """A checkout whose function was deployed once; environments come from the caller's cache if there is one.

    ``before`` may change it before that, ``first`` deploys it.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "checkout")
        copy_repository(root)
        project = Checkout(root=root)
        before(project)
        if "DEPLOYGATE_BUILD_CACHE" not in os.environ:
            project.variables["DEPLOYGATE_BUILD_CACHE"] = str(Path(folder, "environments"))
        try:
            first(project)
            yield project
        finally:
            project.close()


@contextmanager
def _ports(project: Checkout) -> Iterator[Ports]:
    settings = load_settings(project.root)
    with open_ports(settings, select_environment(settings, "local")) as ports:
        yield ports


def figures() -> list[Figure]:
    """All figures of a deployed function."""
    with checkout() as project:
        before = RevisionName(project.answering())
        rollouts = _rollouts(project)
        after = RevisionName(project.answering())
        return [
            *rollouts,
            *_invoice(project),
            *_rollback_figures(project, before, after),
            *_killed(project),
        ]


def _rollouts(project: Checkout) -> list[Figure]:
    seconds = []
    for number in range(4):
        project.touch_source(f"release {number}")
        seconds.append(deploy(project))
    return [
        Figure(
            topic="rollout",
            what="whole rollout of another release, environment cached, all suites (best)",
            value=min(seconds),
            unit="s",
            at_most=15,
            note=spread(seconds, "s"),
        )
    ]


def _invoice(project: Checkout) -> list[Figure]:
    content = (project.root / INVOICE).read_bytes()
    seconds = []
    url = project.url
    with requests.Session() as session:
        session.trust_env = False
        for _ in range(31):
            began = time.perf_counter()
            answer = session.post(
                url, files={"invoice_file": ("invoice.pdf", content, "application/pdf")}, timeout=60
            )
            seconds.append(time.perf_counter() - began)
            if answer.status_code != 200:
                raise RuntimeError(answer.text)
    statistic = project.call_emulator(f"revisions/{project.answering()}/statistics")
    assert isinstance(statistic, dict)
    return [
        Figure(
            topic="function",
            what="15 pages, 135 line items through the public URL, warm (median)",
            value=statistics.median(seconds[1:]) * 1000,
            unit="ms",
            at_most=300,
            note=spread(seconds[1:], "ms", 1000),
        ),
        Figure(
            topic="function",
            what="memory of the function after 31 of them (peak)",
            value=statistic["memory_mb"]["peak"],
            unit="MB",
            at_most=150,
        ),
    ]


def _rollback_figures(project: Checkout, one: RevisionName, other: RevisionName) -> list[Figure]:
    """From the journal's ROLLING_BACK to the traffic that the emulator logged, and to verified."""
    shifted, verified = [], []
    with _ports(project) as ports:
        for number in range(200):
            to = one if number % 2 else other
            snapshot = ports.target.snapshot()
            if snapshot.serving.sole == to:
                continue
            plan = RollbackPlan(serving=snapshot.serving, to=to, public=True)
            rollout = rollback_to_revision(
                ports, plan, actor=this_process(), purpose="rollback", reason=_REASON
            )
            if rollout.state is not State.ROLLED_BACK:
                raise RuntimeError(rollout.record.reason)
            decided = next(
                entry.at
                for entry in ports.store.journal(rollout.record.rollout_id)
                if entry.kind is EntryKind.MOVED and entry.state is State.ROLLING_BACK
            )
            shifted.append((_last_change(project) - decided).total_seconds())
            assert rollout.record.rollback_s is not None
            verified.append(rollout.record.rollback_s)
    return [
        Figure(
            topic="rollback",
            what="from the decision to 100 % baseline (99th percentile)",
            value=quantile(shifted, 0.99) * 1000,
            unit="ms",
            at_most=250,
            note=spread(shifted, "ms", 1000),
        ),
        Figure(
            topic="rollback",
            what="from the decision to verified: traffic re-read, public URL asked (99th percentile)",
            value=quantile(verified, 0.99) * 1000,
            unit="ms",
            note=spread(verified, "ms", 1000),
        ),
    ]


def _last_change(project: Checkout) -> datetime:
    log = project.call_emulator("traffic-log")
    assert isinstance(log, dict)
    return datetime.fromisoformat(log["entries"][-1]["at"])


def _killed(project: Checkout) -> list[Figure]:
    seconds = []
    for number in range(5):
        before = project.answering()
        project.touch_source(f"killed {number}")
        process = project.start("--deploy-to=local", "-q")
        until(lambda: project.answering() != before, seconds=180, what="the candidate serves")  # noqa: B023
        began = time.monotonic()
        process.send_signal(signal.SIGKILL)
        until(lambda: project.answering() == before, seconds=30, what="the baseline serves")  # noqa: B023
        seconds.append(time.monotonic() - began)
        process.communicate()
        _settled(project)
    return [
        Figure(
            topic="rollback",
            what="from SIGKILL of pytest to 100 % baseline, by the watchdog (median)",
            value=statistics.median(seconds),
            unit="s",
            at_most=1,
            note=spread(seconds, "s"),
        )
    ]


def _settled(project: Checkout) -> None:
    """Wait until the watchdog has given the lease back."""
    settings = load_settings(project.root)
    environment = select_environment(settings, "local")
    with _ports(project) as ports:
        until(
            lambda: ports.store.lease(environment.name) is None,
            seconds=60,
            what="the lease is given back",
        )
