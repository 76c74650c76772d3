"""What the emulator's router costs beside the function's own port, and whether it loses requests when traffic moves."""

import statistics
import tempfile
from pathlib import Path

from benchmarks import load
from benchmarks.figures import Figure, spread
from pytest_deploygate.emulator.lifecycle import ensure_running, stop
from tests.emulator.emulator_driver import Driver, RevisionPair, make_pair, short_name, to

SWITCHES, VISITS = 50, 100_000
_TURNS = 9
_SOURCE = """
import os

def hello(request):
    return "hello", {"X-Revision": os.environ["K_REVISION"]}

RELEASE = %d
"""


def figures() -> list[Figure]:
    """Both figures, of one function in an emulator of its own."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        with Driver(ensure_running(home)) as driver:
            try:
                pair = make_pair(driver, "visited", lambda release: _SOURCE % release)
                return [_relative_rate(driver, pair), _lost(driver, pair)]
            finally:
                stop(home)


def _relative_rate(driver: Driver, pair: RevisionPair) -> Figure:
    running = driver.local("GET", "services")["services"]
    direct = next(
        process["port"]
        for process in running[0]["processes"]  # type: ignore[index]
        if process["revision"] == pair.first
    )
    routed = _port(pair)
    ratios, rates = [], []
    for port in (direct, routed):
        load.finish(load.start(port, 500))
    for _ in range(_TURNS):
        rate = {}
        for port in (direct, routed):
            seen = load.finish(load.start(port, 2000))
            if seen["lost"]:
                raise RuntimeError(f"requests were lost: {seen}")
            rate[port] = seen["answered"] / seen["seconds"]
        ratios.append(rate[routed] / rate[direct])
        rates.append(rate[direct])
    return Figure(
        topic="router",
        what="requests a second relative to the function's own port, 8 connections (median)",
        value=statistics.median(ratios),
        at_least=0.70,
        note=f"{spread(ratios, '')}; direct {statistics.median(rates):.0f} a second",
    )


def _lost(driver: Driver, pair: RevisionPair) -> Figure:
    """Promote and roll back again and again for as long as the visitor asks."""
    visitor = load.start(_port(pair), VISITS)
    done = 0
    while visitor.poll() is None:
        for revision in (pair.second, pair.first):
            driver.traffic(pair.service.name, to(revision, 100))
        done += 1
    seen = load.finish(visitor)
    if done < SWITCHES:
        raise RuntimeError(f"the visitor was done after {done} promotions")
    wrong = sum(count for status, count in seen["by_status"].items() if status != "200")
    strange = set(seen["by_revision"]) - {short_name(pair.first), short_name(pair.second)}
    missing = VISITS - seen["answered"]
    return Figure(
        topic="router",
        what=f"requests lost of {VISITS:,} during at least {SWITCHES} promotions, each followed by a rollback",
        value=seen["lost"] + wrong + len(strange) + max(0, missing - seen["lost"]),
        at_most=0,
        note=f"{done} promotions in {seen['seconds']:.0f} s; answered by {len(seen['by_revision'])} revisions: "
        + " and ".join(f"{n:,}" for n in sorted(seen["by_revision"].values())),
    )


def _port(pair: RevisionPair) -> int:
    return int(pair.service.uri.rpartition(":")[2])
