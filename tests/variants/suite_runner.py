"""Runs the suites against any function without a rollout: a pytest plugin, used by the tests of this folder.

``JUDGED_SOURCE`` names the function's folder, ``JUDGED_SINK`` the URL of the sink's service; the rest is in the suite
profile. It offers the fixtures that the plugin offers (``deployment``, ``candidate``, ``verification``,
``verification_variants``, ``live``, ``measure``), with one process of the function that writes to a place for tests and
one that is configured as production is.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import requests

from pytest_deploygate.checks.deployment import Deployment, Previous
from pytest_deploygate.checks.endpoint import Endpoint
from pytest_deploygate.checks.probe import Probe
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.measurement import Measurement
from suites.support.profile import profile
from tests.loopback_server import Asked, Reply, serving

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION_TAB = "Update 20230525"
VERIFY, CANDIDATE = "process-invoice-00002-ver", "process-invoice-00003-can"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the options of the harness; with ``--judged-alone`` one process is everything."""
    parser.addoption("--judged-phase", default="candidate")
    parser.addoption("--judged-baseline", default="{}")
    parser.addoption("--judged-alone", action="store_true")


def pytest_configure(config: pytest.Config) -> None:
    """Know the marker of live checks, as the plugin does."""
    config.addinivalue_line("markers", "rollback-checks: judges what serves")
    config.addinivalue_line("markers", "known_defect(until, reason): its failure is known")


@contextmanager
def running(source: Path, variables: dict[str, str]) -> Iterator[tuple[str, psutil.Process]]:
    """One process of the function; gives its URL once it listens."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "functions_framework", f"--target={profile().entry_point}"),
            *(f"--source={source / 'main.py'}", "--host=127.0.0.1", f"--port={port}"),
        ],
        env={k: v for k, v in os.environ.items() if not k.startswith("GOOGLE_")} | variables,
        cwd=source,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                requests.get(f"http://127.0.0.1:{port}", timeout=60)
                break
            except requests.ConnectionError:
                assert process.poll() is None, "the function did not start"
                assert time.monotonic() < deadline, "the function does not listen"
                time.sleep(0.02)
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def _memory_mb(process: psutil.Process) -> float:
    family = [process, *process.children(recursive=True)]
    return float(sum(p.memory_info().rss for p in family)) / 10**6


@pytest.fixture(scope="session")
def deployment(request: pytest.FixtureRequest) -> Iterator[Deployment]:
    """The function of ``JUDGED_SOURCE``; without endpoints for ``--judged-phase=readiness``."""
    source, service = Path(os.environ["JUDGED_SOURCE"]), os.environ.get("JUDGED_SINK", "")
    known_sink = profile().sink
    phase = Phase(request.config.getoption("--judged-phase"))
    production = dict.fromkeys(profile().required_variables, "a-value-of-the-harness")
    production |= {name: f"place-{uuid.uuid4().hex}" for name in known_sink.place}
    if len(known_sink.place) > 1:  # wrong functions know the name of the tab, not the spreadsheet
        production[known_sink.place[-1]] = PRODUCTION_TAB
    production["INVOICE_FILE_HOSTS"] = "127.0.0.1"
    verify = production | {known_sink.place[-1]: f"TEST-{uuid.uuid4().hex}"}
    known = Deployment(
        environment=f"harness-{uuid.uuid4().hex}",
        phase=phase,
        function=profile().name,
        region="us-central1",
        project="a-project",
        source=str(source),
        verify_variables=verify,
        variant_variables={
            known_sink.unwritable_variant: verify | {known_sink.place[0]: f"no-{uuid.uuid4().hex}"}
        },
        production_variables=production,
        memory_mb=1024,
        timeout_s=540,
        baseline=json.loads(request.config.getoption("--judged-baseline")),
    )
    if phase is Phase.READINESS:
        yield replace(known, previous=Previous())
        return
    extra = {known_sink.endpoint_variable: service}
    with ExitStack() as stack:
        judged, process = stack.enter_context(
            running(source, verify | extra | {"K_REVISION": VERIFY})
        )
        candidate, candidate_process, candidate_name = judged, process, VERIFY
        if not request.config.getoption("--judged-alone"):
            candidate_name = CANDIDATE
            candidate, candidate_process = stack.enter_context(
                running(source, production | extra | {"K_REVISION": CANDIDATE})
            )
        start = stack.enter_context(serving())

        def statistics(asked: Asked) -> Reply:
            of = process if VERIFY in asked.path else candidate_process
            document = {"memory_mb": {"peak": _memory_mb(of)}, "memory_kills": 0}
            return Reply(body=json.dumps(document).encode())

        yield replace(
            known,
            verification=Endpoint(url=judged, revision=VERIFY, may_write=True),
            candidate=Endpoint(url=candidate, revision=candidate_name),
            live=Endpoint(url=candidate, revision=candidate_name),
            services={known_sink.service: service},
            statistics_url=start(statistics).url,
        )
    shutil.rmtree(ROOT / ".deploygate" / "rows" / known.environment, ignore_errors=True)


def _probe(endpoint: Endpoint | None) -> Probe:
    assert endpoint is not None
    return Probe(endpoint)


@pytest.fixture(scope="session")
def verification(deployment: Deployment) -> Probe:
    """As the plugin's."""
    return _probe(deployment.verification)


@pytest.fixture(scope="session")
def verification_variants(deployment: Deployment) -> Iterator[Mapping[str, Probe]]:
    """As the plugin's; their processes are started when a check asks for them."""
    sink = profile().sink
    extra = {sink.endpoint_variable: deployment.services[sink.service], "K_REVISION": VERIFY}
    with ExitStack() as stack:
        started = {
            name: stack.enter_context(running(Path(deployment.source), {**variables, **extra}))
            for name, variables in deployment.variant_variables.items()
        }
        yield {n: Probe(Endpoint(url=url, may_write=True)) for n, (url, _) in started.items()}


@pytest.fixture(scope="session")
def candidate(deployment: Deployment) -> Probe:
    """As the plugin's."""
    return _probe(deployment.candidate)


@pytest.fixture(scope="session")
def live(deployment: Deployment) -> Probe:
    """As the plugin's."""
    return _probe(deployment.live)


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Callable[..., None]:
    """As the plugin's; what was measured is printed."""

    def record(name: str, value: float, *, unit: str = "") -> None:
        measured = Measurement.of(name, value, unit=unit, check=request.node.nodeid)
        sys.stderr.write(f"measured {measured.name}={measured.text}\n")

    return record
