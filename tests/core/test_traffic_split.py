"""Traffic plans: allowed values, changes, and text that can be read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.traffic import LATEST, Traffic, steps_to

A, B, C = (RevisionName(n) for n in ("svc-00001", "svc-00002", "svc-00003"))

names = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True).map(RevisionName)


@st.composite
def plans(draw: st.DrawFn) -> Traffic:
    revisions = draw(st.lists(names, max_size=4, unique=True))
    cuts = sorted(
        draw(
            st.sets(
                st.integers(1, 99),
                min_size=max(len(revisions) - 1, 0),
                max_size=max(len(revisions) - 1, 0),
            )
        )
    )
    edges = [0, *cuts, 100]
    shares = {r: edges[i + 1] - edges[i] for i, r in enumerate(revisions)}
    return Traffic.of(shares, draw(st.dictionaries(names.map(str), names, max_size=3)))


@given(plans())
def test_plan_reads_back_what_it_writes(plan: Traffic) -> None:
    assert Traffic.parse(str(plan)) == plan


@given(plans())
def test_plan_does_not_depend_on_the_order_of_its_parts(plan: Traffic) -> None:
    assert Traffic(shares=plan.shares[::-1], tags=plan.tags[::-1]) == plan


@given(plans())
def test_plan_gives_away_all_or_nothing(plan: Traffic) -> None:
    assert sum(plan.percent(r) for r, _ in plan.shares) == (100 if plan.shares else 0)


@pytest.mark.parametrize(
    ("shares", "tags", "said"),
    [
        (((A, 99),), (), "traffic shares do not add up to 100: .*99"),
        (((A, 101),), (), "do not add up to 100"),
        (((A, 50), (B, 51)), (), "do not add up to 100"),
        (((A, 100), (B, 0)), (), "a traffic share is below 1 percent: .*0"),
        (((A, 110), (B, -10)), (), "below 1 percent"),
        (((A, 50), (A, 50)), (), "named twice in a traffic plan: .*svc-00001"),
        ((), (("t", A), ("t", B)), "named twice in a traffic plan: .*'t'"),
    ],
)
def test_plan_that_cannot_be_is_refused(
    shares: tuple[tuple[RevisionName, int], ...],
    tags: tuple[tuple[str, RevisionName], ...],
    said: str,
) -> None:
    with pytest.raises(ValueError, match=said):
        Traffic(shares=shares, tags=tags)


def test_one_percent_is_a_share() -> None:
    assert Traffic.of({A: 1, B: 99}).percent(A) == 1


def test_shares_of_nothing_are_dropped() -> None:
    assert Traffic.of({A: 100, B: 0}).shares == ((A, 100),)


def test_plan_says_who_serves() -> None:
    whole, split, none = Traffic.of({A: 100}), Traffic.of({A: 50, B: 50}), Traffic.of({})
    assert (whole.sole, split.sole, none.sole) == (A, None, None)
    assert (whole.is_split, split.is_split, none.is_split) == (False, True, False)
    assert (whole.percent(A), whole.percent(B)) == (100, 0)


def test_plan_is_pinned_unless_it_follows_what_was_deployed_last() -> None:
    assert Traffic.of({A: 100}).is_pinned
    assert not Traffic.of({LATEST: 100}).is_pinned
    assert not Traffic.of({A: 50, LATEST: 50}).is_pinned


def test_new_shares_keep_the_tags() -> None:
    plan = Traffic.of({A: 100}, {"t": B}).with_shares({B: 100})
    assert plan == Traffic.of({B: 100}, {"t": B})


def test_new_tags_keep_the_shares_and_the_other_tags() -> None:
    plan = Traffic.of({A: 100}, {"keep": A, "gone": A, "moved": A})
    changed = plan.with_tags({"moved": B, "new": C}, drop=["gone", "never"])
    assert changed == Traffic.of({A: 100}, {"keep": A, "moved": B, "new": C})


def test_a_tag_that_is_dropped_and_set_is_set() -> None:
    assert Traffic.of({A: 100}, {"t": A}).with_tags({"t": B}, drop=["t"]).tags == (("t", B),)


def test_plan_reads_well_in_a_journal() -> None:
    assert (
        str(Traffic.of({B: 10, A: 90}, {"dg-cand": B}))
        == "svc-00001=90,svc-00002=10;dg-cand>svc-00002"
    )
    assert str(Traffic.of({A: 100})) == "svc-00001=100"
    assert str(Traffic.of({LATEST: 100})) == "LATEST=100"


@pytest.mark.parametrize(
    "text", ["a", "a=x", "a=50", "a=1=100", "a=50,a=50", "a=100;t>b,t>c", "a=100;t", "a=100;t>b>c"]
)
def test_text_that_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Traffic.parse(text)


def test_steps_leave_the_rest_at_the_baseline() -> None:
    assert steps_to(B, A, (10, 50, 100)) == (
        Traffic.of({B: 10, A: 90}),
        Traffic.of({B: 50, A: 50}),
        Traffic.of({B: 100}),
    )


@pytest.mark.parametrize(
    ("percent", "fresh", "baseline"),
    [
        (1, 1, 98),
        (5, 5, 90),
        (33, 33, 34),
        (50, 25, 25),
        (90, 5, 5),
        (98, 1, 1),
        (99, 1, 0),
        (100, 0, 0),
    ],
)
def test_a_fresh_baseline_has_what_the_candidate_has_but_leaves_the_baseline_as_much(
    percent: int, fresh: int, baseline: int
) -> None:
    (plan,) = steps_to(B, A, (percent,), C)
    assert plan == Traffic.of({B: percent, C: fresh, A: baseline})


def test_without_a_baseline_there_is_one_step() -> None:
    assert steps_to(B, None, (10, 100)) == (Traffic.of({B: 100}),)
