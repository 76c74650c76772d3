"""The revision answers, keeps the contract, shows nothing of its inside, and is the one that is to be judged.

Everything here writes nothing. It is asked of the verification revision and of the candidate, which would be promoted.
"""

import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.checks.endpoint import Endpoint
from pytest_deploygate.checks.platform import LocalStatistics
from pytest_deploygate.checks.probe import Probe
from suites.invoices import contract_violations, refusal_problem
from suites.support.answer_leaks import AnswerLeaks
from suites.support.profile import profile

BROKEN_BODIES = (
    b'{"file_url": ',
    b"[]",
    b'["http://x.example/a.pdf"]',
    b'"text"',
    b"null",
    b"\xff\x00garbage",
)
JSON_HEADERS = {"Content-Type": "application/json"}


@pytest.fixture(params=["verification", "candidate"])
def endpoint(request: pytest.FixtureRequest, deployment: Deployment) -> Endpoint:
    found: Endpoint | None = getattr(deployment, request.param)
    assert found is not None, f"there is no {request.param}"
    return found


@pytest.fixture
def probe(endpoint: Endpoint, answer_leaks: AnswerLeaks) -> Probe:
    """Nothing that these checks send can write, so that is all that this one lets through."""
    made = Probe(replace(endpoint, may_write=False), harmless=BROKEN_BODIES)
    made.watch(answer_leaks.look_at)
    return made


def test_first_answer_comes_in_time(probe: Probe, measure: Callable[..., None]) -> None:
    answer = probe.get()
    measure("health_response_s", answer.elapsed_s, unit="s")
    assert answer.elapsed_s < profile().limit("longest-health-s")
    assert answer.status in (200, 400, 405)


def test_get_is_not_allowed(probe: Probe) -> None:
    assert refusal_problem(probe.get(), "method") == ""


def test_head_is_not_allowed(probe: Probe) -> None:
    assert probe.request("HEAD").status == profile().refusals["method"].status


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_are_not_allowed(verification: Probe, method: str) -> None:
    assert refusal_problem(verification.request(method), "method") == ""


def test_empty_post_says_what_is_missing(probe: Probe) -> None:
    for answer in (probe.post(), probe.post(json={})):
        assert refusal_problem(answer, "missing") == ""


def test_garbage_is_the_callers_fault(probe: Probe, subtests: pytest.Subtests) -> None:
    for body in BROKEN_BODIES:
        with subtests.test(body=body):
            answer = probe.post(data=body, headers=JSON_HEADERS)
            assert 400 <= answer.status < 500, answer
            assert contract_violations(answer) == ()


def test_answers_are_json_and_keep_the_contract(probe: Probe) -> None:
    for answer in (probe.get(), probe.post(), probe.post(json={})):
        assert answer.content_type == "application/json"
        assert contract_violations(answer) == ()


def test_empty_upload_is_refused(verification: Probe) -> None:
    known = profile()
    part = (f"empty{known.suffix}", b"", known.media_type)
    assert refusal_problem(verification.post(files={known.file_field: part}), "empty") == ""


def test_upload_under_another_name_is_refused(verification: Probe) -> None:
    known = profile()
    part = (f"a{known.suffix}", b"%PDF-1.4", known.media_type)
    other = verification.post(files={f"another_{known.file_field}": part})
    assert refusal_problem(other, "missing") == ""


def test_errors_show_nothing_of_the_inside(probe: Probe, answer_leaks: AnswerLeaks) -> None:
    for body in (b"", *BROKEN_BODIES):
        probe.post(data=body, headers=JSON_HEADERS)
    assert answer_leaks.take() == []


def test_the_revision_to_be_judged_answers(
    probe: Probe, endpoint: Endpoint, deployment: Deployment
) -> None:
    assert endpoint.revision, "the deployment does not say which revision this is"
    named = {probe.get().revision for _ in range(3)} | {probe.post().revision}
    if named != {""}:
        assert named == {endpoint.revision}
        return
    assert deployment.statistics_url, (
        "nothing tells which revision answers: let the function send X-Revision with the value of K_REVISION"
    )
    reader = LocalStatistics(deployment.statistics_url, endpoint.revision)
    before = reader.read().requests
    probe.get()
    after = reader.read().requests
    assert before is not None
    assert after is not None
    assert after > before, f"the platform did not count the request for {endpoint.revision}"


def test_ten_answers_in_a_row_are_the_same(probe: Probe, measure: Callable[..., None]) -> None:
    answers = [probe.post(json={}) for _ in range(10)]
    assert len({(answer.status, answer.text, answer.revision) for answer in answers}) == 1
    typical = statistics.median(answer.elapsed_s for answer in answers)
    measure("health_median_s", typical, unit="s")
    longest = max(answer.elapsed_s for answer in answers)
    assert longest < profile().limit("longest-health-s")


def test_concurrent_requests_get_their_own_answers(probe: Probe) -> None:
    def ask(number: int) -> tuple[bool, int]:
        answer = probe.post(json={}) if number % 2 else probe.get()
        return bool(number % 2), answer.status

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(16)))
    refusals = profile().refusals
    assert set(answers) == {
        (True, refusals["missing"].status),
        (False, refusals["method"].status),
    }
