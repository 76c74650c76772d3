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
from tests.contract.target.staged_function import ROLLOUT, HurriedClock, Lab, last_call
from tests.emulator.emulator_driver import latest, to
from tests.loopback_server import Asked, Reply, serving

PATCH_SERVICE = {"method": "PATCH", "path": "/services/"}
GET_SERVICE = {"method": "GET", "path": r"/services/[^/:]+$"}


def shift(lab: Lab) -> None:
    lab.target.shift_traffic(lab.at_candidate, expect=lab.at_baseline)


def failing(lab: Lab, kind: type[TargetError]) -> str:
    """Message of the error that a promotion ends with."""
    with pytest.raises(kind) as caught:
        shift(lab)
    assert type(caught.value) is kind or issubclass(type(caught.value), kind)
    assert caught.value.hint
    return caught.value.message


# -- what is true already --------------------------------------------------------------------------


def test_what_is_so_already_is_not_written(lab: Lab) -> None:
    shift(lab)
    before = last_call(lab.driver)
    shift(lab)
    lab.target.shift_traffic(lab.at_candidate, expect=lab.at_candidate)
    assert lab.writes(after=before) == 0


def test_marks_that_are_so_already_are_not_written(lab: Lab) -> None:
    rollout_labels = RolloutLabels(rollout=ROLLOUT, baseline=lab.baseline)
    lab.target.shift_traffic(lab.at_baseline, expect=lab.at_baseline, rollout_labels=rollout_labels)
    before = last_call(lab.driver)
    again = lab.target.shift_traffic(
        lab.at_baseline, expect=lab.at_baseline, rollout_labels=rollout_labels
    )
    assert lab.writes(after=before) == 0
    assert again.rollout_labels == rollout_labels
    cleared = lab.target.shift_traffic(
        lab.at_baseline, expect=lab.at_baseline, rollout_labels=RolloutLabels()
    )
    assert cleared.rollout_labels == RolloutLabels()
    assert dict(lab.read().labels) == {"team": "billing", "deploygate-rollout": ""}


def test_our_tags_are_set_exactly_and_others_kept(lab: Lab) -> None:
    lab.driver.traffic(
        lab.service,
        to(lab.baseline, 100),
        to(lab.baseline, tag="blue"),
        to(lab.candidate, tag=TAG_CANDIDATE),
    )
    wanted = Traffic.of({lab.candidate: 100}, {TAG_PREVIOUS: lab.baseline})
    after = lab.target.shift_traffic(wanted, expect=Traffic.of({lab.baseline: 100}))
    assert dict(after.traffic.tags) == {"blue": lab.baseline, TAG_PREVIOUS: lab.baseline}
    assert set(after.tag_urls) == {"blue", TAG_PREVIOUS}


def test_a_foreign_tag_that_moved_meanwhile_stays_where_it_is(lab: Lab) -> None:
    lab.driver.traffic(lab.service, to(lab.baseline, 100), to(lab.candidate, tag="blue"))
    stale = Traffic.of({lab.candidate: 100}, {"blue": lab.baseline})
    after = lab.target.shift_traffic(stale, expect=Traffic.of({lab.baseline: 100}))
    assert dict(after.traffic.tags)["blue"] == lab.candidate


# -- others ----------------------------------------------------------------------------------------


def test_traffic_that_somebody_moved_is_not_overwritten(lab: Lab) -> None:
    lab.driver.traffic(lab.service, to(lab.verification, 100))
    before = last_call(lab.driver)
    with pytest.raises(Drifted) as caught:
        shift(lab)
    assert caught.value.found == f"{lab.verification}=100"
    assert str(lab.verification) in caught.value.message
    assert lab.writes(after=before) == 0
    assert lab.serving() == {lab.verification}


def test_following_latest_counts_as_the_revision_that_it_leads_to(lab: Lab) -> None:
    lab.driver.traffic(lab.service, latest())
    back = lab.target.shift_traffic(lab.at_baseline, expect=lab.at_candidate)
    assert back.serving.sole == lab.baseline


def test_following_latest_is_refused_where_it_would_move_traffic(lab: Lab) -> None:
    # somebody deployed after the candidate: LATEST is no longer what was judged
    with pytest.raises(Drifted, match="newest revision is"):
        lab.target.shift_traffic(Traffic.of({LATEST: 100}), expect=lab.at_baseline)
    assert lab.serving() == {lab.baseline}


def test_a_stale_etag_is_read_again_and_tried_again(lab: Lab) -> None:
    lab.driver.fault(**PATCH_SERVICE, http=409, status="ABORTED", message="stale etag")
    shift(lab)
    assert lab.serving() == {lab.candidate}


def test_a_failed_precondition_counts_as_a_stale_etag(lab: Lab) -> None:
    lab.driver.fault(**PATCH_SERVICE, http=412, status="FAILED_PRECONDITION")
    shift(lab)
    assert lab.serving() == {lab.candidate}


def test_a_real_race_is_lost_without_overwriting(lab: Lab) -> None:
    # what is read is older than the last change, as a cache may have it
    lab.driver.traffic(lab.service, to(lab.verification, 100))
    lab.driver.fault(**GET_SERVICE, stale=True)
    with pytest.raises(Drifted):
        shift(lab)
    assert lab.serving() == {lab.verification}


def test_a_service_that_never_stands_still_ends_in_words(lab: Lab) -> None:
    lab.driver.fault(**PATCH_SERVICE, http=409, status="ABORTED", times=None)
    assert "409 ABORTED" in failing(lab, TargetUnavailable)
    assert lab.serving() == {lab.baseline}


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
    lab: Lab, effect: dict[str, object]
) -> None:
    generation = lab.read().generation
    lab.driver.fault(**PATCH_SERVICE, **effect)
    shift(lab)
    assert lab.serving() == {lab.candidate}
    assert lab.read().generation == generation + 1  # carried out once, however often it was asked


def test_a_write_without_any_answer_is_unknown(lab: Lab) -> None:
    lab.driver.fault(**PATCH_SERVICE, drop="before", times=None)
    assert "may have been applied" in failing(lab, OutcomeUnknown)


def test_a_write_that_cannot_be_read_back_is_unknown(lab: Lab) -> None:
    lab.driver.fault(**GET_SERVICE, http=503, after=1, times=None)
    assert "cannot be read back" in failing(lab, OutcomeUnknown)


def test_a_platform_that_hangs_is_given_up(lab: Lab) -> None:
    target = lab.again(timeout_s=0.3)
    lab.driver.fault(**PATCH_SERVICE, hang=True, times=None)
    with pytest.raises(OutcomeUnknown, match="Timeout"):
        target.shift_traffic(lab.at_candidate, expect=lab.at_baseline)
    target.close()


def test_a_reading_that_hangs_is_unavailable(lab: Lab) -> None:
    target = lab.again(timeout_s=0.3)
    lab.driver.fault(method="GET", path="/(functions|services)/", hang=True, times=None)
    with pytest.raises(TargetUnavailable, match="Timeout"):
        target.snapshot()
    target.close()


def test_traffic_can_be_returned_while_everything_but_the_service_is_down(lab: Lab) -> None:
    lab.promote()
    lab.driver.fault(path="/functions/", http=503, status="UNAVAILABLE", times=None)
    lab.driver.fault(path=":getIamPolicy", http=503, status="UNAVAILABLE", times=None)
    assert lab.target.snapshot().serving.sole == lab.candidate
    assert lab.target.revision(lab.baseline) is not None
    back = lab.target.shift_traffic(lab.at_baseline, expect=lab.at_candidate)
    assert back.is_public
    assert lab.serving() == {lab.baseline}


def test_a_policy_that_cannot_be_read_back_is_unknown(lab: Lab) -> None:
    lab.driver.fault(path=":getIamPolicy", http=503, status="UNAVAILABLE", after=1, times=None)
    try:
        with pytest.raises(OutcomeUnknown):
            lab.target.set_public(False)
    finally:
        lab.driver.local("DELETE", "faults")
        lab.target.set_public(True)


# -- quotas ----------------------------------------------------------------------------------------


def test_a_quota_is_waited_for_as_long_as_the_platform_says(lab: Lab) -> None:
    target = lab.again()
    lab.driver.fault(**PATCH_SERVICE, http=429, status="RESOURCE_EXHAUSTED", retry_after=7, times=2)
    after = target.shift_traffic(lab.at_candidate, expect=lab.at_baseline)
    assert after.serving.sole == lab.candidate
    assert target._clock.slept.count(7.0) == 2  # type: ignore[attr-defined]
    target.close()


def test_a_quota_that_stays_used_up_is_said(lab: Lab) -> None:
    lab.driver.fault(**PATCH_SERVICE, http=429, status="RESOURCE_EXHAUSTED", times=None)
    assert "429 RESOURCE_EXHAUSTED" in failing(lab, TargetUnavailable)


# -- a platform that does not do as told -----------------------------------------------------------


def test_half_a_shift_is_written_again_until_it_is_whole(lab: Lab) -> None:
    lab.driver.fault(**PATCH_SERVICE, traffic="half_applied")
    shift(lab)
    assert lab.serving() == {lab.candidate}


def test_a_shift_that_stays_half_done_is_refused_with_the_reason(lab: Lab) -> None:
    lab.driver.fault(**PATCH_SERVICE, traffic="half_applied", times=None)
    assert "could not be applied completely" in failing(lab, TargetRefused)


def test_a_revision_whose_image_is_gone_cannot_take_traffic(lab: Lab) -> None:
    lab.driver.traffic(lab.service, to(lab.candidate, 100))
    lab.driver.lose_image(lab.baseline)
    with pytest.raises(TargetRefused, match="cannot give traffic") as caught:
        lab.target.shift_traffic(lab.at_baseline, expect=lab.at_candidate)
    assert lab.baseline in caught.value.message
    assert lab.serving() == {lab.candidate}


def test_a_revision_that_does_not_exist_is_refused(lab: Lab) -> None:
    unknown = type(lab.baseline)("lab-quiet-00999-zzz")
    with pytest.raises(TargetRefused, match="00999"):
        lab.target.shift_traffic(Traffic.of({unknown: 100}), expect=lab.at_baseline)


def test_a_change_that_takes_its_time_is_waited_for(lab: Lab) -> None:
    lab.driver.fault(**PATCH_SERVICE, operation={"kind": "slow", "slow_s": 0.5})
    shift(lab)
    assert lab.target.snapshot().is_settled
    assert lab.serving() == {lab.candidate}


def test_a_change_of_marks_alone_is_waited_for_too(lab: Lab) -> None:
    lab.driver.fault(**PATCH_SERVICE, operation={"kind": "slow", "slow_s": 0.5})
    rollout_labels = RolloutLabels(rollout=ROLLOUT, baseline=lab.baseline)
    after = lab.target.shift_traffic(
        lab.at_baseline, expect=lab.at_baseline, rollout_labels=rollout_labels
    )
    assert after.is_settled
    assert not lab.read().reconciling


def test_a_change_that_is_never_carried_out_is_unknown(lab: Lab) -> None:
    lab.driver.fault(**PATCH_SERVICE, operation={"kind": "never_done"}, times=None)
    assert "does not show it" in failing(lab, OutcomeUnknown)
    assert not lab.target.snapshot().is_settled


# -- access ----------------------------------------------------------------------------------------


def test_opening_and_closing_touch_nothing_else_of_the_policy(lab: Lab) -> None:
    services = lab.driver.services
    policy = services.get_iam_policy({"resource": lab.service}, timeout=20)
    policy.bindings.add(role="roles/run.invoker", members=["user:a@example.com"])
    policy.bindings.add(role="roles/run.viewer", members=["allUsers"])
    services.set_iam_policy({"resource": lab.service, "policy": policy}, timeout=20)
    try:
        lab.target.set_public(False)
        assert members(lab) == [
            ("roles/run.invoker", "user:a@example.com"),
            ("roles/run.viewer", "allUsers"),
        ]
        lab.target.set_public(False)
        lab.target.set_public(True)
        assert ("roles/run.invoker", "allUsers") in members(lab)
        assert ("roles/run.invoker", "user:a@example.com") in members(lab)
    finally:
        lab.target.set_public(True)


def members(lab: Lab) -> list[tuple[str, str]]:
    policy = lab.driver.services.get_iam_policy({"resource": lab.service}, timeout=20)
    return sorted((b.role, member) for b in policy.bindings for member in b.members)


def test_a_policy_that_changed_meanwhile_is_read_again(lab: Lab) -> None:
    lab.driver.fault(method="POST", path=":setIamPolicy", http=409, status="ABORTED")
    lab.target.set_public(False)
    try:
        assert not lab.target.snapshot().is_public
    finally:
        lab.target.set_public(True)


def test_a_policy_that_may_not_be_changed_says_which_role_is_needed(lab: Lab) -> None:
    lab.driver.fault(method="POST", path=":setIamPolicy", http=403, status="PERMISSION_DENIED")
    with pytest.raises(TargetRefused, match="403") as caught:
        lab.target.set_public(False)
    assert "roles/run.admin" in caught.value.hint


# -- asking who answers ----------------------------------------------------------------------------


def test_who_answers_is_read_from_the_answer(lab: Lab) -> None:
    assert lab.target.answering_revision(lab.read().uri) == lab.baseline


def test_a_header_that_names_something_else_does_not_say_who_answers(lab: Lab) -> None:
    commit = Reply(headers={"X-Revision": "3f2a91c"})
    with serving() as start:
        assert lab.target.answering_revision(start(lambda _: commit).url) is None


def test_a_server_error_is_no_answer(lab: Lab) -> None:
    lab.driver.local("POST", f"revisions/{lab.baseline}/inject_fault", {"error_ratio": 1})
    try:
        with pytest.raises(TargetUnavailable, match="answered 5"):
            lab.target.answering_revision(lab.read().uri)
    finally:
        lab.driver.local("DELETE", f"revisions/{lab.baseline}/inject_fault")


def test_nobody_at_the_address_is_no_answer(lab: Lab) -> None:
    with pytest.raises(TargetUnavailable, match="did not answer") as caught:
        lab.target.answering_revision("http://127.0.0.1:9/?X-Goog-Signature=abc")
    assert "abc" not in str(caught.value)


def test_an_opened_service_is_waited_for_until_the_policy_has_spread(lab: Lab) -> None:
    left = [3]

    def answer(asked: Asked) -> Reply:
        if asked.path == "/" and left[0]:
            left[0] -= 1
            page = b"<html><head><title>403 Forbidden</title></head><h1>Error: Forbidden</h1>"
            return Reply(status=403, body=page)
        if asked.path == "/":
            return Reply()
        got = lab.driver.http.request(
            asked.method, lab.driver.cloud.endpoint + asked.path, data=asked.body, timeout=20
        )
        own = f"http://{asked.headers['host']}"
        return Reply(
            status=got.status_code, body=got.content.replace(lab.read().uri.encode(), own.encode())
        )

    with serving() as start:
        target = type(lab.target)(
            spec=lab.target.spec, endpoint=start(answer).url, credentials=None, home=lab.home,
            clock=HurriedClock(), is_local=True,
        )  # fmt: skip
        target.set_public(True)
        target.close()
    assert left == [0]
