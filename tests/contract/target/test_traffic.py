"""Compare-and-set on traffic: what others did, answers that get lost, a platform that does not do as told."""

import pytest

from pytest_deploygate.core.errors import (
    Drifted,
    OutcomeUnknown,
    TargetError,
    TargetRefused,
    TargetUnavailable,
)
from pytest_deploygate.core.own_tags import TAG_CANDIDATE, TAG_PREVIOUS
from pytest_deploygate.core.release import RolloutLabels
from pytest_deploygate.core.traffic import LATEST, Traffic
from tests.contract.target.staged_function import ROLLOUT, HurriedClock, StagedFunction
from tests.emulator.emulator_driver import latest, to
from tests.loopback_server import Asked, Reply, serving

PATCH_SERVICE = {"method": "PATCH", "path": "/services/"}
GET_SERVICE = {"method": "GET", "path": r"/services/[^/:]+$"}


def shift(shared: StagedFunction) -> None:
    shared.target.shift_traffic(shared.at_candidate, expect=shared.at_baseline)


def failing(shared: StagedFunction, kind: type[TargetError]) -> str:
    """Message of the error that a promotion ends with."""
    with pytest.raises(kind) as caught:
        shift(shared)
    assert type(caught.value) is kind or issubclass(type(caught.value), kind)
    assert caught.value.hint
    return caught.value.message


# -- what is true already --------------------------------------------------------------------------


def test_what_is_so_already_is_not_written(shared: StagedFunction) -> None:
    shift(shared)
    before = shared.driver.last_call()
    shift(shared)
    shared.target.shift_traffic(shared.at_candidate, expect=shared.at_candidate)
    assert shared.writes(after=before) == 0


def test_marks_that_are_so_already_are_not_written(shared: StagedFunction) -> None:
    rollout_labels = RolloutLabels(rollout=ROLLOUT, baseline=shared.baseline)
    shared.target.shift_traffic(
        shared.at_baseline, expect=shared.at_baseline, rollout_labels=rollout_labels
    )
    before = shared.driver.last_call()
    again = shared.target.shift_traffic(
        shared.at_baseline, expect=shared.at_baseline, rollout_labels=rollout_labels
    )
    assert shared.writes(after=before) == 0
    assert again.rollout_labels == rollout_labels
    cleared = shared.target.shift_traffic(
        shared.at_baseline, expect=shared.at_baseline, rollout_labels=RolloutLabels()
    )
    assert cleared.rollout_labels == RolloutLabels()
    assert dict(shared.read().labels) == {"team": "billing", "deploygate-rollout": ""}


def test_our_tags_are_set_exactly_and_others_kept(shared: StagedFunction) -> None:
    shared.driver.traffic(
        shared.service,
        to(shared.baseline, 100),
        to(shared.baseline, tag="blue"),
        to(shared.candidate, tag=TAG_CANDIDATE),
    )
    wanted = Traffic.of({shared.candidate: 100}, {TAG_PREVIOUS: shared.baseline})
    after = shared.target.shift_traffic(wanted, expect=Traffic.of({shared.baseline: 100}))
    assert dict(after.traffic.tags) == {"blue": shared.baseline, TAG_PREVIOUS: shared.baseline}
    assert set(after.tag_urls) == {"blue", TAG_PREVIOUS}


def test_a_foreign_tag_that_moved_meanwhile_stays_where_it_is(shared: StagedFunction) -> None:
    shared.driver.traffic(
        shared.service, to(shared.baseline, 100), to(shared.candidate, tag="blue")
    )
    stale = Traffic.of({shared.candidate: 100}, {"blue": shared.baseline})
    after = shared.target.shift_traffic(stale, expect=Traffic.of({shared.baseline: 100}))
    assert dict(after.traffic.tags)["blue"] == shared.candidate


# -- others ----------------------------------------------------------------------------------------


def test_traffic_that_somebody_moved_is_not_overwritten(shared: StagedFunction) -> None:
    shared.driver.traffic(shared.service, to(shared.verification, 100))
    before = shared.driver.last_call()
    with pytest.raises(Drifted) as caught:
        shift(shared)
    assert caught.value.found == f"{shared.verification}=100"
    assert str(shared.verification) in caught.value.message
    assert shared.writes(after=before) == 0
    assert shared.serving() == {shared.verification}


def test_following_latest_counts_as_the_revision_that_it_leads_to(shared: StagedFunction) -> None:
    shared.driver.traffic(shared.service, latest())
    back = shared.target.shift_traffic(shared.at_baseline, expect=shared.at_candidate)
    assert back.serving.sole == shared.baseline


def test_following_latest_is_refused_where_it_would_move_traffic(shared: StagedFunction) -> None:
    # the candidate has no traffic, so that the latest revision that is ready may be the baseline: not for long
    with pytest.raises(Drifted, match="newest revision is"):
        shared.target.shift_traffic(Traffic.of({LATEST: 100}), expect=shared.at_baseline)
    assert shared.serving() == {shared.baseline}


def test_a_stale_etag_is_read_again_and_tried_again(shared: StagedFunction) -> None:
    shared.driver.fault(**PATCH_SERVICE, http=409, status="ABORTED", message="stale etag")
    shift(shared)
    assert shared.serving() == {shared.candidate}


def test_a_failed_precondition_counts_as_a_stale_etag(shared: StagedFunction) -> None:
    shared.driver.fault(**PATCH_SERVICE, http=412, status="FAILED_PRECONDITION")
    shift(shared)
    assert shared.serving() == {shared.candidate}


def test_a_real_race_is_lost_without_overwriting(shared: StagedFunction) -> None:
    # what is read is older than the last change, as a cache may have it
    shared.driver.traffic(shared.service, to(shared.verification, 100))
    shared.driver.fault(**GET_SERVICE, stale=True)
    with pytest.raises(Drifted):
        shift(shared)
    assert shared.serving() == {shared.verification}


@pytest.mark.parametrize("reads_before", [1, 2])
def test_an_answer_older_than_our_own_write_is_not_somebody_elses(
    shared: StagedFunction, reads_before: int
) -> None:
    half = Traffic.of({shared.baseline: 50, shared.candidate: 50})
    # the write is read back, at once or after it was seen
    shared.driver.fault(**GET_SERVICE, stale=True, after=reads_before, times=3)
    shared.target.shift_traffic(half, expect=shared.at_baseline)
    # and before the next step
    shared.driver.local("DELETE", "faults")
    shared.driver.fault(**GET_SERVICE, stale=True, times=2)
    shared.target.shift_traffic(Traffic.of({shared.candidate: 100}), expect=half)
    assert shared.serving() == {shared.candidate}


@pytest.mark.of_target("google")
def test_a_write_that_stays_unseen_is_unknown_and_not_somebody_elses(
    shared: StagedFunction,
) -> None:
    shared.driver.fault(**GET_SERVICE, stale=True, after=1, times=None)
    assert "does not show it" in failing(shared, OutcomeUnknown)
    shared.driver.local("DELETE", "faults")
    assert shared.serving() == {shared.candidate}


def test_a_service_that_never_stands_still_ends_in_words(shared: StagedFunction) -> None:
    shared.driver.fault(**PATCH_SERVICE, http=409, status="ABORTED", times=None)
    assert "409 ABORTED" in failing(shared, TargetUnavailable)
    assert shared.serving() == {shared.baseline}


# -- lost answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "effect",
    [
        {"drop": "after"},
        {"drop": "middle"},
        {"drop": "before"},
        {"http": 500, "status": "INTERNAL"},
        {"http": 500, "status": "INTERNAL", "applied": True},
        {"http": 503, "status": "UNAVAILABLE"},
        {"http": 503, "status": "UNAVAILABLE", "applied": True},
        {"http": 504, "status": "DEADLINE_EXCEEDED", "applied": True},
    ],
    ids=lambda effect: "-".join(str(value) for value in effect.values()),
)
def test_an_answer_that_is_lost_once_is_settled_by_looking(
    shared: StagedFunction, effect: dict[str, object]
) -> None:
    generation = shared.read().generation
    shared.driver.fault(**PATCH_SERVICE, **effect)
    shift(shared)
    assert shared.serving() == {shared.candidate}
    assert (
        shared.read().generation == generation + 1
    )  # carried out once, however often it was asked


def test_a_write_without_any_answer_is_unknown(shared: StagedFunction) -> None:
    shared.driver.fault(**PATCH_SERVICE, drop="before", times=None)
    assert "may have been applied" in failing(shared, OutcomeUnknown)


def test_a_write_that_cannot_be_read_back_is_unknown(shared: StagedFunction) -> None:
    shared.driver.fault(**GET_SERVICE, http=503, after=1, times=None)
    assert "cannot be read back" in failing(shared, OutcomeUnknown)


def test_a_platform_that_hangs_is_given_up(shared: StagedFunction) -> None:
    target = shared.again(timeout_s=0.3)
    shared.driver.fault(**PATCH_SERVICE, hang=True, times=None)
    with pytest.raises(OutcomeUnknown, match="Timeout"):
        target.shift_traffic(shared.at_candidate, expect=shared.at_baseline)
    target.close()


def test_a_reading_that_hangs_is_unavailable(shared: StagedFunction) -> None:
    target = shared.again(timeout_s=0.3)
    shared.driver.fault(method="GET", path="/(functions|services)/", hang=True, times=None)
    with pytest.raises(TargetUnavailable, match="Timeout"):
        target.snapshot()
    target.close()


def test_traffic_can_be_returned_while_everything_but_the_service_is_down(
    shared: StagedFunction,
) -> None:
    shared.promote()
    shared.driver.fault(path="/functions/", http=503, status="UNAVAILABLE", times=None)
    shared.driver.fault(path=":getIamPolicy", http=503, status="UNAVAILABLE", times=None)
    assert shared.target.snapshot().serving.sole == shared.candidate
    assert shared.target.revision(shared.baseline) is not None
    back = shared.target.shift_traffic(shared.at_baseline, expect=shared.at_candidate)
    assert back.is_public
    assert shared.serving() == {shared.baseline}


def test_a_policy_that_cannot_be_read_back_is_unknown(shared: StagedFunction) -> None:
    shared.driver.fault(path=":getIamPolicy", http=503, status="UNAVAILABLE", after=1, times=None)
    try:
        with pytest.raises(OutcomeUnknown):
            shared.target.set_public(False)
    finally:
        shared.driver.local("DELETE", "faults")
        shared.target.set_public(True)


# -- quotas ----------------------------------------------------------------------------------------


def test_a_quota_is_waited_for_as_long_as_the_platform_says(shared: StagedFunction) -> None:
    target = shared.again()
    shared.driver.fault(
        **PATCH_SERVICE, http=429, status="RESOURCE_EXHAUSTED", retry_after=7, times=2
    )
    after = target.shift_traffic(shared.at_candidate, expect=shared.at_baseline)
    assert after.serving.sole == shared.candidate
    assert target._clock.slept.count(7.0) == 2  # type: ignore[attr-defined]
    target.close()


def test_a_quota_that_stays_used_up_is_said(shared: StagedFunction) -> None:
    shared.driver.fault(**PATCH_SERVICE, http=429, status="RESOURCE_EXHAUSTED", times=None)
    assert "429 RESOURCE_EXHAUSTED" in failing(shared, TargetUnavailable)


# -- a platform that does not do as told -----------------------------------------------------------


def test_half_a_shift_is_written_again_until_it_is_whole(shared: StagedFunction) -> None:
    shared.driver.fault(**PATCH_SERVICE, traffic="half_applied")
    shift(shared)
    assert shared.serving() == {shared.candidate}


def test_a_shift_that_stays_half_done_is_refused_with_the_reason(shared: StagedFunction) -> None:
    shared.driver.fault(**PATCH_SERVICE, traffic="half_applied", times=None)
    assert "could not be applied completely" in failing(shared, TargetRefused)


def test_a_revision_whose_image_is_gone_cannot_take_traffic(shared: StagedFunction) -> None:
    shared.driver.traffic(shared.service, to(shared.candidate, 100))
    shared.driver.lose_image(shared.baseline)
    with pytest.raises(TargetRefused, match="cannot give traffic") as caught:
        shared.target.shift_traffic(shared.at_baseline, expect=shared.at_candidate)
    assert shared.baseline in caught.value.message
    assert shared.serving() == {shared.candidate}


def test_a_revision_that_does_not_exist_is_refused(shared: StagedFunction) -> None:
    unknown = type(shared.baseline)("shared-quiet-00999-zzz")
    with pytest.raises(TargetRefused, match="00999"):
        shared.target.shift_traffic(Traffic.of({unknown: 100}), expect=shared.at_baseline)


def test_a_change_that_takes_its_time_is_waited_for(shared: StagedFunction) -> None:
    shared.driver.fault(**PATCH_SERVICE, operation={"kind": "slow", "slow_s": 0.5})
    shift(shared)
    assert shared.target.snapshot().is_settled
    assert shared.serving() == {shared.candidate}


def test_a_change_of_marks_alone_is_waited_for_too(shared: StagedFunction) -> None:
    shared.driver.fault(**PATCH_SERVICE, operation={"kind": "slow", "slow_s": 0.5})
    rollout_labels = RolloutLabels(rollout=ROLLOUT, baseline=shared.baseline)
    after = shared.target.shift_traffic(
        shared.at_baseline, expect=shared.at_baseline, rollout_labels=rollout_labels
    )
    assert after.is_settled
    assert not shared.read().reconciling


def test_a_change_that_is_never_carried_out_is_unknown(shared: StagedFunction) -> None:
    shared.driver.fault(**PATCH_SERVICE, operation={"kind": "never_done"}, times=None)
    assert "does not show it" in failing(shared, OutcomeUnknown)
    assert not shared.target.snapshot().is_settled


# -- access ----------------------------------------------------------------------------------------


def test_opening_and_closing_touch_nothing_else_of_the_policy(shared: StagedFunction) -> None:
    services = shared.driver.services
    policy = services.get_iam_policy({"resource": shared.service}, timeout=20)
    policy.bindings.add(role="roles/run.invoker", members=["user:a@example.com"])
    policy.bindings.add(role="roles/run.viewer", members=["allUsers"])
    services.set_iam_policy({"resource": shared.service, "policy": policy}, timeout=20)
    try:
        shared.target.set_public(False)
        assert members(shared) == [
            ("roles/run.invoker", "user:a@example.com"),
            ("roles/run.viewer", "allUsers"),
        ]
        shared.target.set_public(False)
        shared.target.set_public(True)
        assert ("roles/run.invoker", "allUsers") in members(shared)
        assert ("roles/run.invoker", "user:a@example.com") in members(shared)
    finally:
        shared.target.set_public(True)


def members(shared: StagedFunction) -> list[tuple[str, str]]:
    policy = shared.driver.services.get_iam_policy({"resource": shared.service}, timeout=20)
    return sorted((b.role, member) for b in policy.bindings for member in b.members)


def test_a_policy_that_changed_meanwhile_is_read_again(shared: StagedFunction) -> None:
    shared.driver.fault(method="POST", path=":setIamPolicy", http=409, status="ABORTED")
    shared.target.set_public(False)
    try:
        assert not shared.target.snapshot().is_public
    finally:
        shared.target.set_public(True)


def test_a_policy_that_may_not_be_changed_says_which_role_is_needed(shared: StagedFunction) -> None:
    shared.driver.fault(method="POST", path=":setIamPolicy", http=403, status="PERMISSION_DENIED")
    with pytest.raises(TargetRefused, match="403") as caught:
        shared.target.set_public(False)
    assert "roles/run.admin" in caught.value.hint


# -- asking who answers ----------------------------------------------------------------------------


def test_who_answers_is_read_from_the_answer(shared: StagedFunction) -> None:
    assert shared.target.answering_revision(shared.read().uri) == shared.baseline


def test_a_header_that_names_something_else_does_not_say_who_answers(
    shared: StagedFunction,
) -> None:
    commit = Reply(headers={"X-Revision": "3f2a91c"})
    with serving() as start:
        assert shared.target.answering_revision(start(lambda _: commit).url) is None


def test_a_server_error_is_no_answer(shared: StagedFunction) -> None:
    shared.driver.local("POST", f"revisions/{shared.baseline}/inject_fault", {"error_ratio": 1})
    try:
        with pytest.raises(TargetUnavailable, match="answered 5"):
            shared.target.answering_revision(shared.read().uri)
    finally:
        shared.driver.local("DELETE", f"revisions/{shared.baseline}/inject_fault")


def test_nobody_at_the_address_is_no_answer(shared: StagedFunction) -> None:
    with pytest.raises(TargetUnavailable, match="did not answer") as caught:
        shared.target.answering_revision("http://127.0.0.1:9/?X-Goog-Signature=abc")
    assert "abc" not in str(caught.value)


def test_an_opened_service_is_waited_for_until_the_policy_has_spread(
    shared: StagedFunction,
) -> None:
    left = [3]

    def answer(asked: Asked) -> Reply:
        if asked.path == "/" and left[0]:
            left[0] -= 1
            page = b"<html><head><title>403 Forbidden</title></head><h1>Error: Forbidden</h1>"
            return Reply(status=403, body=page)
        if asked.path == "/":
            return Reply()
        got = shared.driver.http.request(
            asked.method, shared.driver.cloud.endpoint + asked.path, data=asked.body, timeout=20
        )
        own = f"http://{asked.headers['host']}"
        return Reply(
            status=got.status_code,
            body=got.content.replace(shared.read().uri.encode(), own.encode()),
        )

    with serving() as start:
        target = type(shared.target)(
            spec=shared.target.spec, endpoint=start(answer).url, credentials=None, home=shared.home,
            clock=HurriedClock(), is_local=True,
        )  # fmt: skip
        target.set_public(True)
        target.close()
    assert left == [0]
