"""Time, memory and errors, measured from outside and by the platform; what was not measured is a failure, not a zero.

Sample: the order and the documents of the series one after the other, 8 at once, 120 requests that write nothing from 8
senders.
"""

import statistics
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.checks.platform import LocalStatistics, RevisionStatistics
from pytest_deploygate.checks.probe import Answer, Probe, ProbeFailed
from suites.invoices import NO_STATISTICS, Posting, golden, upload
from suites.posting import SENDERS, Poster, Postings
from suites.support.profile import profile
from suites.support.rows import SheetRow, compare_lines, parse_line

SLOWER_THAN_BEFORE = 2.0
"""How many times as long as what serves an answer may take; absolute limits never catch a fast function."""
SLOWNESS_THAT_MATTERS_S = 1.5
PAIRS = 2
CHEAP_REQUESTS, CHEAP_SENDERS = 120, 8
TIMES = 2
"""How often each document is among those that are posted at once."""


@pytest.fixture(scope="module")
def series(postings: Postings, order: Posting) -> tuple[Posting, ...]:
    """The order and four more documents, each by itself."""
    return (order, *(postings.alone(name) for name in profile().roles.series))


@pytest.fixture(scope="module")
def used(
    deployment: Deployment,
    series: tuple[Posting, ...],
    at_once: tuple[tuple[Answer, ...], tuple[SheetRow, ...]],
) -> RevisionStatistics:
    """What the platform says of the verification revision after it has worked."""
    assert series
    assert at_once
    assert deployment.verification is not None
    if not deployment.statistics_url:
        pytest.skip(NO_STATISTICS)
    return LocalStatistics(deployment.statistics_url, deployment.verification.revision).read()


@pytest.fixture(scope="module")
def at_once(poster: Poster, verification: Probe) -> tuple[tuple[Answer, ...], tuple[SheetRow, ...]]:
    """Each document twice, at once: the answers, and all rows that the sink gained."""
    names = profile().roles.at_once * TIMES

    def act() -> tuple[Answer, ...]:
        with ThreadPoolExecutor(SENDERS) as pool:
            return tuple(pool.map(lambda name: upload(name).send(verification), names))

    answers, rows, _ = poster.gain(names, act)
    return answers, rows


@pytest.fixture(scope="module")
def cheap_errors(verification: Probe) -> int:
    """How many of the cheap requests were answered otherwise than the contract says, or not at all."""
    refusals = profile().refusals

    def is_wrong(number: int) -> bool:
        try:
            answer = verification.get() if number % 2 else verification.post(json={})
        except ProbeFailed:
            return True
        return answer.status != refusals["method" if number % 2 else "missing"].status

    with ThreadPoolExecutor(CHEAP_SENDERS) as pool:
        return sum(pool.map(is_wrong, range(CHEAP_REQUESTS)))


def test_every_posting_of_the_series_succeeds(series: tuple[Posting, ...]) -> None:
    assert [posting.answer.status for posting in series] == [200] * len(series)
    assert all(posting.rows for posting in series)


def test_mean_time_is_below_a_minute(
    series: tuple[Posting, ...], measure: Callable[..., None]
) -> None:
    times = [posting.answer.elapsed_s for posting in series]
    measure("processing_mean_s", statistics.mean(times), unit="s")
    measure("processing_time_s", max(times), unit="s")
    assert statistics.mean(times) < profile().limit("longest-mean-s")
    assert max(times) < profile().limit("longest-s")


@pytest.fixture(scope="module")
def paired(deployment: Deployment, poster: Poster, order: Posting) -> tuple[float, float] | None:
    """Best time of the order here and on what serves; None where it is fast, or nothing comparable serves.

    What looks slower is posted in turns: a busy machine slows both alike.
    """
    here = order.answer.elapsed_s
    if deployment.before is None or here <= SLOWNESS_THAT_MATTERS_S:
        return None
    big = order.document
    before = Probe(deployment.before)
    try:
        there = poster.during(big, lambda: upload(big).send(before)).answer.elapsed_s
        for _ in range(PAIRS):
            if here <= there * SLOWER_THAN_BEFORE:
                break
            here = min(here, poster.post(big).answer.elapsed_s)
            again = poster.during(big, lambda: upload(big).send(before))
            there = min(there, again.answer.elapsed_s)
    finally:
        before.close()
    return here, there


def test_time_is_about_that_of_what_serves(paired: tuple[float, float] | None) -> None:
    if paired is not None:
        here, there = paired
        assert here <= SLOWNESS_THAT_MATTERS_S or here <= there * SLOWER_THAN_BEFORE


def test_mean_time_is_about_that_of_the_last_promotion(
    series: tuple[Posting, ...],
    deployment: Deployment,
    paired: tuple[float, float] | None,
) -> None:
    mean = statistics.mean(posting.answer.elapsed_s for posting in series)
    before = deployment.baseline.get("processing_mean_s")
    if paired is None and before is not None and mean > SLOWNESS_THAT_MATTERS_S:
        assert mean <= before * SLOWER_THAN_BEFORE


def test_products_per_second(series: tuple[Posting, ...], measure: Callable[..., None]) -> None:
    products = sum(len(posting.rows) for posting in series)
    speed = products / sum(posting.answer.elapsed_s for posting in series)
    measure("products_per_s", speed)
    assert speed >= profile().limit("least-products-per-s")


def test_documents_at_once_all_succeed_in_time(
    at_once: tuple[tuple[Answer, ...], tuple[SheetRow, ...]],
) -> None:
    answers, _ = at_once
    assert [answer.status for answer in answers] == [200] * len(answers)
    assert max(answer.elapsed_s for answer in answers) < profile().limit("longest-s")


def test_documents_at_once_are_not_mixed(
    at_once: tuple[tuple[Answer, ...], tuple[SheetRow, ...]], subtests: pytest.Subtests
) -> None:
    _, rows = at_once
    assert all(row.is_in_place for row in rows)
    lines = [parse_line(row, profile().sink.layout) for row in rows]
    wanted = Counter(profile().roles.at_once * TIMES)
    for name, times in wanted.items():
        with subtests.test(document=name):
            truth = golden(name)
            ours = [line for line in lines if line.invoice_number in truth.numbers]
            assert {line.vendor for line in ours} == {truth.vendor}
            report = compare_lines(truth.records * times, [line.as_record() for line in ours])
            assert report.is_perfect, report.explain()
    assert len(lines) == sum(len(golden(name).records) for name in wanted.elements())


def test_error_rate_of_cheap_requests(cheap_errors: int, measure: Callable[..., None]) -> None:
    rate = cheap_errors / CHEAP_REQUESTS
    measure("error_rate", rate)
    assert rate < profile().limit("most-errors")


def test_memory_stays_below_the_limit(
    used: RevisionStatistics, measure: Callable[..., None]
) -> None:
    assert used.memory_peak_mb is not None, "the platform did not measure memory"
    measure("memory_usage_mb", used.memory_peak_mb, unit="MB")
    assert used.memory_peak_mb < profile().limit("most-memory-mb")


def test_no_instance_was_killed_for_memory(
    used: RevisionStatistics, measure: Callable[..., None]
) -> None:
    assert used.memory_kills is not None, "the platform does not say whether it killed instances"
    measure("memory_kills", used.memory_kills)
    assert used.memory_kills == 0
