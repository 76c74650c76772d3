"""A deployment reaches workers whole, and shows its tokens nowhere else."""

import json
import traceback

import pytest

from pytest_deploygate.checks.deployment import Deployment, DeploymentDamaged, Previous
from pytest_deploygate.checks.endpoint import Endpoint
from pytest_deploygate.core.identifiers import Phase, Secret

FULL = Deployment(
    environment="production",
    phase=Phase.CANDIDATE,
    function="process_invoice",
    region="us-central1",
    project="p",
    source="fixtures/process_invoice",
    verification=Endpoint(
        url="https://v---f.a.run.app", revision="f-2-v", token=Secret("planted-1"), may_write=True
    ),
    candidate=Endpoint(url="https://c---f.a.run.app", revision="f-3-c", token=Secret("planted-1")),
    variants={
        "slow": Endpoint(
            url="https://s---f.a.run.app",
            revision="f-4-s",
            token=Secret("planted-1"),
            may_write=True,
        )
    },
    live=Endpoint(url="https://f.a.run.app"),
    variant_variables={"slow": {"GOOGLE_SHEETS_SHEET_NAME": "SLOW"}},
    verify_variables={"GOOGLE_SHEETS_SHEET_NAME": "TEST"},
    production_variables={"GOOGLE_SHEETS_SHEET_NAME": "Update 20230525"},
    secret_names=("GEMINI_API_KEY",),
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    memory_mb=1024,
    timeout_s=540,
    services={"sheets": "https://sheets.googleapis.com"},
    statistics_url="http://127.0.0.1:1",
    access_token=Secret("planted-2"),
    baseline={"accuracy_score": 0.97},
    previous=Previous(revision="f-1-a", is_ready=True, backup="/b/f-1-a.zip", sha256="ab" * 32),
)


@pytest.mark.parametrize(
    "deployment",
    [FULL, Deployment(environment="local", phase=Phase.READINESS, function="f")],
)
def test_deployment_survives_json(deployment: Deployment) -> None:
    assert Deployment.from_json(deployment.to_json()) == deployment


def test_every_client_knows_of_the_trace() -> None:
    found = Deployment.from_json(FULL.to_json())
    for endpoint in (found.candidate, found.verification, found.live, found.variants["slow"]):
        assert endpoint is not None
        assert endpoint.traceparent == FULL.traceparent


def test_tokens_are_in_the_json_and_nowhere_else() -> None:
    assert "planted" not in repr(FULL) + str(FULL)
    assert FULL.to_json().count("planted-1") == 3


@pytest.mark.parametrize(
    "change", [{"phase": "later"}, {"verification": "x"}, {"services": None}, {"variants": None}]
)
def test_damaged_json_is_refused_without_showing_it(change: dict[str, object]) -> None:
    broken = json.dumps(json.loads(FULL.to_json()) | change)
    for text in (broken, "{", "[]", "{}"):
        with pytest.raises(DeploymentDamaged) as caught:
            Deployment.from_json(text)
        assert "planted" not in str(caught.value)


def test_token_in_the_wrong_place_is_not_shown() -> None:
    text = json.dumps(json.loads(FULL.to_json()) | {"phase": "planted-3"})
    with pytest.raises(DeploymentDamaged) as caught:
        Deployment.from_json(text)
    assert "planted" not in "".join(traceback.format_exception(caught.value))


def test_permission_to_write_is_a_boolean_or_nothing() -> None:
    document = json.loads(FULL.to_json())
    document["live"]["may_write"] = "false"
    with pytest.raises(DeploymentDamaged):
        Deployment.from_json(json.dumps(document))
