"""The judge's memory of what was seen: only a whole and orderly story of a check is a pass."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_deploygate.channel.messages import (
    AttemptEnded,
    Began,
    Bye,
    Collected,
    CollectedCheck,
    Doubt,
    Hello,
    Measured,
    Message,
    Part,
    Passed,
)
from pytest_deploygate.core.evidence import CheckState
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.verdict import judge_phase
from pytest_deploygate.judge.evidence_ledger import EvidenceLedger
from tests.core.policy_factory import a_gate, a_policy

NAMES = ("g/test_g.py::one", "g/test_g.py::two", "g/test_g.py::three")
CHECKS = tuple(CollectedCheck(n, "/root/g/test_g.py", (), "") for n in NAMES)
POLICY = a_policy(a_gate("g", threshold="1"))
HELLO = Hello("session", 10, "", "/root", 0, ())
HONEST: list[Message] = [
    HELLO,
    Collected(CHECKS, ()),
    *(message for number in range(3) for message in (Began(number), Passed(number))),
    Bye(0),
]
PARTS = tuple(Part(when, "passed", False, False) for when in ("setup", "call", "teardown"))


def ledger() -> EvidenceLedger:
    made = EvidenceLedger(POLICY, Path("/root"))
    made.running_phase = Phase.CANDIDATE
    return made


def told(*messages: Message, pid: int = 10) -> EvidenceLedger:
    made = ledger()
    for message in messages:
        made.hear(1, pid, message)
    made.hear_end(1, pid)
    return made


def holds(made: EvidenceLedger) -> bool:
    return judge_phase(POLICY, made.evidence(Phase.CANDIDATE)).holds


def test_honest_story_holds() -> None:
    made = told(*HONEST)
    assert holds(made)
    assert [made.state_of(name) for name in NAMES] == [CheckState.PASSED] * 3


def test_runs_have_what_began_in_its_order_with_its_end() -> None:
    failed = AttemptEnded(
        0, (*PARTS[:1], Part("call", "failed", False, False), PARTS[2]), (), {}, "why"
    )
    made = told(HELLO, Collected(CHECKS, ()), Began(0), failed, Began(1))
    first, second = made.take_runs()
    assert made.take_runs() == ()
    assert (first.nodeid, first.gate) == (NAMES[0], "g")
    assert (first.state, first.failure) == (CheckState.FAILED, "why")
    assert 0 < first.began_ns <= first.ended_ns <= second.began_ns
    assert (second.nodeid, second.state, second.ended_ns) == (NAMES[1], CheckState.CRASHED, 0)


@given(st.data())
@settings(max_examples=300)
def test_story_with_anything_lost_repeated_or_out_of_order_never_holds(data: st.DataObject) -> None:
    story = list(HONEST)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(
            st.integers(0, len(story) - 2)
        )  # whether the session says good-bye is its own affair
        match data.draw(st.sampled_from(["lose", "repeat", "swap", "replace"])):
            case "lose":
                del story[at]
            case "repeat":
                story.insert(at, story[at])
            case "swap":
                other = data.draw(st.integers(0, len(story) - 2))
                story[at], story[other] = story[other], story[at]
            case _:
                others: list[Message] = [Began(0), Passed(1), Passed(9), Doubt("odd", ""), HELLO]
                story[at] = data.draw(st.sampled_from(others))
    made = told(*story)
    assert story == HONEST or not holds(made) or is_harmless(story)


def is_harmless(story: list[Message]) -> bool:
    """A story that tells of each check once and whole, though in another order of checks."""
    pairs = story[2:-1]
    begins = [m.check for m in pairs if isinstance(m, Began)]
    ends = [m.check for m in pairs if isinstance(m, Passed)]
    return (
        story[0] == HELLO
        and isinstance(story[1], Collected)
        and len(pairs) == 6
        and begins == ends
        and sorted(begins) == [0, 1, 2]
        and all(isinstance(m, Began) for m in pairs[::2])
    )


def test_check_is_told_by_one_process_alone() -> None:
    made = told(*HONEST[:-1])
    made.hear(2, 11, Hello("worker", 11, "gw0", "/root", 0, ()))
    made.hear(2, 11, Collected(CHECKS, ()))
    made.hear(2, 11, Began(0))
    made.hear(2, 11, Passed(0))
    assert f"{NAMES[0]} was told by two processes" in made.doubts
    assert not holds(made)


def test_process_is_the_one_that_it_claims_to_be() -> None:
    made = told(*HONEST, pid=77)
    assert made.doubts == ("process 77 is not the process that it claims to be",)


def test_check_that_runs_while_its_process_dies_has_crashed() -> None:
    made = told(HELLO, Collected(CHECKS, ()), Began(0), Passed(0), Began(1))
    assert [made.state_of(n) for n in NAMES] == [
        CheckState.PASSED,
        CheckState.CRASHED,
        CheckState.NOT_RUN,
    ]


def test_worker_that_says_no_goodbye_has_died() -> None:
    made = ledger()
    made.hear(2, 11, Hello("worker", 11, "gw0", "/root", 0, ()))
    made.hear_end(2, 11)
    assert made.doubts == ("worker gw0 died",)


def test_second_attempt_is_no_plain_pass() -> None:
    failed = tuple(
        Part(when, "failed" if when == "call" else "passed", False, False)
        for when in ("setup", "call", "teardown")
    )
    made = told(
        HELLO,
        Collected(CHECKS, ()),
        Began(0),
        AttemptEnded(0, failed, (), {}),
        Began(0),
        Passed(0),
        Bye(0),
    )
    assert made.state_of(NAMES[0]) is CheckState.FLAKY
    assert made.doubts == ()


def test_check_outside_of_its_phase_is_a_doubt() -> None:
    made = ledger()
    made.running_phase = Phase.LIVE
    for message in HONEST[:4]:
        made.hear(1, 10, message)
    assert made.doubts == (f"{NAMES[0]} ran outside of the candidate phase",)


def test_worker_with_other_checks_is_a_doubt() -> None:
    made = ledger()
    made.hear(1, 10, Hello("worker", 10, "gw0", "/root", 0, ()))
    made.hear(1, 10, Collected(CHECKS, ()))
    made.hear(2, 11, Hello("worker", 11, "gw1", "/root", 0, ()))
    made.hear(2, 11, Collected(CHECKS[:2], ()))
    assert made.doubts == ("worker gw1 collected different checks",)


def test_interpreter_without_assertions_is_a_doubt() -> None:
    made = ledger()
    made.hear(1, 10, Hello("worker", 10, "gw0", "/root", 1, ()))
    assert made.doubts == ("assert statements do not run in worker gw0: PYTHONOPTIMIZE or -O",)


def test_measurement_that_is_no_number_is_a_doubt() -> None:
    made = told(
        HELLO,
        Collected(CHECKS, ()),
        Began(0),
        AttemptEnded(0, PARTS, (Measured("accuracy_score", float("nan"), ""),), {}),
        Bye(0),
    )
    assert "accuracy_score" in made.doubts[0]


@pytest.mark.parametrize("number", [-1, 3])
def test_check_that_was_not_collected_is_a_doubt(number: int) -> None:
    made = told(HELLO, Collected(CHECKS, ()), Began(number), Passed(number), Bye(0))
    assert made.doubts[0] == "the session ran a test that it had not collected"


def test_stranger_that_says_nothing_is_a_doubt() -> None:
    made = ledger()
    made.hear_end(5, 99)
    assert made.doubts == ("process 99 opened the channel and said nothing",)


@pytest.mark.parametrize(
    ("defect", "state"),
    [
        ("until 2026-12-31: ticket 7", CheckState.KNOWN_DEFECT),
        ("until 2026-12-30: ticket 7", CheckState.XFAILED),
        ("until 2026-02-31: ticket 7", CheckState.XFAILED),
        ("until further notice", CheckState.XFAILED),
        ("until 2027-01-01: ", CheckState.XFAILED),
        ("", CheckState.XFAILED),
    ],
)
def test_known_defect_counts_until_its_day_by_the_judges_own_clock(
    defect: str, state: CheckState
) -> None:
    made = EvidenceLedger(POLICY, Path("/root"), today=lambda: date(2026, 12, 31))
    made.running_phase = Phase.CANDIDATE
    parts = (PARTS[0], Part("call", "skipped", True, False), PARTS[2])
    for message in (
        HELLO,
        Collected((CHECKS[0]._replace(defect=defect),), ()),
        Began(0),
        AttemptEnded(0, parts, (), {}, ""),
    ):
        made.hear(1, 10, message)
    assert made.state_of(NAMES[0]) is state
    assert bool(made.known_defects) is (state is CheckState.KNOWN_DEFECT)


def test_answers_of_the_judged_revisions_are_counted_by_gate() -> None:
    made = told(
        HELLO,
        Collected(CHECKS, ()),
        Began(0),
        AttemptEnded(0, PARTS, (), {"candidate": 2}),
        Began(1),
        AttemptEnded(1, PARTS, (), {"verification": 1, "live": 1, "before": 7}),
    )
    assert made.evidence(Phase.CANDIDATE).answers == {"g": 3}


def test_process_that_claims_to_be_a_worker_of_a_session_without_any_is_a_doubt() -> None:
    made = told(*HONEST)
    made.hear(2, 11, Hello("worker", 11, "gw0", "/root", 0, ()))
    assert made.doubts == (
        "process 11 claims to be a worker, but the session runs its checks itself",
    )
    assert not holds(made)


def test_check_of_another_step_is_a_doubt_and_counts_at_its_own_step_alone() -> None:
    policy = a_policy(a_gate("g", phase=Phase.STEP))
    names = ("g/test_g.py::one[5%]", "g/test_g.py::one[25%]")
    checks = tuple(
        CollectedCheck(name, "/root/g/test_g.py", (), "", step)
        for name, step in zip(names, (5, 25), strict=True)
    )
    made = EvidenceLedger(policy, Path("/root"))
    made.hear(1, 10, HELLO)
    made.hear(1, 10, Collected(checks, ()))
    made.running_phase, made.step = Phase.STEP, 5
    made.hear(1, 10, Began(0))
    made.hear(1, 10, Passed(0))
    assert made.evidence(Phase.STEP).checks == {"g": ((names[0], CheckState.PASSED),)}
    assert not made.doubts
    assert made.take_not_run(Phase.STEP) == (names[1],)
    made.hear(1, 10, Began(1))
    assert made.doubts == (f"{names[1]} ran at the step of 5 %",)
