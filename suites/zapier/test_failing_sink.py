"""A sink that refuses, is slow, or loses its answer: the caller hears of it, and no rows are left behind an error.

On this machine the sink's service is made to fail. A service in the cloud cannot be: what was not tried is said in the
JUnit file, beside each check.
"""

import time
from collections.abc import Callable

import pytest

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.checks.probe import Answer
from suites.invoices import service_of, upload
from suites.posting import Poster
from suites.support.profile import profile
from suites.support.sink_faults import SINK_FAULTS, can_fail, failing, longest_delay_s

REFUSALS = ("forbidden", "too_many_requests", "unavailable")


@pytest.mark.parametrize("fault", SINK_FAULTS)
def test_failing_sink_is_told_of_as_it_is(
    poster: Poster, deployment: Deployment, fault: str, remark: Callable[[str, str], None]
) -> None:
    service, small = service_of(deployment), profile().roles.small
    if not can_fail(service):
        remark("not_tried", f"{fault}: no fault can be put into a service in the cloud")
        return

    def act() -> Answer:
        with failing(service, fault):
            answer = upload(small).send(poster.probe)
            if answer.status >= 400:  # rows may come after the error
                time.sleep(max(0.0, longest_delay_s(fault) - answer.elapsed_s))
            return answer

    posting = poster.during(small, act)
    assert posting.dishonesty() == ""
    if fault in REFUSALS:
        assert posting.is_error, posting.answer.text
        assert posting.rows == ()
