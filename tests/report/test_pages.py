"""Pages say what the record says, and nothing that a check or a person wrote gets out of its place."""

import re
from html.parser import HTMLParser

from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.measurement import Measurement
from pytest_deploygate.core.record import RecordedStep
from pytest_deploygate.core.redaction import Redactor
from pytest_deploygate.core.state_machine import State
from pytest_deploygate.report.history_page import history_page
from pytest_deploygate.report.rendering import render_history, render_rollout
from pytest_deploygate.report.rollout_page import rollout_page
from tests.report.recorded_rollouts import MARKUP, POLICY, journal, promotion, rollback

PROMOTIONS = tuple(promotion(number, 1 + number / 10) for number in range(5, 0, -1))


class ParsedPage(HTMLParser):
    """Tags, addresses and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.texts: list[str] = []
        self.open_details = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("href", "src"):
                self.links.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)
            if tag == "details" and name == "open":
                self.open_details += 1

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page_of_rollback() -> str:
    page = rollout_page(rollback(), policy=POLICY, journal=journal(), promotions=PROMOTIONS)
    return render_rollout(page, Redactor())


def test_nothing_that_was_written_elsewhere_becomes_markup() -> None:
    text = page_of_rollback()
    page = ParsedPage(text)
    assert not {"script", "img", "iframe", "link", "object"} & set(page.tags)
    assert page.handlers == []
    assert page.links == []  # the url is javascript:
    assert MARKUP in "".join(page.texts)  # and it is readable
    assert "\x1b" not in text
    assert "[31m" not in text
    assert "\x07" not in text


def test_a_web_address_is_a_link() -> None:
    record = rollback(url="https://svc.example/?a=1&b=2")
    page = ParsedPage(render_rollout(rollout_page(record, policy=POLICY, journal=()), Redactor()))
    assert page.links == ["https://svc.example/?a=1&b=2"]


def test_secrets_are_not_on_the_page() -> None:
    record = rollback(deploy_reason="token is hunter2-hunter2")
    text = render_rollout(
        rollout_page(record, policy=POLICY, journal=()), Redactor(["hunter2-hunter2"])
    )
    assert "hunter2" not in text


def test_verdict_and_reason_come_first_and_failures_are_open() -> None:
    text = page_of_rollback()
    said = "".join(ParsedPage(text).texts)
    assert said.index("ROLLED_BACK") < said.index("gate health failed") < said.index("Timeline")
    assert "gates/health/t.py:3: AssertionError" in said
    assert ParsedPage(text).open_details == 1  # the gate that failed, not the one that passed
    assert "3 passed" in said
    assert "overrode gate accuracy" in said


def test_timeline_has_each_state_with_its_time() -> None:
    page = rollout_page(rollback(), policy=POLICY, journal=journal())
    assert [(one.state, one.seconds) for one in page.timeline] == [
        (State.OPEN.value, 5),
        (State.STAGING.value, 25),
        (State.STAGED.value, 21),
        (State.ROLLING_BACK.value, 9),
        (State.ROLLED_BACK.value, 0),
    ]
    assert [entry.name for entry in page.traffic] == ["shift"]


def test_measurement_is_held_against_its_trigger_and_the_last_promotions() -> None:
    page = rollout_page(rollback(), policy=POLICY, journal=(), promotions=PROMOTIONS)
    (number,) = page.numbers
    assert number.before == [1.1, 1.2, 1.3, 1.4, 1.5]
    assert (number.bounds, number.mood) == (["processing_time_s > 5"], "bad")
    (compared,) = page.comparisons
    assert (compared.baseline, compared.candidate, compared.change) == (1.5, 7.5, "+400.0 %")
    text = render_rollout(page)
    assert text.count("<circle") == 6
    assert 'class="bound"' in text


def test_measurement_of_many_is_one_row_a_side_and_fires_by_its_worst() -> None:
    check = "gates/health/t.py::test_a"
    taken = tuple(
        Measurement.of("processing_time_s", seconds, unit="s", check=check, side=side)
        for seconds in (1.0, 9.0, 2.0)
        for side in ("candidate", "baseline")
    )
    record = rollback(measurements={Phase.STEP: taken})
    page = rollout_page(record, policy=POLICY, journal=(), promotions=[record])
    assert [(one.value, one.source, one.mood, one.before) for one in page.numbers] == [
        (4.0, f"{check}, candidate, mean of 3", "bad", [4.0]),
        (4.0, f"{check}, baseline, mean of 3", "", [4.0]),
    ]


def test_each_step_has_its_decision_with_the_numbers_and_every_sentence_once() -> None:
    errors = "errors: not worse by 1pp or more: 0.00 % against 0.00 %"
    latency = "latency: not worse by x1.2 or more: 0.1 s against 0.1 s"
    steps = (
        RecordedStep(
            percent=5,
            decision="advance",
            reason=f"{errors}; {latency}",
            seconds=61.5,
            candidate_requests=58,
            baseline_requests=1120,
            objectives={"errors": errors, "latency": latency},
            gates={"prices": f"gate prices passed {MARKUP}"},
        ),
        RecordedStep(
            percent=25, decision="advance", reason="told to", seconds=2, is_undecided=True
        ),
        RecordedStep(percent=50, decision="abort", reason="trigger fired", seconds=9),
    )
    notes = {"step.5.approve": "approved by ada@ci at 19:44:53 UTC: fine by me"}
    record = rollback(
        notes=notes, steps=steps, warnings={"trigger.memory": "2 GB > 1 GB"}, drill_s=0.25
    )
    page = rollout_page(record, policy=POLICY, journal=())
    assert [(step.decision, step.mood) for step in page.steps] == [
        ("advance", "good"),
        ("advance, undecided", "doubtful"),
        ("abort", "bad"),
    ]
    assert page.steps[0].sentences == (f"gate prices passed {MARKUP}", errors, latency)
    assert page.steps[1].sentences == ("told to",)
    said = ParsedPage(render_rollout(page)).texts
    for text in (
        "5 %",
        "58",
        "1120",
        "61.5 s",
        errors,
        "trigger.memory",
        "2 GB > 1 GB",
        "0.2 s",
        "approve at 5 %",
    ):
        assert text in said
    assert said.count(errors) == 1
    assert notes["step.5.approve"] in said


def test_a_rollout_that_was_refused_at_once_has_a_page() -> None:
    record = rollback(
        inventory={}, gates={}, not_passed={}, measurements={}, baseline=None, candidate=None
    )
    text = render_rollout(rollout_page(record, policy=POLICY, journal=(), journal_problem="torn"))
    assert "none was judged" in text
    assert "torn" in text


def test_history_counts_what_ended_and_shows_all() -> None:
    rollouts = (rollback(), *PROMOTIONS, promotion(6)._replace(ended_at=None, state=State.STAGING))
    page = history_page("production", rollouts)
    assert (page.deployments, page.promoted, page.rolled_back) == (6, 5, 1)
    assert page.success_percent == "83 %"
    assert (page.median_seconds, page.median_rollback_seconds) == (43.5, 2.0)
    assert sum(week.total for week in page.weeks) == 6
    text = render_history(page, Redactor())
    assert len(re.findall("<rect", text)) == 6
    assert not {"script", "img"} & set(ParsedPage(text).tags)


def test_history_of_nothing_says_so() -> None:
    text = render_history(history_page("production", ()))
    assert "no rollout is recorded yet" in text
    assert "none yet" in text
