"""Fixtures that suites are offered. They work in this process and in workers of pytest-xdist alike."""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.checks.endpoint import Endpoint
from pytest_deploygate.core.measurement import Measurement
from pytest_deploygate.state_keys import DEPLOYMENT, MEASURE_PROPERTY

if TYPE_CHECKING:
    from pytest_deploygate.checks.probe import Probe


@pytest.fixture(scope="session")
def deployment(pytestconfig: pytest.Config) -> Deployment:
    """What is judged: environment, configuration, endpoints. In the readiness phase it has no endpoint."""
    found = pytestconfig.stash.get(DEPLOYMENT, None)
    if found is None:
        pytest.fail("there is no deployment in this session", pytrace=False)
    return found


def _probe(endpoint: Endpoint | None, what: str) -> "Iterator[Probe]":
    if endpoint is None:
        pytest.fail(f"there is no {what} in this deployment", pytrace=False)
    from pytest_deploygate.checks.probe import Probe

    probe = Probe(endpoint)
    try:
        yield probe
    finally:
        probe.close()


@pytest.fixture(scope="session")
def candidate(deployment: Deployment) -> "Iterator[Probe]":
    """HTTP client of the revision that will be promoted; refuses writes where a verification revision takes them."""
    yield from _probe(deployment.candidate, "candidate")


@pytest.fixture(scope="session")
def verification(deployment: Deployment) -> "Iterator[Probe]":
    """HTTP client of the revision of the same build that may be written through; else that of the candidate."""
    yield from _probe(deployment.verification, "verification revision")


@pytest.fixture(scope="session")
def live(deployment: Deployment) -> "Iterator[Probe]":
    """HTTP client of the public URL: refuses any request that might write."""
    yield from _probe(deployment.live, "public URL")


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Record a number: ``measure("accuracy_score", 0.93, unit="")``.

    Raises:
        TypeError, ValueError: the value is not a finite number (a bool is none).
    """
    item = request.node

    def record(name: str, value: float, *, unit: str = "") -> None:
        measured = Measurement.of(name, value, unit=unit)
        item.user_properties.append((MEASURE_PROPERTY, json.dumps(measured.to_json())))

    return record
