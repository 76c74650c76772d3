"""A deployment that begins while somebody else deploys the same function by other means."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_deploygate.testing.project import direct_client
from tests.e2e.checkout import Checkout
from tests.e2e.greeting_project import FUNCTION, SERVICE, small_project

pytestmark = pytest.mark.e2e


@pytest.fixture
def greeting(tmp_path: Path, build_cache: Path) -> Iterator[Checkout]:
    """The small project, deployed once."""
    project = small_project(tmp_path / "checkout", build_cache)
    try:
        first = project.deploy("-q")
        assert first.status == 0, first.output
        yield project
    finally:
        project.close()


def update_by_hand(project: Checkout, slow_s: float) -> None:
    """Somebody pins traffic and labels the function, which builds it again; the platform takes ``slow_s`` seconds."""
    service = f"/v2/projects/{SERVICE}"
    name = service.replace("services", "functions")
    kind = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
    pinned = [{"type": kind, "revision": project.answering(), "percent": 100}]
    slow = {"kind": "slow", "slow_s": slow_s}
    project.call_emulator("faults", method="PATCH", path="/functions/", operation=slow)
    with direct_client() as client:
        traffic = f"{project.endpoint}{service}?updateMask=traffic"
        client.patch(traffic, json={"traffic": pinned}, timeout=20).raise_for_status()
        url = f"{project.endpoint}{name}"
        labels = client.get(url, timeout=20).json()["labels"]
        body = {"labels": {**labels, "changed-by": "hand"}}
        client.patch(f"{url}?updateMask=labels", json=body, timeout=20).raise_for_status()


@pytest.mark.full
def test_a_deployment_of_somebody_else_is_waited_for(greeting: Checkout) -> None:
    baseline = greeting.answering()
    (greeting.root / "function" / "main.py").write_text(f"{FUNCTION}# second\n", encoding="utf-8")
    update_by_hand(greeting, slow_s=20)
    plan = greeting.pytest("--deploy-to=local", "--deploy-plan")
    assert "is being deployed right now by somebody else" in plan.output
    assert "still carrying out another deployment" not in plan.output
    second = greeting.deploy()
    assert "waiting: somebody else deploys the function" in second.output
    assert second.status == 0, second.output
    assert greeting.answering() not in ("", baseline)


@pytest.mark.full
def test_a_service_that_somebody_changes_is_waited_for(tmp_path: Path, build_cache: Path) -> None:
    project = small_project(tmp_path / "checkout", build_cache, emulates="cloud-run")
    try:
        first = project.deploy("-q")
        assert first.status == 0, first.output
        baseline = project.answering()
        url = f"{project.endpoint}/v2/projects/{SERVICE}"
        slow = {"kind": "slow", "slow_s": 20}
        project.call_emulator("faults", method="PATCH", path="/services/", operation=slow)
        with direct_client() as client:
            [container] = client.get(url, timeout=20).json()["template"]["containers"]
            more = {
                **container,
                "env": [*container.get("env", []), {"name": "BY", "value": "hand"}],
            }
            kind = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
            body = {
                "template": {"containers": [more]},
                "traffic": [{"type": kind, "revision": baseline, "percent": 100}],
            }
            mask = "template.revision,template.containers,traffic"
            client.patch(f"{url}?updateMask={mask}", json=body, timeout=20).raise_for_status()
        main = project.root / "function" / "main.py"
        main.write_text(f"{FUNCTION}# second\n", encoding="utf-8")
        second = project.deploy()
        assert "waiting: somebody else deploys the function" in second.output
        assert second.status == 0, second.output
        assert project.answering() not in ("", baseline)
    finally:
        project.close()
