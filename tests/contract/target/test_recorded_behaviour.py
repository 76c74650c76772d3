"""The emulator behind a proxy that changes its answers to what was recorded of the real platform."""

import json
import secrets
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from google.cloud import run_v2

from pytest_deploygate.core.errors import TargetRefused
from pytest_deploygate.core.function_spec import CopyRole, Variant
from pytest_deploygate.core.identifiers import RolloutId
from pytest_deploygate.core.release import RolloutLabels
from tests.contract.target.staged_function import (
    BUDGET_S,
    ROLLOUT,
    AnyTarget,
    HurriedClock,
    StagedFunction,
    quietly,
)
from tests.emulator.emulator_driver import until
from tests.loopback_server import Asked, Reply, serving

Change = Callable[[str, Any], object]


def only_a_tag(path: str, body: dict[str, Any]) -> object:
    """Revisions show the tag of their image, and nothing else, in the API v2."""
    if "/v2/" in path and "/revisions/" in path:
        body.pop("containerStatuses", None)
    return body


def no_digest_at_all(path: str, body: dict[str, Any]) -> object:
    """The API v1 does not tell it either."""
    if "/v1/" in path and "/revisions/" in path:
        body["status"] = {}
    return only_a_tag(path, body)


def image_by_digest(path: str, body: dict[str, Any]) -> object:
    """Revisions show the resolved image in their spec, without statuses."""
    if "/v2/" in path and "/revisions/" in path:
        for status in body.pop("containerStatuses", []):
            body["containers"][0]["image"] = status["imageDigest"]
    return body


def with_unknown_fields(path: str, body: dict[str, Any]) -> object:
    """Operations carry what the library does not know, and the project's number stands for its id."""
    if "/operations" in path or "/functions/" in path:
        text = json.dumps(body).replace('"projects/p1/locations/us-central1/builds', '"projects/99')
        return json.loads(text) | {"satisfiesPzi": True}
    return body


@pytest.fixture
def behind(shared: StagedFunction, request: pytest.FixtureRequest) -> Iterator[AnyTarget]:
    """A target that sees the shared function through the proxy."""
    change: Change = request.param

    def answer(asked: Asked) -> Reply:
        url = shared.driver.cloud.endpoint + asked.path
        got = shared.driver.http.request(asked.method, url, data=asked.body, timeout=20)
        if ":testIamPermissions" in asked.path:
            refusal = {"code": 501, "message": "no", "status": "UNIMPLEMENTED"}
            return Reply(status=501, body=json.dumps({"error": refusal}).encode())
        try:
            body = json.dumps(change(asked.path, got.json())).encode()
        except ValueError:
            body = got.content
        return Reply(status=got.status_code, body=body)

    with serving() as start:
        target = type(shared.target)(
            spec=shared.target.spec, endpoint=start(answer).url, credentials=None, home=shared.home,
            clock=HurriedClock(), is_local=True,
        )  # fmt: skip
        yield target
        target.close()


def two_revisions(target: AnyTarget) -> tuple[str, str, str]:
    """Digests of what was built, of the verification revision and of the candidate."""
    before = target.snapshot()
    labels = RolloutLabels(rollout=ROLLOUT, baseline=before.baseline)
    target.pin(before, labels)
    operation = target.begin_release(target.upload(target.package()), labels)
    built = target.await_release(operation, progress=quietly, budget_s=BUDGET_S)
    verification = target.add_revision(built, Variant.VERIFICATION)
    candidate = target.add_revision(built, Variant.CANDIDATE)
    digests = []
    for name in (built, verification, candidate):
        target.await_revision(name, budget_s=BUDGET_S)
        info = target.revision(name)
        assert info is not None
        digests.append(info.digest)
        assert info.variables["SHEET"] == ("staging" if name == verification else "production")
    return digests[0], digests[1], digests[2]


def is_build(call: dict[str, object]) -> bool:
    """Whether the platform builds at this call."""
    is_update = call["method"] == "PATCH" and "/functions/" in str(call["path"])
    return is_update or "builds:submit" in str(call["path"])


@pytest.mark.parametrize(
    "behind", [only_a_tag, image_by_digest, with_unknown_fields], indirect=True
)
def test_both_revisions_run_the_digest_that_was_built_once(
    behind: AnyTarget, shared: StagedFunction
) -> None:
    before = shared.driver.last_call()
    built, verification, candidate = two_revisions(behind)
    assert built == verification == candidate != ""
    builds = [c for c in shared.driver.calls(after=before) if is_build(c)]
    assert len(builds) == 1
    assert shared.serving() == {shared.baseline}


@pytest.mark.of_target("google")
@pytest.mark.parametrize("behind", [no_digest_at_all], indirect=True)
def test_an_image_of_which_only_the_tag_is_known_is_refused(
    behind: AnyTarget, shared: StagedFunction
) -> None:
    with pytest.raises(TargetRefused, match="a tag is no identity"):
        two_revisions(behind)
    assert shared.serving() == {shared.baseline}


@pytest.mark.parametrize("effect", [{"drop": "after"}, {"http": 409, "status": "ABORTED"}], ids=str)
def test_a_template_write_whose_answer_is_lost_or_too_late_makes_one_revision(
    shared: StagedFunction, effect: dict[str, object]
) -> None:
    newest = shared.target.snapshot().latest_created
    shared.driver.fault(method="PATCH", path=r"/services/[^/:]+$", **effect)
    verification = shared.target.add_revision(shared.candidate, Variant.VERIFICATION)
    assert verification != newest
    assert shared.target.add_revision(shared.candidate, Variant.VERIFICATION) == verification
    shared.target.await_revision(verification, budget_s=BUDGET_S)
    production = shared.target.add_revision(verification, Variant.CANDIDATE)
    shared.target.await_revision(production, budget_s=BUDGET_S)
    info = shared.target.revision(production)
    assert info is not None
    assert info.variables["SHEET"] == "production"


def _revision(shared: StagedFunction, name: str) -> run_v2.Revision:
    return shared.driver.revisions.get_revision(
        name=f"{shared.service}/revisions/{name}", timeout=20
    )


def _revisions(shared: StagedFunction) -> set[str]:
    found = shared.driver.revisions.list_revisions(parent=shared.service, timeout=20)
    return {one.name.rpartition("/")[2] for one in found}


@pytest.mark.parametrize("effect", [{"drop": "after"}, {"http": 409, "status": "ABORTED"}], ids=str)
def test_a_copy_whose_answer_is_lost_or_too_late_is_one_revision(
    shared: StagedFunction, effect: dict[str, object]
) -> None:
    rollout = RolloutId(f"20261124-074500-{secrets.token_hex(3)}")
    shared.driver.fault(method="PATCH", path=r"/services/[^/:]+$", **effect)
    before = _revisions(shared)
    copy = shared.target.copy_revision(shared.baseline, CopyRole.BASELINE, rollout)
    assert shared.target.copy_revision(shared.baseline, CopyRole.BASELINE, rollout) == copy
    assert _revisions(shared) - before == {copy}
    info, original = shared.target.revision(copy), shared.target.revision(shared.baseline)
    assert info is not None
    assert original is not None
    assert (info.digest, info.variables) == (original.digest, original.variables)


def test_a_copy_has_what_the_settings_of_the_next_release_do_not_have(
    shared: StagedFunction,
) -> None:
    """The time of a request is a field of the template: what the candidate changes there must not reach the copy."""
    rollout = RolloutId(f"20261124-074500-{secrets.token_hex(3)}")
    service = shared.read()
    service.template.timeout = timedelta(seconds=77)
    service.template.revision = ""
    shared.driver.services.update_service(service=service, timeout=20)
    until(shared.read, lambda now: now.template.timeout.seconds == 77)
    copy = _revision(
        shared, shared.target.copy_revision(shared.baseline, CopyRole.BASELINE, rollout)
    )
    original = _revision(shared, shared.baseline)
    assert copy.timeout == original.timeout != timedelta(seconds=77)
    assert [c.resources for c in copy.containers] == [c.resources for c in original.containers]


@pytest.mark.of_target("google")
def test_the_template_names_no_revision_so_that_anybody_may_write_it_back(
    shared: StagedFunction,
) -> None:
    shared.target.add_revision(shared.candidate, Variant.VERIFICATION)
    shared.target.add_revision(shared.candidate, Variant.CANDIDATE)
    template = shared.read().template
    assert template.revision == ""
    assert {v.name: v.value for v in template.containers[0].env}["SHEET"] == "production"
