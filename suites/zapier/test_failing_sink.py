"""A sink that refuses, is slow, or loses its answer: the caller hears of it, and no rows are left behind an error.

On this machine the sink's service is made to fail. A service in the cloud cannot be: there a verification variant
writes to a place where nobody may write. What was not tried is said in the JUnit file, beside each check.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext

import pytest

from pytest_deploygate.checks.deployment import Deployment
from pytest_deploygate.checks.probe import Answer, Probe
from suites.faulty_postings import FaultyPostings
from suites.invoices import service_of, sink_of, upload
from suites.posting import Poster
from suites.support.profile import profile
from suites.support.sink_faults import SINK_FAULTS, can_fail, failing

REFUSALS = ("forbidden", "too_many_requests", "unavailable")


@pytest.mark.parametrize("fault", SINK_FAULTS)
def test_failing_sink_is_told_of_as_it_is(
    faulty: FaultyPostings, deployment: Deployment, fault: str, remark: Callable[[str, str], None]
) -> None:
    if not can_fail(service_of(deployment)):
        remark("not_tried", f"{fault}: no fault can be put into a service in the cloud")
        return
    posting = faulty.of(fault)
    assert posting.dishonesty() == ""
    if fault in REFUSALS:
        assert posting.is_error, posting.answer.text
        assert posting.rows == ()


def test_sink_that_nobody_can_write_to_is_told_of(
    poster: Poster,
    deployment: Deployment,
    verification_variants: Mapping[str, Probe],
    remark: Callable[[str, str], None],
) -> None:
    name, small = profile().sink.unwritable_variant, profile().roles.small
    if name not in verification_variants:
        remark("not_tried", f"a sink that refuses: there is no verification variant {name}")
        return
    service, variables = service_of(deployment), deployment.variant_variables[name]
    place = sink_of(deployment, variables, may_write=False).fault_place

    def act() -> Answer:
        # the stand-in on this machine would make the place when it is first written to
        forbidden = failing(service, {"": "forbidden"}, place=place)
        with forbidden if can_fail(service) else nullcontext():
            return upload(small).send(verification_variants[name])

    posting = poster.during(small, act)
    assert posting.is_error, f"told as success, or somebody may write: {posting.answer.text}"
    assert posting.dishonesty() == ""
    assert posting.rows == ()
