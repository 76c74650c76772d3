"""What serves now: cheap enough for every five minutes, and all that the rollback triggers need.

The public URL is asked only what writes nothing. Accuracy and time are measured by one invoice on the verification
revision of what serves, which writes to a tab of its own.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.checks.platform import LocalStatistics, RevisionStatistics
from pytest_deploygate.checks.probe import Probe, ProbeFailed
from suites.invoices import NO_STATISTICS, Posting, Sink, contract_violations, refusal_problem
from suites.posting import Bystander, Poster
from suites.support.profile import profile

REQUESTS, SENDERS = 60, 4


@pytest.fixture(scope="module")
def used(deployment: Deployment, live: Probe, order: Posting) -> tuple[RevisionStatistics, ...]:
    """What the platform says of the serving revision, and of its verification revision after it has worked."""
    assert order.rows
    live.get()
    if not deployment.statistics_url:
        pytest.skip(NO_STATISTICS)
    assert deployment.live is not None
    assert deployment.verification is not None
    names = dict.fromkeys((deployment.live.revision, deployment.verification.revision))
    return tuple(LocalStatistics(deployment.statistics_url, name).read() for name in names)


def test_public_url_answers_in_time(live: Probe, measure: Callable[..., None]) -> None:
    answer = live.get()
    measure("health_response_s", answer.elapsed_s, unit="s")
    assert answer.elapsed_s < profile().limit("longest-health-s")
    assert refusal_problem(answer, "method") == ""


def test_public_url_keeps_the_contract(live: Probe) -> None:
    answer = live.post(json={})
    assert refusal_problem(answer, "missing") == ""
    assert answer.content_type == "application/json"
    assert contract_violations(answer) == ()


def test_only_the_serving_revision_answers(live: Probe, deployment: Deployment) -> None:
    assert deployment.live is not None
    expected = deployment.live.revision
    assert expected, "the deployment does not say what should be serving"
    named = {live.get().revision for _ in range(10)}
    assert named <= {expected, ""}
    assert len(named) == 1


def test_error_rate(live: Probe, measure: Callable[..., None]) -> None:
    refusals = profile().refusals

    def is_wrong(number: int) -> bool:
        try:
            answer = live.get() if number % 2 else live.post(json={})
        except ProbeFailed:
            return True
        return answer.status != refusals["method" if number % 2 else "missing"].status

    with ThreadPoolExecutor(SENDERS) as pool:
        rate = sum(pool.map(is_wrong, range(REQUESTS))) / REQUESTS
    measure("error_rate", rate)
    assert rate <= profile().limit("live-most-errors")


def test_accuracy(order: Posting, measure: Callable[..., None]) -> None:
    report = order.accuracy()
    measure("accuracy_score", float(report.overall))
    assert order.answer.status == 200, order.answer.text
    assert report.overall >= profile().limit("live-least-accuracy"), report.explain()


def test_rows_stand_where_they_belong(order: Posting) -> None:
    assert order.rows
    assert order.wrong_places() == []
    assert order.wrong_headers() == []


def test_processing_time(order: Posting, measure: Callable[..., None]) -> None:
    measure("processing_time_s", order.answer.elapsed_s, unit="s")
    assert order.answer.elapsed_s <= profile().limit("longest-s")


def test_memory(used: tuple[RevisionStatistics, ...], measure: Callable[..., None]) -> None:
    peaks = [figures.memory_peak_mb for figures in used]
    known = [peak for peak in peaks if peak is not None]
    assert len(known) == len(peaks), "the platform did not measure memory"
    measure("memory_usage_mb", max(known), unit="MB")
    assert max(known) < profile().limit("most-memory-mb")


def test_no_instance_was_killed_for_memory(
    used: tuple[RevisionStatistics, ...], measure: Callable[..., None]
) -> None:
    kills = [figures.memory_kills for figures in used]
    known = [count for count in kills if count is not None]
    assert len(known) == len(kills), "the platform does not say whether it killed instances"
    measure("memory_kills", sum(known))
    assert sum(known) == 0


def test_checks_leave_production_alone(poster: Poster, production_sink: Sink) -> None:
    bystander = Bystander(production_sink)
    posting = poster.post(profile().roles.small)
    assert posting.rows, "nothing was written, so nothing is proved"
    assert bystander.traces_of(posting) == []
