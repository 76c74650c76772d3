"""Fixtures that suites are offered. They work in this process and in workers of pytest-xdist alike."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.checks.endpoint import Endpoint
from pytest_deploygate.core.measurement import Measurement
from pytest_deploygate.core.property_names import MEASURE_PROPERTY
from pytest_deploygate.state_keys import AUDITOR, DEPLOYMENT

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
    """HTTP client of the revision that will be promoted; refuses writes where a verification revision takes them.

    ``candidate.get("/orders", params={"page": 2})``, ``.post(json={...})``, ``.put``, ``.patch``, ``.delete`` and
    ``.request("OPTIONS")`` take ``data``, ``json``, ``params``, ``files`` and ``headers`` as requests does. Each sends
    one request, below the revision's URL, and returns an Answer: ``status``, ``headers``, ``text``, ``content``
    (bytes), ``json`` (a value, None where the body is none), ``is_json``, ``content_type``, ``value("member")``,
    ``elapsed_s``, ``revision``. A 4xx or 5xx is an answer; a redirect, too, unless ``follow_redirects=True``.
    Without an answer it raises ProbeFailed.
    """
    yield from _probe(deployment.candidate, "candidate")


@pytest.fixture(scope="session")
def verification(deployment: Deployment) -> "Iterator[Probe]":
    """HTTP client of the revision of the same build that may be written through; else that of the candidate.

    Methods and answers are those of ``candidate``.
    """
    yield from _probe(deployment.verification, "verification revision")


@pytest.fixture(scope="session")
def verification_variants(
    deployment: Deployment,
) -> "Iterator[Mapping[str, Probe]]":
    """HTTP clients of the revisions that ``verify-variants`` names, by name; each may be written through.

    They are there while a release is judged. Where what serves is judged, and where the settings name none, this is
    empty: a check then says what it did not try.
    """
    with ExitStack() as stack:
        made = contextmanager(_probe)
        yield {
            name: stack.enter_context(made(endpoint, f"variant {name}"))
            for name, endpoint in deployment.variants.items()
        }


@pytest.fixture(scope="session")
def live(deployment: Deployment) -> "Iterator[Probe]":
    """HTTP client of the public URL: refuses any request that might write.

    Methods and answers are those of ``candidate``: GET, HEAD and OPTIONS pass, and POST with an empty body or ``{}``.
    """
    yield from _probe(deployment.live, "public URL")


@pytest.fixture(scope="session")
def baseline(deployment: Deployment) -> "Iterator[Probe]":
    """HTTP client of the revision that the candidate is compared with at a step: refuses any request that might write.

    Only checks of the step phase have it. Methods and answers are those of ``candidate``.
    """
    yield from _probe(deployment.compared, "baseline")


@pytest.fixture
def measure(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Record a number: ``measure("accuracy_score", 0.93, unit="")``.

    A check of a step that compares both revisions says of which it is: ``side="candidate"`` or ``side="baseline"``.

    Raises:
        TypeError, ValueError: the value is not a finite number (a bool is none), or there is no such side.
    """
    item = request.node

    def record(name: str, value: float, *, unit: str = "", side: str = "") -> None:
        measured = Measurement.of(name, value, unit=unit, side=side)
        told = measured.to_json()
        item.user_properties.append((MEASURE_PROPERTY, json.dumps(told)))
        auditor = item.config.stash.get(AUDITOR, None)
        if auditor is not None:
            auditor.note_measurement(told)

    return record
