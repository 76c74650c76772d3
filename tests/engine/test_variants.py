"""Verification variants: staged beside the verification revision, held to the same build, gone at every end."""

import pytest

from pytest_deploygate.core.errors import StartFailed, TargetRefused
from pytest_deploygate.core.identifiers import RevisionName, VariantName
from pytest_deploygate.core.record import EntryKind
from pytest_deploygate.core.release import Variant
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.engine.rollout import Rollout
from tests.engine.simulation import Scenario, World
from tests.engine.test_guards import BAD, GOOD, observed
from tests.fakes import Cloud, Fault, a_spec

SCENARIO = Scenario(name="second", verify=True, variants=("unwritable", "slow"))
UNWRITABLE, SLOW = VariantName("unwritable"), VariantName("slow")


def staged(world: World) -> Rollout:
    """A rollout whose revisions are there."""
    rollout = observed(world)
    rollout.stage()
    return rollout


def sheet(world: World, name: RevisionName | None) -> str:
    """Where a revision writes."""
    assert name is not None
    return world.cloud.existing().revisions[name].variables["SHEET"]


def test_all_revisions_are_asked_for_before_any_is_awaited_and_the_candidate_last() -> None:
    world = World(SCENARIO)
    rollout = staged(world)
    calls = [c for c in world.faults.calls if c.endswith(("add_revision", "await_revision"))]
    assert calls == ["target.add_revision"] * 4 + ["target.await_revision"] * 4
    assert world.faults.calls.count("target.begin_release") == 1
    assert world.cloud.existing().latest_created == rollout.record.candidate


def test_variants_have_a_url_each_and_the_record_says_in_what_they_differ() -> None:
    world = World(SCENARIO)
    rollout = staged(world)
    assert rollout.staged is not None
    found = {name: sheet(world, v.revision) for name, v in rollout.staged.variants.items()}
    assert found == {UNWRITABLE: "unwritable", SLOW: "slow"}
    for name, variant in rollout.staged.variants.items():
        assert world.cloud.answer(variant.url) == variant.revision
        assert rollout.record.variants[name] == variant.revision
    assert rollout.record.build is not None
    assert rollout.record.build.variants_differ_in == {UNWRITABLE: ("SHEET",), SLOW: ("SHEET",)}
    assert sheet(world, rollout.record.verification) == "test"
    named = [
        e.details.notes["name"]
        for e in world.store.peek_journal(rollout.record.rollout_id)
        if e.kind is EntryKind.INTENT and e.name == "add_variant"
    ]
    assert named == [UNWRITABLE, SLOW]


def test_variants_are_there_until_the_release_was_judged_and_not_kept_afterwards() -> None:
    world = World(SCENARIO)
    rollout = staged(world)
    rollout.promote()
    assert {"dg-v-unwritable", "dg-v-slow"} <= set(dict(world.cloud.peek().traffic.tags))
    rollout.finalise(GOOD)
    assert set(dict(world.cloud.peek().traffic.tags)) == {"dg-live", "dg-prev"}
    assert world.cloud.serving().sole == rollout.record.candidate


def test_variants_are_not_reachable_after_a_rollback() -> None:
    world = World(SCENARIO)
    rollout = staged(world)
    rollout.abort(BAD)
    assert rollout.state is State.ROLLED_BACK
    assert dict(world.cloud.peek().traffic.tags) == {}


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
    world = World(SCENARIO)
    rollout = observed(world)

    def tamper(step: str, detail: str) -> None:
        name = rollout.record.variants.get(UNWRITABLE)
        if step == "started" and name is not None and name in detail:
            _tamper(world.cloud, name, change)

    rollout.progress = tamper
    with pytest.raises(TargetRefused, match=why):
        rollout.stage()
    rollout.abort(BAD)
    assert rollout.state is State.ROLLED_BACK
    assert world.serves_baseline()


def _tamper(cloud: Cloud, name: RevisionName, change: dict[str, object]) -> None:
    revisions = cloud.existing().revisions
    revisions[name] = revisions[name]._replace(**change)  # type: ignore[arg-type]  # named by each case


def test_variant_that_does_not_start_ends_the_rollout() -> None:
    world = World(SCENARIO)
    world.faults.on("target.add_revision", Fault.START_FAILS, nth=2)
    ended = world.deploy()
    assert isinstance(ended.error, StartFailed)
    assert world.serves_baseline()
    world.check_settled()


@pytest.mark.parametrize("is_recorded", [True, False])
@pytest.mark.parametrize("asked_for", [1, 2, 3])
def test_variables_of_a_variant_do_not_stay_in_the_template_after_a_death(
    asked_for: int, is_recorded: bool
) -> None:
    world = World(SCENARIO)
    world.faults.on("target.add_revision", Fault.KILLED_AFTER, nth=asked_for)
    assert world.deploy_until_it_ends_or_dies() is None
    assert sheet(world, world.cloud.existing().latest_created) != "production"
    if not is_recorded:
        world.store.lose_everything()
        world.watch_traffic_only()
    world.recover()
    assert sheet(world, world.cloud.existing().latest_created) == "production"
    assert dict(world.cloud.peek().traffic.tags) == {}
    assert world.serves_baseline()


def test_recovery_without_a_record_knows_variants_by_their_tags() -> None:
    world = World(SCENARIO)
    world.faults.on("target.shift_traffic", Fault.KILLED_AFTER)
    assert world.deploy_until_it_ends_or_dies() is None
    world.store.lose_everything()
    world.watch_traffic_only()
    world.recover()
    record = world.store.peek_all()[-1]
    assert set(record.variants) == {UNWRITABLE, SLOW}
    assert dict(world.cloud.peek().traffic.tags) == {}


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
