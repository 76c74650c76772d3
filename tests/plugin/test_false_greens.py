"""Every false green, in one process and with workers: the baseline serves, and the record says what happened.

By default the first of each kind by itself, by turns in one process and with a worker (two where it needs several), and
all that concern only their own check together in one session of either; ``tox -e full`` tries each by itself, both ways
(``DEPLOYGATE_FALSE_GREENS=all``).
"""

import os
from importlib.util import find_spec

import pytest

from pytest_deploygate.testing import DeploygateProject, SessionOutcome
from tests.plugin.false_green import IN_PROCESS, WORKERS, FalseGreen
from tests.plugin.false_greens import FALSE_GREENS, KINDS
from tests.plugin.plugin_project import SETTINGS, SUBJECT

IS_ALL = os.environ.get("DEPLOYGATE_FALSE_GREENS", "") == "all"


def first_of_each_kind() -> dict[str, int]:
    """How many workers each case is tried with, by name; of those that are not tried with others in one session."""
    found: dict[str, int] = {}
    for turn, kind in enumerate(KINDS):
        alone = [case for case in kind if not case.is_sociable]
        for workers in ((IN_PROCESS, WORKERS), (WORKERS, IN_PROCESS))[turn % 2]:
            fit = [case for case in alone if workers in case.workers]
            if fit:
                found[fit[0].name] = workers
                break
    return found


def workers_for(case: FalseGreen, workers: int) -> int:
    """How many are started: what happens in one worker happens in each."""
    is_of_workers = case.workers == (WORKERS,)
    return workers if IS_ALL or is_of_workers else min(workers, 1)


FIRST = first_of_each_kind()
ROWS = [
    pytest.param(
        case, started, id=f"{case.name}-n{started}", marks=[pytest.mark.slow] if started else []
    )
    for case in FALSE_GREENS
    for workers in case.workers
    if workers == IN_PROCESS or not case.is_sociable
    if IS_ALL or FIRST.get(case.name) == workers
    for started in [workers_for(case, workers)]
]


@pytest.mark.parametrize(("case", "workers"), ROWS)
def test_false_green_does_not_promote(
    case: FalseGreen, workers: int, project: DeploygateProject, before: str
) -> None:
    if case.needs == "pytest 9":
        if pytest.version_tuple < (9,):
            pytest.skip("an option of pytest 9")
    elif case.needs and find_spec(case.needs) is None:
        pytest.skip(f"{case.needs} is not installed")
    project.write(case.programs)
    project.write({"pyproject.toml": SETTINGS.replace(*case.settings)})
    # whatever is staged must not be stopped before by other checks than at the last promotion
    meant = ("--deploy-reason=these checks are meant",) if case.state == "ROLLED_BACK" else ()
    run = project.deploy(*meant, *case.args, workers=workers, **case.env)
    assert run.serving == before, run.output
    assert run.status in case.statuses, run.output
    check_record(case, run)
    state = run.record.state.value if run.record is not None else "REFUSED"
    check_junit(case, run, state, before)


def check_record(case: FalseGreen, run: SessionOutcome) -> None:
    """What the ledger says."""
    if case.is_recorded is not None:
        assert (run.record is not None) is case.is_recorded, run.output
    if run.record is None:
        return
    assert run.record.state.value in ([case.state] if case.state else ["REFUSED", "ROLLED_BACK"])
    assert run.record.reason_code in case.reasons, run.output
    states = case.checks or (case.check,)
    if any(states):
        assert run.state_of(case.node) in states, run.record.not_passed


def check_junit(case: FalseGreen | None, run: SessionOutcome, state: str, baseline: str) -> None:
    """What CI reads."""
    assert run.property("verdict") in ("ROLL_BACK", "REFUSE"), run.output
    assert run.property("state") == state
    assert run.property("reason")
    assert run.verdict_case is not None
    assert run.verdict_case.results
    assert case is None or case.says in run.property("reason"), run.property("reason")
    if run.record is not None:
        assert run.property("reason_code") == run.record.reason_code
        assert run.property("rollout_id") == run.record.rollout_id
        assert run.property("serving_revision") == baseline
    for found in run.cases:
        gates = [v for n, v in found.properties if n == "deploygate.gate"]
        if found.name.startswith("test_"):
            assert len(gates) == 1, f"{found.name}: {gates}"


@pytest.mark.parametrize("workers", [IN_PROCESS, WORKERS])
def test_false_greens_of_one_check_each_are_seen_through_together(
    project: DeploygateProject, before: str, workers: int
) -> None:
    """Each comes to a state that is no pass, so that each would do in a gate that must be whole."""
    told = [case for case in FALSE_GREENS if case.is_sociable and workers in case.workers]
    assert len(told) > 30
    files = {case.name: f"gates/cand/test_subject_{i}.py" for i, case in enumerate(told)}
    project.write({files[case.name]: case.programs[SUBJECT] for case in told})
    run = project.deploy(workers=workers)
    assert (run.status, run.serving) == (1, before), run.output
    found = {case.name: run.state_of(case.node.replace(SUBJECT, files[case.name])) for case in told}
    assert {n: s for n, s in found.items() if s not in states_of(told, n)} == {}
    check_junit(None, run, "ROLLED_BACK", before)


def states_of(cases: list[FalseGreen], name: str) -> tuple[str, ...]:
    [case] = [case for case in cases if case.name == name]
    return case.checks or (case.check,)
