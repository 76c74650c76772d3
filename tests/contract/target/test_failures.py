"""What can go wrong with a deployment, one by one, each with the words that a user needs."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_deploygate.core.errors import (
    BuildFailed,
    ConfigError,
    DeployGateError,
    OutcomeUnknown,
    StartFailed,
    TargetRefused,
    TargetUnavailable,
)
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.release import RolloutLabels
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.system.clock import SystemClock
from pytest_deploygate.targets.cloud_functions import CloudFunctionsTarget
from pytest_deploygate.targets.deploy_requests import adopt
from tests.contract.target.staged_function import (
    BUDGET_S,
    MAIN,
    ROLLOUT,
    AnyTarget,
    HurriedClock,
    StagedFunction,
    make_source,
    make_target,
    make_target_of,
    quietly,
    release,
    stage,
)
from tests.emulator.emulator_driver import Driver
from tests.loopback_server import Asked, Reply, serving

NewTarget = Callable[..., CloudFunctionsTarget]
UPDATE = {"method": "PATCH", "path": r"/functions/[^/:]+$"}
CREATE = {"method": "POST", "path": "/functions$"}
MARKS = RolloutLabels(rollout=ROLLOUT)


def begin(target: AnyTarget) -> str:
    return target.begin_release(target.upload(target.package()), MARKS)


def wait(target: AnyTarget, operation: str, budget_s: float = BUDGET_S) -> RevisionName:
    return target.await_release(operation, progress=quietly, budget_s=budget_s)


def deploy_again(shared: StagedFunction) -> str:
    """Deploy its source once more."""
    return begin(shared.target)


# -- builds and starts, for real -------------------------------------------------------------------


def test_a_build_that_fails_shows_the_link_to_its_log_and_three_lines(
    new_target: NewTarget, tmp_path: Path
) -> None:
    target = new_target()
    make_source(tmp_path / "source", requirements="./no-such-package\n")
    with pytest.raises(BuildFailed, match="no-such-package") as caught:
        wait(target, begin(target))
    link, *lines = caught.value.message.removeprefix("the build failed: ").splitlines()
    assert link == caught.value.log_url
    assert link.endswith("/log")
    assert len(lines) == 3
    assert "nothing new was deployed" in caught.value.hint


def test_a_runtime_that_there_is_not_is_refused(new_target: NewTarget) -> None:
    with pytest.raises(TargetRefused, match="python399") as caught:
        begin(new_target(runtime="python399"))
    assert "settings" in caught.value.hint


def test_a_function_that_does_not_load_shows_why(new_target: NewTarget) -> None:
    target = new_target(MAIN + "\nraise RuntimeError('no such model')\n")
    operation = begin(target)
    with pytest.raises(StartFailed, match="no such model") as caught:
        wait(target, operation)
    assert caught.value.hint.startswith("what served before still does")
    remains = target.snapshot()
    assert not remains.exists
    assert remains.rollout_labels.rollout == ROLLOUT  # so that the rollout may delete what it left
    target.delete_function()
    assert target.snapshot().rollout_labels.rollout is None


def test_what_serves_goes_on_when_its_successor_does_not_start(
    new_target: NewTarget, driver: Driver
) -> None:
    target = new_target()
    staged = stage(target)
    broken = new_target("import nothing_of_this_name\n" + MAIN)
    with pytest.raises(StartFailed, match="nothing_of_this_name"):
        wait(broken, begin(broken))
    snapshot = broken.snapshot()
    assert snapshot.serving == staged.snapshot.serving
    assert snapshot.is_settled
    assert snapshot.latest_ready == snapshot.serving.sole != snapshot.latest_created
    info = broken.revision(snapshot.latest_created or RevisionName(""))
    assert info is not None
    assert not info.is_ready
    assert "failed to start" in info.note


def test_a_secret_that_does_not_exist_fails_the_start_by_its_name(new_target: NewTarget) -> None:
    target = new_target(secrets={"TOKEN": SecretRef(name="no-such-secret")})
    with pytest.raises((StartFailed, TargetRefused), match="no-such-secret"):
        wait(target, begin(target))


def test_a_revision_that_vanished_or_is_not_ready_is_no_success(shared: StagedFunction) -> None:
    operation = deploy_again(shared)
    assert wait(shared.target, operation)
    shared.driver.fault(method="GET", path="/revisions/", http=404, status="NOT_FOUND")
    with pytest.raises(StartFailed, match="cannot serve: it is gone"):
        wait(shared.target, operation)

    def no_longer_ready(asked: Asked) -> Reply:
        url = shared.driver.cloud.endpoint + asked.path
        answer = shared.driver.http.request(asked.method, url, data=asked.body, timeout=20)
        body = answer.content
        if "/revisions/" in asked.path:
            body = body.replace(
                b'"CONDITION_SUCCEEDED"', b'"CONDITION_FAILED", "message": "its image is gone"'
            )
        return Reply(status=answer.status_code, body=body)

    with serving() as start:
        target = CloudFunctionsTarget(
            spec=shared.target.spec,
            endpoint=start(no_longer_ready).url,
            credentials=None,
            home=shared.home,
            clock=HurriedClock(),
            is_local=True,
        )
        with pytest.raises(StartFailed, match="its image is gone"):
            wait(target, operation)
        target.close()


# -- by the stage, not by the words ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error", "first_words"),
    [
        ("build_failed", BuildFailed, "the build failed: "),
        ("start_failed", StartFailed, "the new revision did not start: "),
        ("fail_after_success", TargetRefused, "the deployment failed: "),
    ],
)
def test_the_kind_of_a_failure_is_told_by_its_stage(
    new_target: NewTarget,
    driver: Driver,
    fault: str,
    error: type[DeployGateError],
    first_words: str,
) -> None:
    target = new_target()
    driver.fault(**CREATE, operation={"kind": fault, "message": "words that say nothing"})
    with pytest.raises(error) as caught:
        wait(target, begin(target))
    assert type(caught.value) is error
    assert caught.value.message.startswith(first_words)
    assert "words that say nothing" in caught.value.message
    if isinstance(caught.value, BuildFailed):
        assert "/_local/builds/" in caught.value.log_url
        assert caught.value.message.startswith(f"the build failed: {caught.value.log_url}\n")


CONSOLE = "https://console.cloud.google.com/logs/viewer?project=p1&resource=cloud_run_revision"
START = (
    "Could not create or update Cloud Run service hello, Container Healthcheck failed. Revision "
    "'hello-00005-fuh' is not ready and cannot serve traffic. The user-provided container failed to start and "
    f"listen on the port defined provided by the PORT=8080 environment variable. Logs URL: {CONSOLE}"
)
BUILD = "Build failed with status: FAILURE and message: pip: No matching distribution found for nothing==9."
CPU = "Could not create or update Cloud Run service hello, Quota exceeded for total allowable CPU per project."


@pytest.mark.parametrize(
    ("fault", "said", "error", "hint"),
    [
        ("build_failed", BUILD, BuildFailed, "Correct the source or its requirements"),
        ("start_failed", START, StartFailed, f"The log: {CONSOLE}"),
        ("start_failed", CPU, StartFailed, "what served before still does"),
    ],
    ids=["build", "start", "cpu-quota"],
)
def test_what_the_platform_says_of_a_failure_reaches_the_user_with_what_to_do(
    shared: StagedFunction, fault: str, said: str, error: type[DeployGateError], hint: str
) -> None:
    """Messages as users of the platform have reported them."""
    shared.driver.fault(**UPDATE, operation={"kind": fault, "message": said})
    operation = begin(shared.target) if error is BuildFailed else deploy_again(shared)
    with pytest.raises(error) as caught:
        wait(shared.target, operation)
    assert said in caught.value.message
    assert hint in caught.value.hint
    assert shared.serving() == {shared.baseline}


# -- time ------------------------------------------------------------------------------------------


def test_a_deployment_that_never_ends_is_unknown_and_found_again(shared: StagedFunction) -> None:
    shared.driver.fault(**UPDATE, operation={"kind": "never_done"})
    operation = deploy_again(shared)
    with pytest.raises(OutcomeUnknown, match="still running after 5 s") as caught:
        wait(shared.target, operation, budget_s=5)
    assert "deploygate recover" in caught.value.hint
    assert shared.target.find_operation() == operation
    shared.driver.local("DELETE", "faults")
    with pytest.raises(TargetRefused):
        wait(shared.target, operation)
    assert shared.serving() == {shared.baseline}


def test_a_deployment_survives_questions_without_answer(shared: StagedFunction) -> None:
    operation = deploy_again(shared)
    shared.driver.fault(method="GET", path="/operations/", http=503, times=6)
    shared.driver.fault(method="GET", path="/operations/", drop="before", times=6)
    assert wait(shared.target, operation)


def test_an_operation_that_the_platform_forgot_is_unknown(shared: StagedFunction) -> None:
    with pytest.raises(OutcomeUnknown, match="no longer knows"):
        wait(shared.target, "projects/p1/locations/us-central1/operations/gone")


# -- refused, busy, used up ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("http", "status", "error", "words", "hint"),
    [
        (400, "INVALID_ARGUMENT", TargetRefused, "400 INVALID_ARGUMENT", "settings"),
        (400, "FAILED_PRECONDITION", TargetRefused, "FAILED_PRECONDITION", "settings"),
        (403, "PERMISSION_DENIED", TargetRefused, "403", "roles/iam.serviceAccountUser"),
        (404, "NOT_FOUND", TargetRefused, "404", "project, region and name"),
        (409, "ABORTED", TargetUnavailable, "409 ABORTED", "another deployment"),
        (409, "ALREADY_EXISTS", TargetRefused, "409 ALREADY_EXISTS", "exists already"),
        (412, "FAILED_PRECONDITION", TargetUnavailable, "412", "another deployment"),
        (429, "RESOURCE_EXHAUSTED", TargetUnavailable, "429", "quota"),
        (500, "INTERNAL", OutcomeUnknown, "500 INTERNAL", "deploygate status"),
        (503, "UNAVAILABLE", OutcomeUnknown, "may have been applied", "deploygate status"),
    ],
)
def test_answers_to_an_update_become_errors(
    shared: StagedFunction,
    http: int,
    status: str,
    error: type[DeployGateError],
    words: str,
    hint: str,
) -> None:
    shared.driver.fault(**UPDATE, http=http, status=status, message="said so", times=None)
    before = shared.driver.last_call()
    with pytest.raises(error) as caught:
        deploy_again(shared)
    assert issubclass(type(caught.value), error)
    assert words in caught.value.message
    assert "said so" in caught.value.message
    assert hint in caught.value.hint
    assert "PATCH http" not in caught.value.message
    # only a used-up quota is waited for; after all else somebody must look first
    assert shared.writes(after=before) == (4 if http == 429 else 1)


def test_missing_credentials_are_said(shared: StagedFunction) -> None:
    shared.driver.fault(
        method="GET", path="/functions/", http=401, status="UNAUTHENTICATED", times=None
    )
    with pytest.raises(TargetRefused) as caught:
        shared.target.snapshot()
    assert "gcloud auth application-default login" in caught.value.hint


def test_an_update_without_valid_credentials_is_refused_and_not_repeated(
    shared: StagedFunction,
) -> None:
    shared.driver.fault(**UPDATE, http=401, status="UNAUTHENTICATED", times=None)
    before = shared.driver.last_call()
    with pytest.raises(TargetRefused) as caught:
        deploy_again(shared)
    assert "gcloud auth application-default login" in caught.value.hint
    assert shared.writes(after=before) == 1


def test_a_cloud_that_is_not_there_says_how_to_start_it(shared: StagedFunction) -> None:
    target = shared.again()
    gone = type(target)(
        spec=target.spec,
        endpoint="http://127.0.0.1:9",
        credentials=None,
        home=shared.home,
        clock=target._clock,
        is_local=True,
    )
    with pytest.raises(TargetUnavailable, match="no connection") as caught:
        gone.snapshot()
    assert "deploygate emulator up" in caught.value.hint
    gone.close()
    target.close()


def test_a_reading_is_repeated(shared: StagedFunction) -> None:
    shared.driver.fault(method="GET", path="/functions/", http=503, times=2)
    shared.driver.fault(method="GET", path="/functions/", drop="middle", times=1)
    assert shared.target.snapshot().baseline == shared.baseline


def test_a_service_that_is_deleted_while_it_is_looked_at_is_open_to_nobody(
    shared: StagedFunction,
) -> None:
    shared.driver.fault(method="GET", path=":getIamPolicy", http=404, status="NOT_FOUND", times=1)
    assert shared.again().snapshot().is_public is False


def test_a_busy_function_is_said(new_target: NewTarget, driver: Driver, tmp_path: Path) -> None:
    target = new_target(verify_variables={})
    assert wait(target, begin(target))
    driver.fault(**UPDATE, operation={"kind": "slow", "slow_s": 600})
    begin(target)
    clock = HurriedClock(longest_s=0.01)
    another = make_target_of(CloudFunctionsTarget, driver, target.spec, tmp_path, clock=clock)
    with pytest.raises(TargetUnavailable, match="unable to queue the operation"):
        begin(another)
    another.close()


def test_a_busy_function_is_waited_for_and_asked_once_more(shared: StagedFunction) -> None:
    shared.driver.fault(**UPDATE, operation={"kind": "slow", "slow_s": 0.5})
    theirs = deploy_again(shared)
    target = shared.again(clock=SystemClock())
    ours = begin(target)
    assert ours != theirs
    assert wait(target, ours)
    assert wait(shared.target, theirs)
    target.close()


# -- lost answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "effect",
    [{"drop": "after"}, {"drop": "middle"}, {"http": 500, "status": "INTERNAL", "applied": True}],
    ids=str,
)
def test_an_update_whose_answer_is_lost_is_adopted(
    shared: StagedFunction, effect: dict[str, object]
) -> None:
    before = shared.driver.last_call()
    shared.driver.fault(**UPDATE, **effect)
    assert wait(shared.target, deploy_again(shared))
    asked = [c for c in shared.driver.calls(after=before) if c["method"] == "PATCH"]
    assert len(asked) == 1


def test_a_redeployment_whose_answer_is_lost_is_adopted(
    new_target: NewTarget, driver: Driver
) -> None:
    target = new_target()
    baseline = release(target)
    backup = target.backup(target.snapshot())
    before = driver.last_call()
    driver.fault(**UPDATE, drop="after")
    assert wait(target, target.begin_restore(backup)) != baseline
    assert len([c for c in driver.calls(after=before) if c["method"] == "PATCH"]) == 1
    assert target.snapshot().serving.sole == baseline


def test_an_operation_that_somebody_else_began_is_not_adopted(shared: StagedFunction) -> None:
    assert wait(shared.target, deploy_again(shared))
    assert isinstance(shared.target, CloudFunctionsTarget)
    functions = shared.target._functions
    asked = functions.require()
    mine = adopt(functions, asked, frozenset(), HurriedClock())
    assert mine is not None
    asked.labels["deploygate-rollout"] = "another"
    assert adopt(functions, asked, frozenset(), HurriedClock()) is None


def test_a_creation_whose_answer_is_lost_is_adopted(new_target: NewTarget, driver: Driver) -> None:
    target = new_target()
    driver.fault(**CREATE, drop="after")
    revision = wait(target, begin(target))
    assert target.snapshot().serving.sole == revision


def test_an_update_that_never_arrived_is_unknown_and_not_repeated(shared: StagedFunction) -> None:
    before = shared.driver.last_call()
    shared.driver.fault(**UPDATE, drop="before", times=None)
    rollout_labels = RolloutLabels(rollout=ROLLOUT, config="another")
    source = shared.target.upload(shared.target.package())
    with pytest.raises(OutcomeUnknown):
        shared.target.begin_release(source, rollout_labels)
    assert sum(c["method"] == "PATCH" for c in shared.driver.calls(after=before)) == 1


# -- uploads ---------------------------------------------------------------------------------------


def test_an_upload_is_repeated_while_permissions_spread(shared: StagedFunction) -> None:
    shared.driver.fault(method="PUT", path="/storage/", http=403, times=2)
    shared.driver.fault(method="PUT", path="/storage/", drop="after", times=1)
    assert shared.target.upload(shared.target.package())


def test_an_upload_that_fails_shows_no_signature(
    shared: StagedFunction, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shared.driver.fault(method="PUT", path="/storage/", drop="before", times=None)
    with pytest.raises(TargetUnavailable, match="uploading the source") as caught:
        shared.target.upload(shared.target.package())
    assert_no_signature(caught, caplog)


def test_a_download_that_fails_shows_no_signature(
    new_target: NewTarget, driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    target = new_target()
    release(target)
    caplog.set_level(logging.DEBUG)
    driver.fault(method="GET", path="/storage/", drop="before", times=None)
    with pytest.raises(TargetUnavailable, match="downloading the source") as caught:
        target.backup(target.snapshot())
    assert_no_signature(caught, caplog)


def assert_no_signature(
    caught: pytest.ExceptionInfo[TargetUnavailable],
    caplog: pytest.LogCaptureFixture,
) -> None:
    own = "".join(r.getMessage() for r in caplog.records if r.name.startswith("pytest_deploygate"))
    assert "ignature" not in f"{caught.value}{own}"
    # no traceback may show the exception that has the whole address
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_refused_upload_is_said(shared: StagedFunction) -> None:
    shared.driver.fault(method="PUT", path="/storage/", http=400)
    with pytest.raises(TargetRefused, match="400"):
        shared.target.upload(shared.target.package())


def test_source_goes_to_google_alone(shared: StagedFunction) -> None:
    # the same answers, taken for Google's: their upload address is not Google's
    target = CloudFunctionsTarget(
        spec=shared.target.spec,
        endpoint=shared.driver.cloud.endpoint,
        credentials=None,
        home=shared.home,
        clock=shared.target._clock,
        is_local=False,
    )
    before = shared.driver.last_call()
    with pytest.raises(TargetRefused, match="it was not sent"):
        target.upload(target.package())
    assert not any(c["method"] == "PUT" for c in shared.driver.calls(after=before))
    target.close()


def test_an_endpoint_without_scheme_is_refused(shared: StagedFunction) -> None:
    with pytest.raises(ConfigError, match="is no address"):
        CloudFunctionsTarget(
            spec=shared.target.spec,
            endpoint="127.0.0.1:8790",
            credentials=None,
            home=shared.home,
            clock=shared.target._clock,
            is_local=True,
        )


def test_a_proxy_of_the_environment_does_not_stand_before_loopback(
    shared: StagedFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "example.com")
    monkeypatch.setenv("NO_PROXY", "example.com")
    target = make_target(shared.driver, shared.target.spec, shared.home)
    assert target.snapshot().baseline == shared.baseline
    assert target.answering_revision(shared.read().uri) == shared.baseline
    target.close()


@pytest.mark.parametrize(
    ("field", "key"),
    [
        ("variables", "environment-variables"),
        ("verify_variables", "verify-environment"),
        ("build_variables", "build-environment-variables"),
    ],
)
def test_plain_variable_that_is_a_secret_is_refused_by_its_key_in_the_settings(
    new_target: NewTarget, field: str, key: str
) -> None:
    hook = "https://hooks.zapier.com" + "/hooks/catch/1/2"
    target = new_target(**{field: {"HOOK": hook}})
    with pytest.raises(ConfigError, match=rf"^{key}\.HOOK looks like a Zapier catch URL") as caught:
        target.package()
    assert hook not in str(caught.value)


def test_a_plain_variable_that_only_looks_like_a_secret_is_allowed_by_name_and_reason(
    new_target: NewTarget,
) -> None:
    hook = "https://hooks.zapier.com" + "/hooks/catch/1/2345"
    place = "environment-variables.HOOK"
    target = new_target(variables={"HOOK": hook}, allowed_secrets={place: "made up"})
    allowed = target.package().allowed_secrets
    assert allowed == ((f"{place} looks like a Zapier catch URL", "made up"),)
