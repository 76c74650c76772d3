"""What is found before anything is touched, each finding with what to do about it."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import requests

from pytest_deploygate.core.release import Finding, FunctionSpec
from pytest_deploygate.targets.calls import Caller
from pytest_deploygate.targets.clients import Clients, connect
from pytest_deploygate.targets.cloud_functions import CloudFunctionsTarget
from pytest_deploygate.targets.functions import Functions
from pytest_deploygate.targets.preflight import Preflight
from pytest_deploygate.targets.services import Services
from tests.checks.loopback import Asked, Reply, serving
from tests.contract.target.lab import HurriedClock, Lab, last_call, make_target
from tests.emulator.driving import POLLING, Driver, to

NewTarget = Callable[..., CloudFunctionsTarget]


def the_one(findings: tuple[Finding, ...]) -> Finding:
    [found] = findings
    assert found.hint
    return found


def changed(lab: Lab, **changes: object) -> tuple[Finding, ...]:
    """Preflight of the lab's function with other settings."""
    spec = replace(lab.target.spec, **changes)  # type: ignore[arg-type]
    target = make_target(lab.driver, spec, lab.home)
    found = target.preflight()
    target.close()
    return found


def test_nothing_is_found_when_all_is_well(lab: Lab, new_target: NewTarget) -> None:
    assert lab.target.preflight() == ()
    assert new_target().preflight() == ()


def test_preflight_changes_nothing(lab: Lab) -> None:
    before = last_call(lab.driver)
    lab.target.preflight()
    asked = lab.driver.calls(after=before)
    assert asked
    assert all(c["method"] == "GET" or ":test" in str(c["path"]) for c in asked)


def test_a_split_blocks(lab: Lab) -> None:
    lab.driver.traffic(lab.service, to(lab.baseline, 60), to(lab.candidate, 40))
    found = the_one(lab.target.preflight())
    assert found.is_blocking
    assert f"{lab.baseline}=60" in found.sentence


def test_a_deployment_under_way_blocks(lab: Lab) -> None:
    lab.driver.fault(
        method="PATCH", path=r"/functions/[^/:]+$", operation={"kind": "slow", "slow_s": 1}
    )
    function = lab.driver.functions.get_function(
        name=f"projects/p1/locations/us-central1/functions/{lab.target.spec.function}", timeout=20
    )
    request = {"function": function, "update_mask": {"paths": ["labels"]}}
    operation = lab.driver.functions.update_function(request, timeout=20)
    found = lab.target.preflight()
    assert [f.is_blocking for f in found][:1] == [True]
    assert "DEPLOYING" in found[0].sentence
    operation.result(polling=POLLING)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"runtime": "python27"}, "does not offer the runtime python27"),
        ({"function": "f" * 40}, "has 40 characters"),
        ({"function": "Upper"}, "'Upper' cannot be the name"),
    ],
)
def test_settings_that_cannot_work_block(lab: Lab, changes: dict[str, object], words: str) -> None:
    found = changed(lab, **changes)
    assert [f.sentence for f in found if f.is_blocking and words in f.sentence]


def test_variables_that_would_vanish_are_named(lab: Lab) -> None:
    found = the_one(changed(lab, variables={"SHEET": "production"}))
    assert not found.is_blocking
    assert "MODE" in found.sentence


def test_a_closed_service_that_should_be_public_is_named(lab: Lab) -> None:
    lab.target.set_public(False)
    try:
        found = the_one(lab.target.preflight())
    finally:
        lab.target.set_public(True)
    assert not found.is_blocking
    assert "only a first release is opened" in found.sentence


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (r"/functions/[^/]+$", "reading the function"),
        ("/runtimes", "listing the runtimes"),
        (r"/services/[^/:]+$", "reading the service"),
        (r"/functions/.*:testIamPermissions", "our permissions on the function"),
    ],
)
def test_what_may_not_be_asked_blocks_with_the_reason(lab: Lab, path: str, words: str) -> None:
    lab.driver.fault(path=path, http=403, status="PERMISSION_DENIED", times=None)
    found = the_one(lab.target.preflight())
    assert found.is_blocking
    assert words in found.sentence
    assert "roles/" in found.hint


def test_a_platform_that_is_not_there_is_one_finding(lab: Lab) -> None:
    lab.driver.fault(path="/v2/", http=503, times=None)
    found = the_one(lab.target.preflight())
    assert found.is_blocking


def test_missing_permissions_are_named(driver: Driver, lab: Lab) -> None:
    """A platform that grants nothing."""
    with serving() as start:
        server = start(lambda asked: Reply(body=b'{"permissions": []}'))
        found = asked_with(lab, driver.cloud.endpoint, iam_url=server.url)
    [blocked] = [f for f in found if f.is_blocking]
    assert "may not act as the function's service account runner@p1" in blocked.sentence
    assert "roles/iam.serviceAccountUser" in blocked.hint


def test_permissions_on_function_and_service_are_asked_for(lab: Lab) -> None:
    """The local cloud with nothing granted."""

    def nothing_granted(asked: Asked) -> Reply:
        if ":testIamPermissions" in asked.path:
            return Reply(body=b"{}")
        url = lab.driver.cloud.endpoint + asked.path
        answer = lab.driver.http.request(asked.method, url, data=asked.body, timeout=20)
        return Reply(status=answer.status_code, body=answer.content)

    with serving() as start:
        clients = connect(start(nothing_granted).url, None)
        found = looked(clients, lab.target.spec, iam_url="")
    assert [f.is_blocking for f in found] == [True, True]
    assert "cloudfunctions.functions.update" in found[0].sentence
    assert "run.services.update" in found[1].sentence


def test_granted_permissions_are_fine(driver: Driver, lab: Lab) -> None:
    granted = b'{"permissions": ["iam.serviceAccounts.actAs"]}'
    with serving() as start:
        server = start(lambda asked: Reply(body=granted))
        assert asked_with(lab, driver.cloud.endpoint, iam_url=server.url) == ()


def asked_with(lab: Lab, endpoint: str, *, iam_url: str) -> tuple[Finding, ...]:
    spec = replace(lab.target.spec, service_account="runner@p1.iam.gserviceaccount.com")
    return looked(connect(endpoint, None), spec, iam_url=iam_url)


def looked(clients: Clients, spec: FunctionSpec, *, iam_url: str) -> tuple[Finding, ...]:
    caller = Caller(HurriedClock(), timeout_s=10)
    found = Preflight(
        spec=spec,
        functions=Functions(clients, caller, spec, is_local=True),
        services=Services(clients, caller),
        secrets=None,
        session=requests.Session() if iam_url else None,
        caller=caller,
        iam_url=iam_url,
    ).look()
    clients.close()
    return found
