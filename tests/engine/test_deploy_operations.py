"""Which deployments a rollout started, as its journal tells a process that comes later."""

from datetime import UTC, datetime

import pytest

from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.record import EffectFailure, EntryKind, JournalEntry, StepDetails
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.engine.deploy_operations import StartedOperation, started_operations

REVISION = RevisionName("svc-00002")
INTENT = (EntryKind.INTENT, "begin_release", StepDetails())
BEGUN = (EntryKind.OBSERVED, "begin_release", StepDetails(operation="operations/7"))
READY = (EntryKind.OBSERVED, "await_release", StepDetails(revision=REVISION))


def failed(name: str, failure: EffectFailure) -> tuple[EntryKind, str, StepDetails]:
    return (EntryKind.OBSERVED, name, StepDetails(failure=failure))


@pytest.mark.parametrize(
    ("entries", "known"),
    [
        pytest.param([INTENT], ("", None), id="died before it learned the name"),
        pytest.param([INTENT, BEGUN], ("operations/7", None), id="begun"),
        pytest.param([INTENT, BEGUN, READY], ("operations/7", REVISION), id="ready"),
        pytest.param([READY], ("", REVISION), id="entries before it are missing"),
        pytest.param(
            [INTENT, failed("begin_release", EffectFailure.UNKNOWN)], ("", None), id="no answer"
        ),
        pytest.param(
            [INTENT, failed("begin_release", EffectFailure.NOT_APPLIED)], None, id="not accepted"
        ),
        pytest.param(
            [INTENT, BEGUN, failed("await_release", EffectFailure.ENDED)], None, id="ended badly"
        ),
    ],
)
def test_started_deployment_is_known_unless_the_platform_has_none(
    entries: list[tuple[EntryKind, str, StepDetails]],
    known: tuple[str, RevisionName | None] | None,
) -> None:
    at = datetime(2026, 11, 28, tzinfo=UTC)
    journal = [
        JournalEntry(number, at, kind, name, State.STAGING, details)
        for number, (kind, name, details) in enumerate(entries)
    ]
    expected = (
        {}
        if known is None
        else {"release": StartedOperation(operation=known[0], revision=known[1])}
    )
    assert started_operations(journal) == expected
