"""Verification variants: staged beside the verification revision, held to the same build, gone at every end."""

import pytest

from pytest_deploygate.core.errors import StartFailed, TargetRefused
from pytest_deploygate.core.function_spec import Variant
from pytest_deploygate.core.identifiers import RevisionName, VariantName
from pytest_deploygate.core.record import EntryKind
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.engine.rollout import Rollout
from tests.engine.simulation import Scenario, Simulation
from tests.engine.test_guards import BAD, GOOD, observed
from tests.fakes import FakeCloud, Fault, a_spec

SCENARIO = Scenario(name="second", verify=True, variants=("unwritable", "slow"))
UNWRITABLE, SLOW = VariantName("unwritable"), VariantName("slow")


def staged(simulation: Simulation) -> Rollout:
    """A rollout whose revisions are there."""
    rollout = observed(simulation)
    rollout.stage()
    return rollout


def sheet(simulation: Simulation, name: RevisionName | None) -> str:
    """Where a revision writes."""
    assert name is not None
    return simulation.cloud.existing().revisions[name].variables["SHEET"]


def test_all_revisions_are_asked_for_before_any_is_awaited_and_the_candidate_last() -> None:
    simulation = Simulation(SCENARIO)
    rollout = staged(simulation)
    calls = [c for c in simulation.faults.calls if c.endswith(("add_revision", "await_revision"))]
    assert calls == ["target.add_revision"] * 4 + ["target.await_revision"] * 4
    assert simulation.faults.calls.count("target.begin_release") == 1
    assert simulation.cloud.existing().latest_created == rollout.record.candidate


def test_variants_have_a_url_each_and_the_record_says_in_what_they_differ() -> None:
    simulation = Simulation(SCENARIO)
    rollout = staged(simulation)
    assert rollout.staged is not None
    found = {name: sheet(simulation, v.revision) for name, v in rollout.staged.variants.items()}
    assert found == {UNWRITABLE: "unwritable", SLOW: "slow"}
    for name, variant in rollout.staged.variants.items():
        assert simulation.cloud.answer(variant.url) == variant.revision
        assert rollout.record.variants[name] == variant.revision
    assert rollout.record.build is not None
    assert rollout.record.build.variants_differ_in == {UNWRITABLE: ("SHEET",), SLOW: ("SHEET",)}
    assert sheet(simulation, rollout.record.verification) == "test"
    named = [
        e.details.notes["name"]
        for e in simulation.store.peek_journal(rollout.record.rollout_id)
        if e.kind is EntryKind.INTENT and e.name == "add_variant"
    ]
    assert named == [UNWRITABLE, SLOW]


def test_variants_are_there_until_the_release_was_judged_and_not_kept_afterwards() -> None:
    simulation = Simulation(SCENARIO)
    rollout = staged(simulation)
    rollout.promote()
    assert {"dg-v-unwritable", "dg-v-slow"} <= set(dict(simulation.cloud.peek().traffic.tags))
    rollout.finalise(GOOD)
    assert set(dict(simulation.cloud.peek().traffic.tags)) == {"dg-live", "dg-prev"}
    assert simulation.cloud.serving().sole == rollout.record.candidate


def test_variants_are_not_reachable_after_a_rollback() -> None:
    simulation = Simulation(SCENARIO)
    rollout = staged(simulation)
    rollout.abort(BAD)
    assert rollout.state is State.ROLLED_BACK
    assert dict(simulation.cloud.peek().traffic.tags) == {}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"digest": "another build"}, "not of one build"),
        ({"variables": {"SHEET": "unwritable", "DEBUG": "1"}}, "differ in"),
        ({"variables": {"SHEET": "production"}}, "differ in"),
    ],
)
def test_variant_that_is_not_what_the_settings_say_is_refused(
    change: dict[str, object], why: str
) -> None:
    simulation = Simulation(SCENARIO)
    rollout = observed(simulation)

    def tamper(step: str, detail: str) -> None:
        name = rollout.record.variants.get(UNWRITABLE)
        if step == "started" and name is not None and name in detail:
            _tamper(simulation.cloud, name, change)

    rollout.progress = tamper
    with pytest.raises(TargetRefused, match=why):
        rollout.stage()
    rollout.abort(BAD)
    assert rollout.state is State.ROLLED_BACK
    assert simulation.serves_baseline()


def _tamper(cloud: FakeCloud, name: RevisionName, change: dict[str, object]) -> None:
    revisions = cloud.existing().revisions
    revisions[name] = revisions[name]._replace(**change)  # type: ignore[arg-type]  # named by each case


def test_variant_that_does_not_start_ends_the_rollout() -> None:
    simulation = Simulation(SCENARIO)
    simulation.faults.on("target.add_revision", Fault.START_FAILS, nth=2)
    ended = simulation.deploy()
    assert isinstance(ended.error, StartFailed)
    assert simulation.serves_baseline()
    simulation.check_settled()


@pytest.mark.parametrize("is_recorded", [True, False])
@pytest.mark.parametrize("asked_for", [1, 2, 3])
def test_variables_of_a_variant_do_not_stay_in_the_template_after_a_death(
    asked_for: int, is_recorded: bool
) -> None:
    simulation = Simulation(SCENARIO)
    simulation.faults.on("target.add_revision", Fault.KILLED_AFTER, nth=asked_for)
    assert simulation.deploy_until_it_ends_or_dies() is None
    assert sheet(simulation, simulation.cloud.existing().latest_created) != "production"
    if not is_recorded:
        simulation.store.lose_everything()
        simulation.watch_traffic_only()
    simulation.recover()
    assert sheet(simulation, simulation.cloud.existing().latest_created) == "production"
    assert dict(simulation.cloud.peek().traffic.tags) == {}
    assert simulation.serves_baseline()


def test_recovery_without_a_record_knows_variants_by_their_tags() -> None:
    simulation = Simulation(SCENARIO)
    simulation.faults.on("target.shift_traffic", Fault.KILLED_AFTER)
    assert simulation.deploy_until_it_ends_or_dies() is None
    simulation.store.lose_everything()
    simulation.watch_traffic_only()
    simulation.recover()
    record = simulation.store.peek_all()[-1]
    assert set(record.variants) == {UNWRITABLE, SLOW}
    assert dict(simulation.cloud.peek().traffic.tags) == {}


def test_variables_of_a_variant_are_those_of_the_verification_revision_with_its_own() -> None:
    spec = a_spec(variants={"slow": {"DELAY": "1"}}, SHEET="test")
    assert spec.variables_of(SLOW) == {"SHEET": "test", "DELAY": "1"}
    assert spec.differences_of(SLOW) == {"SHEET": "test", "DELAY": "1"}
    assert spec.changes_to(SLOW, spec.variables) == {"SHEET": "test", "DELAY": "1"}
    assert spec.changes_to(Variant.CANDIDATE, spec.variables_of(SLOW)) == {
        "SHEET": "production",
        "DELAY": None,
    }
    assert spec.changes_to(Variant.CANDIDATE, spec.variables) == {}
