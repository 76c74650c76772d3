"""Every lie, in one process and with workers: the baseline serves, and the record says what happened."""

from importlib.util import find_spec

import pytest

from tests.plugin.false_green import IN_PROCESS, WORKERS, Lie
from tests.plugin.false_greens import LIES
from tests.plugin.plugin_project import LIE, SETTINGS, Project, Run

ROWS = [
    pytest.param(
        lie, workers, id=f"{lie.name}-n{workers}", marks=[pytest.mark.slow] if workers else []
    )
    for lie in LIES
    for workers in lie.workers
    if workers == IN_PROCESS or not lie.is_sociable
]


@pytest.mark.parametrize(("lie", "workers"), ROWS)
def test_lie_does_not_promote(lie: Lie, workers: int, project: Project, before: str) -> None:
    if lie.needs == "pytest 9":
        if pytest.version_tuple < (9,):
            pytest.skip("an option of pytest 9")
    elif lie.needs and find_spec(lie.needs) is None:
        pytest.skip(f"{lie.needs} is not installed")
    project.write(lie.files)
    project.write({"pyproject.toml": SETTINGS.replace(*lie.settings)})
    run = project.deploy(*lie.args, workers=workers, env=lie.env)
    assert run.serving == before, run.output
    assert run.status in lie.statuses, run.output
    check_record(lie, run)
    state = run.record.state.value if run.record is not None else "REFUSED"
    check_junit(lie, run, state, before)


def check_record(lie: Lie, run: Run) -> None:
    """What the ledger says."""
    if lie.is_recorded is not None:
        assert (run.record is not None) is lie.is_recorded, run.output
    if run.record is None:
        return
    assert run.record.state.value in ([lie.state] if lie.state else ["REFUSED", "ROLLED_BACK"])
    assert run.record.reason_code in lie.reasons, run.output
    states = lie.checks or (lie.check,)
    if any(states):
        assert run.state_of(lie.node) in states, run.record.facts


def check_junit(lie: Lie | None, run: Run, state: str, baseline: str) -> None:
    """What CI reads."""
    assert run.said("verdict") in ("ROLL_BACK", "REFUSE"), run.output
    assert run.said("state") == state
    assert run.said("reason")
    assert lie is None or lie.says in run.said("reason"), run.said("reason")
    if run.record is not None:
        assert run.said("reason_code") == run.record.reason_code
        assert run.said("rollout_id") == run.record.rollout_id
        assert run.said("serving_revision") == baseline
    for case in run.cases:
        gates = [v for n, v in run.properties_of(case) if n == "deploygate.gate"]
        if case.name and str(case.name).startswith("test_"):
            assert len(gates) == 1, f"{case.name}: {gates}"


def test_lies_told_by_one_check_each_are_seen_through_with_workers(
    project: Project, before: str
) -> None:
    """Each comes to a state that is no pass, so that each would do in a gate that must be whole."""
    told = [lie for lie in LIES if lie.is_sociable and WORKERS in lie.workers]
    assert len(told) > 30
    files = {lie.name: f"gates/cand/test_lie_{i}.py" for i, lie in enumerate(told)}
    project.write({files[lie.name]: lie.files[LIE] for lie in told})
    run = project.deploy(workers=WORKERS)
    assert (run.status, run.serving) == (1, before), run.output
    found = {lie.name: run.state_of(lie.node.replace(LIE, files[lie.name])) for lie in told}
    assert {n: s for n, s in found.items() if s not in states_of(told, n)} == {}
    check_junit(None, run, "ROLLED_BACK", before)


def states_of(lies: list[Lie], name: str) -> tuple[str, ...]:
    [lie] = [lie for lie in lies if lie.name == name]
    return lie.checks or (lie.check,)
