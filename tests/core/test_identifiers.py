"""Plain values: hidden secrets, ordered severities, errors with hints, gates by name."""

from datetime import UTC, datetime, timedelta
from enum import Enum
from fractions import Fraction

import pytest

from pytest_deploygate.core.errors import (
    BuildFailed,
    DeployGateError,
    Drifted,
    ExitStatus,
    TargetError,
)
from pytest_deploygate.core.evidence import CheckState, ReportOutcome
from pytest_deploygate.core.function_spec import FunctionSpec, Variant
from pytest_deploygate.core.identifiers import (
    Actor,
    EnvironmentName,
    Phase,
    RevisionName,
    RolloutId,
    Secret,
    Severity,
)
from pytest_deploygate.core.own_tags import OWN_TAGS, TAGS_OF_SERVING
from pytest_deploygate.core.policy import Comparison, Gate, Leniency
from pytest_deploygate.core.record import EntryKind, RolloutRecord
from pytest_deploygate.core.release import RolloutLabels, Snapshot
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.core.verdict import Outcome, ReasonCode
from tests.core.policy_factory import a_gate, a_policy


def test_secret_shows_itself_only_when_told() -> None:
    secret = Secret("planted")
    assert "planted" not in f"{secret} {secret!r} {[secret]}"
    assert str(secret) == "***"
    assert secret.reveal() == "planted"


def test_secrets_are_equal_by_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("planted") == Secret(f"{'plan'}ted")
    assert Secret("a") != Secret("b")
    assert Secret("b") != Secret("a")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_severities_are_in_order() -> None:
    assert [s.rank for s in Severity] == [0, 1, 2, 3]
    assert Severity.CRITICAL.rank < Severity.HIGH.rank < Severity.MEDIUM.rank < Severity.LOW.rank


def test_actor_is_readable() -> None:
    assert str(Actor(user="ann", host="h", pid=7)) == "ann@h, process 7"
    ci = Actor(user="ann", host="h", pid=7, ci_url="https://ci/1")
    assert str(ci) == "ann@h, process 7, https://ci/1"


def test_error_ends_with_its_hint() -> None:
    assert str(DeployGateError("no", hint="do this")) == "no\n  hint: do this"
    assert str(DeployGateError("no")) == "no"
    assert BuildFailed("no", hint="h", log_url="u").log_url == "u"
    assert str(BuildFailed("no", hint="h")) == "no\n  hint: h"
    assert str(BuildFailed("no")) == "no"
    assert str(Drifted("no", found="f", hint="h")) == "no\n  hint: h"
    assert TargetError("no").log_url == ""
    assert Drifted("no", found="f").found == "f"
    assert (Drifted("no", found="f").hint, Drifted("no", found="f", hint="h").hint) == ("", "h")


def test_error_can_be_told_by_its_representation() -> None:
    assert repr(DeployGateError("no", hint="h")) == "DeployGateError('no')"
    assert repr(Drifted("no", found="f")) == "Drifted('no')"


def test_exit_statuses_do_not_change() -> None:
    assert {s.name: int(s) for s in ExitStatus} == {
        "OK": 0,
        "FAILED": 1,
        "INTERRUPTED": 2,
        "USAGE": 4,
        "COULD_NOT_ACT": 10,
        "STRANDED": 11,
        "STEPPING": 12,
    }


def test_policy_finds_gates_by_phase_and_by_name() -> None:
    one, other = a_gate("one"), a_gate("other", phase=Phase.LIVE)
    policy = a_policy(one, other)
    assert policy.gates_of(Phase.CANDIDATE) == (one,)
    assert policy.gates_of(Phase.READINESS) == ()
    assert policy.gate("other") is other
    with pytest.raises(KeyError):
        policy.gate("none")


def test_gate_is_strict_unless_told_otherwise() -> None:
    gate = Gate(name="g", phase=Phase.LIVE)
    assert (gate.threshold, gate.weight) == (Fraction(1), Fraction(1))
    assert (gate.least_checks, gate.required) == (1, True)
    assert (gate.skips, gate.flaky) == (Leniency.FAIL, Leniency.FAIL)
    assert (gate.paths, gate.marker) == ((), "")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (EntryKind, "intent observed moved"),
        (Variant, "verification candidate"),
        (
            CheckState,
            "passed failed error skipped xfailed xpassed flaky crashed not_run known_defect defect_gone",
        ),
        (ReportOutcome, "passed failed skipped rerun"),
        (Outcome, "PASSED FAILED UNKNOWN"),
        (
            ReasonCode,
            """held nothing_to_deploy evidence_incomplete gate_unknown trigger_fired trigger_unknown
            gate_failed score_below_threshold worse_than_baseline step_undecided custom requested overridden
            interrupted stage_failed
            promote_failed drifted could_not_act rollback_unverified process_lost""",
        ),
        (Phase, "readiness candidate step live"),
        (Severity, "critical high medium low"),
        (Leniency, "fail allow"),
    ],
)
def test_words_of_settings_records_and_reports_do_not_change(kind: type[Enum], words: str) -> None:
    assert [word.value for word in kind] == words.split()


def test_tags_do_not_change() -> None:
    """Services keep these names from one release to the next."""
    assert OWN_TAGS == (
        "dg-cand",
        "dg-verify",
        "dg-base",
        "dg-live",
        "dg-prev",
        "dg-pver",
        "dg-drill",
    )
    assert TAGS_OF_SERVING == ("dg-live", "dg-prev", "dg-pver")


@pytest.mark.parametrize("comparison", list(Comparison))
def test_comparison_is_what_its_sign_says(comparison: Comparison) -> None:
    for left in (1, 2, 3):
        said = eval(f"{left} {comparison.value} 2")
        assert comparison.holds(Fraction(left), Fraction(2)) is said


def test_verification_revision_differs_in_the_named_variables() -> None:
    spec = FunctionSpec(
        function="f",
        project="p",
        region="r",
        runtime="python312",
        entry_point="f",
        source="/s",
        variables={"SHEET": "production", "A": "1"},
        verify_variables={"SHEET": "TEST"},
    )
    assert spec.variables_of(Variant.CANDIDATE) == {"SHEET": "production", "A": "1"}
    assert spec.variables_of(Variant.VERIFICATION) == {"SHEET": "TEST", "A": "1"}
    assert spec.has_verification
    assert not FunctionSpec(
        function="f", project="p", region="r", runtime="x", entry_point="f", source="/s"
    ).has_verification


def test_baseline_is_what_serves_alone() -> None:
    a, b = RevisionName("a"), RevisionName("b")
    assert Snapshot(exists=True, serving=Traffic.of({a: 100})).baseline == a
    assert Snapshot(exists=True, serving=Traffic.of({a: 50, b: 50})).baseline is None
    assert Snapshot(exists=False).baseline is None


DIGEST, CONFIG = "d" * 64, "c" * 64
SERVES = Snapshot(
    exists=True,
    serving=Traffic.of({RevisionName("a"): 100}),
    rollout_labels=RolloutLabels(
        baseline=RevisionName("a"), digest=DIGEST[:63], config=CONFIG[:63]
    ),
)


def test_service_remembers_what_was_judged_good_and_what_it_came_of() -> None:
    """A label has 63 characters, one less than a digest."""
    assert SERVES.is_marked_good
    assert SERVES.is_release(DIGEST, CONFIG)
    assert not SERVES.is_release("e" + DIGEST[1:], CONFIG)
    assert not SERVES.is_release(DIGEST, "e" + CONFIG[1:])


@pytest.mark.parametrize(
    "other",
    [
        SERVES._replace(rollout_labels=SERVES.rollout_labels._replace(rollout=RolloutId("r"))),
        SERVES._replace(rollout_labels=SERVES.rollout_labels._replace(baseline=RevisionName("b"))),
        SERVES._replace(rollout_labels=SERVES.rollout_labels._replace(baseline=None)),
        SERVES._replace(serving=Traffic.of({RevisionName("b"): 100})),
        SERVES._replace(serving=Traffic.of({RevisionName("a"): 50, RevisionName("b"): 50})),
        SERVES._replace(
            serving=Traffic.of({}), rollout_labels=SERVES.rollout_labels._replace(baseline=None)
        ),
    ],
)
def test_what_serves_is_no_release_unless_it_is_the_one_that_was_judged_good(
    other: Snapshot,
) -> None:
    assert not other.is_marked_good
    assert not other.is_release(DIGEST, CONFIG)


RECORD = RolloutRecord(
    rollout_id=RolloutId("r"),
    environment=EnvironmentName("e"),
    purpose="deploy",
    actor=Actor(user="u", host="h", pid=1),
    began_at=datetime(2026, 11, 20, 12, tzinfo=UTC),
    state=State.OPEN,
)


def test_record_is_open_until_it_ended() -> None:
    assert RECORD.is_open
    assert not RECORD._replace(ended_at=RECORD.began_at).is_open


def test_record_says_to_the_millisecond_how_long_the_rollout_took() -> None:
    assert RECORD.duration_s is None
    ended = RECORD._replace(ended_at=RECORD.began_at + timedelta(seconds=61, microseconds=234567))
    assert ended.duration_s == 61.235


def test_score_of_a_record_is_that_of_the_last_phase_that_was_judged() -> None:
    assert RECORD.score is None
    scores = {Phase.CANDIDATE: Fraction(3, 4), Phase.READINESS: Fraction(1)}
    assert RECORD._replace(scores=scores).score == Fraction(3, 4)


def test_failures_of_a_record_are_those_notes_that_tell_of_checks() -> None:
    notes = {"failure.a.py::test_a": "a.py:1: boom", "postings": "none"}
    assert RECORD._replace(notes=notes).failures == {"a.py::test_a": "a.py:1: boom"}
