"""Spans are made of what was recorded: each at its place, with what failed."""

import itertools
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from pytest_deploygate.core.evidence import CheckState
from pytest_deploygate.core.identifiers import Actor, EnvironmentName, RevisionName, RolloutId
from pytest_deploygate.core.record import (
    EffectFailure,
    EntryKind,
    JournalEntry,
    RecordedStep,
    RolloutRecord,
    StepDetails,
)
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.core.trace_context import TraceContext
from pytest_deploygate.telemetry.otlp_sdk import own_resource
from pytest_deploygate.telemetry.spans import (
    CheckRun,
    PhaseRun,
    PlatformCall,
    SpanData,
    nanoseconds,
    spans_inside,
    spans_of_rollout,
)
from pytest_deploygate.telemetry.trace_document import read_trace_document, trace_document

BEGAN = datetime(2026, 11, 28, 8, tzinfo=UTC)
ROOT = TraceContext("a" * 32, "b" * 16)
PHASE = ROOT.child("phase 0 candidate")
RECORD = RolloutRecord(
    rollout_id=RolloutId("r-1"),
    environment=EnvironmentName("production"),
    purpose="deploy",
    actor=Actor(user="ada", host="ci", pid=7),
    began_at=BEGAN,
    ended_at=BEGAN + timedelta(seconds=100),
    state=State.ROLLED_BACK,
    candidate=RevisionName("svc-2"),
    reason_code="step_failed",
    reason="more errors than the baseline",
    steps=(RecordedStep(10, "abort", "more errors than the baseline", 20.0, 40, 400),),
)


def at(second: float) -> datetime:
    return BEGAN + timedelta(seconds=second)


def ns(second: float) -> int:
    return nanoseconds(at(second))


def phase_run(*, holds: bool | None, checks: tuple[CheckRun, ...] = ()) -> PhaseRun:
    return PhaseRun("candidate", PHASE, ns(21), ns(29), holds, checks=checks)


def journal(*lines: tuple[float, EntryKind, str, State, StepDetails]) -> tuple[JournalEntry, ...]:
    numbers = itertools.count(1)
    return tuple(
        JournalEntry(next(numbers), at(second), kind, name, state, details)
        for second, kind, name, state, details in lines
    )


def moved(
    second: float, name: str, state: State, **notes: str
) -> tuple[float, EntryKind, str, State, StepDetails]:
    return second, EntryKind.MOVED, name, state, StepDetails(notes=notes)


def made(
    entries: Iterable[JournalEntry],
    *,
    phases: Iterable[PhaseRun] = (),
    calls: Iterable[PlatformCall] = (),
) -> Mapping[str, SpanData]:
    phases, calls = tuple(phases), tuple(calls)
    around = spans_of_rollout(
        RECORD, entries, ROOT, "c" * 16, phases=phases, calls=calls, now_ns=ns(200)
    )
    found = [*around, *spans_inside(around, ROOT, phases, calls)]
    assert len({one.span_id for one in found}) == len(found)
    return {one.name: one for one in found}


ENTRIES = journal(
    moved(5, "ready", State.STAGING),
    (6, EntryKind.INTENT, "upload", State.STAGING, StepDetails()),
    (8, EntryKind.OBSERVED, "upload", State.STAGING, StepDetails(notes={"source": "gs://b/o"})),
    (9, EntryKind.INTENT, "deploy", State.STAGING, StepDetails()),
    (
        *(19.0, EntryKind.OBSERVED, "deploy", State.STAGING),
        StepDetails(operation="op-1", revision=RevisionName("svc-2")),
    ),
    moved(20, "staged", State.STAGED),
    moved(30, "candidate_held", State.PROMOTING),
    moved(40, "step_shifted", State.STEPPING, percent="10"),
    moved(60, "broke", State.ROLLING_BACK),
    (61, EntryKind.INTENT, "restore", State.ROLLING_BACK, StepDetails()),
    (
        *(65.0, EntryKind.OBSERVED, "restore", State.ROLLING_BACK),
        StepDetails(
            failure=EffectFailure.NOT_APPLIED,
            notes={"error": "Drifted", "message": "somebody moved it"},
        ),
    ),
    (70, EntryKind.INTENT, "restore", State.ROLLING_BACK, StepDetails()),
    moved(90, "restored", State.ROLLED_BACK),
)


def test_journal_becomes_spans_below_the_job() -> None:
    found = made(ENTRIES[:-2])
    root = found["deploy production"]
    assert (root.span_id, root.parent_id) == (ROOT.span_id, "c" * 16)
    assert (root.began_ns, root.ended_ns) == (ns(0), ns(100))
    assert root.error == "more errors than the baseline"
    assert root.attributes["deployment.status"] == "failed"
    assert root.events[0] == ("ready: STAGING", ns(5))
    stage, upload, deploy = found["staging"], found["upload"], found["deploy"]
    assert (stage.parent_id, stage.began_ns, stage.ended_ns) == (root.span_id, ns(5), ns(20))
    assert upload.parent_id == deploy.parent_id == stage.span_id
    assert (deploy.began_ns, deploy.ended_ns) == (ns(9), ns(19))
    assert deploy.attributes == {"deploygate.operation": "op-1", "deploygate.revision": "svc-2"}
    assert upload.attributes == {"deploygate.source": "gs://b/o"}
    step = found["step 10 %"]
    assert (step.began_ns, step.ended_ns) == (ns(40), ns(60))
    assert step.error == "more errors than the baseline"
    assert step.attributes["deploygate.step.candidate_requests"] == 40
    back, restore = found["rolling back"], found["restore"]
    assert (back.error, back.ended_ns) == (None, ns(100))
    assert restore.parent_id == back.span_id
    assert restore.error == "somebody moved it"
    assert restore.attributes == {"deploygate.error": "Drifted"}


def test_effect_whose_end_was_not_recorded_lasts_to_the_end() -> None:
    cut = made(ENTRIES[:4])["deploy"]
    assert (cut.error, cut.ended_ns) == ("its end was not recorded", ns(100))


def test_same_effect_twice_is_two_spans() -> None:
    found = list(spans_of_rollout(RECORD, ENTRIES, ROOT, "", now_ns=0))
    first, second = (one for one in found if one.name == "restore")
    assert first.span_id != second.span_id
    assert second.error == "its end was not recorded"


@pytest.mark.parametrize(
    ("state", "status", "error"),
    [
        (CheckState.PASSED, "pass", None),
        (CheckState.FAILED, "fail", "assert 1 == 2"),
        (CheckState.SKIPPED, None, None),
        (CheckState.KNOWN_DEFECT, None, None),
    ],
)
def test_check_is_below_its_phase(state: CheckState, status: str | None, error: str | None) -> None:
    why = "assert 1 == 2" if state is CheckState.FAILED else ""
    run = CheckRun("t.py::test", "health", state, ns(22), ns(23), why)
    found = made((), phases=[phase_run(holds=True, checks=(run,))])
    check, phase = found["t.py::test"], found["phase candidate"]
    assert (check.parent_id, phase.parent_id) == (phase.span_id, ROOT.span_id)
    assert check.span_id == PHASE.child("t.py::test").span_id
    assert check.attributes.get("test.case.result.status") == status
    assert (check.error, phase.error) == (error, None)


def test_check_whose_process_died_and_phase_that_was_cut_short_have_failed() -> None:
    run = CheckRun("t", "health", CheckState.CRASHED, ns(22), 0)
    found = made((), phases=[phase_run(holds=None, checks=(run,))])
    assert (found["t"].error, found["t"].ended_ns) == ("crashed", ns(29))
    assert found["phase candidate"].error == "it was cut short"


def test_call_is_in_the_innermost_span_of_its_time() -> None:
    calls = [
        PlatformCall("reading before the rollout", "ok", ns(-2), ns(-1)),
        PlatformCall("uploading", "ok", ns(6.5), ns(7)),
        PlatformCall("asking", "TargetUnavailable", ns(19.2), ns(19.4)),
        PlatformCall("measuring", "ok", ns(22), ns(23)),
    ]
    found = made(ENTRIES, calls=calls, phases=[phase_run(holds=True)])
    assert found["deploy production"].began_ns == ns(-2)
    assert found["reading before the rollout"].parent_id == ROOT.span_id
    assert found["uploading"].parent_id == found["upload"].span_id
    assert found["asking"].parent_id == found["staging"].span_id
    assert found["asking"].error == "TargetUnavailable"
    assert found["measuring"].parent_id == found["phase candidate"].span_id
    assert all(found[call.doing].is_call for call in calls)


def test_rollout_that_has_not_ended_lasts_until_now() -> None:
    record = RECORD._replace(ended_at=None, state=State.STRANDED, reason="")
    (root,) = spans_of_rollout(record, (), ROOT, "", now_ns=ns(150))
    assert (root.ended_ns, root.error) == (ns(150), "STRANDED")


@pytest.mark.parametrize(
    ("purpose", "code", "status"),
    [
        ("rollback", "requested", "succeeded"),
        ("drill", "requested", "succeeded"),
        ("drill", "could_not_act", "failed"),
        ("rollback-checks", "gate_failed", "failed"),
    ],
)
def test_rollback_that_was_asked_for_succeeded(purpose: str, code: str, status: str) -> None:
    record = RECORD._replace(purpose=purpose, reason_code=code)
    (root,) = spans_of_rollout(record, (), ROOT, "", now_ns=0)
    assert root.attributes["deployment.status"] == status
    assert (root.error is None) is (status == "succeeded")


def test_sender_makes_the_same_spans_with_every_text_masked() -> None:
    secret = "hunter2-is-a-secret"
    run = CheckRun(f"t.py::test[{secret}]", "health", CheckState.FAILED, ns(22), ns(23), secret)
    phases = (phase_run(holds=False, checks=(run,))._replace(reason=f"no {secret}"),)
    calls = (PlatformCall(f"reading {secret}", "ok", ns(7), ns(6)),)
    around = spans_of_rollout(RECORD, ENTRIES, ROOT, "", phases=phases, calls=calls, now_ns=0)
    document = json.loads(json.dumps(trace_document(around, ROOT, phases, calls, [secret])))
    told = list(read_trace_document(document))
    expected = [*around, *spans_inside(around, ROOT, phases, calls)]
    assert secret not in json.dumps(told)
    assert [one["span_id"] for one in told] == [one.span_id for one in expected]
    assert [one["parent_id"] for one in told] == [one.parent_id for one in expected]
    assert told[0] == around[0].as_json()
    check, call = told[-2:]
    assert (check["name"], check["error"]) == ("t.py::test[***]", "***")
    assert check["attributes"]["deploygate.check_state"] == "failed"
    assert (call["name"], call["began_ns"], call["ended_ns"]) == ("reading ***", ns(7), ns(7))


def test_variables_of_the_sdk_name_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(name, raising=False)
    assert own_resource().attributes["service.name"] == "pytest-deploygate"
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop,team=payments")
    named = own_resource().attributes
    assert (named["service.name"], named["team"]) == ("shop", "payments")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "checkout")
    assert own_resource().attributes["service.name"] == "checkout"
