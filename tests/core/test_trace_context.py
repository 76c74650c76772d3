"""Trace contexts as W3C writes them."""

import pytest

from pytest_deploygate.core.trace_context import TraceContext, read_traceparent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_context_is_read_and_written() -> None:
    assert read_traceparent(f" 00-{TRACE}-{SPAN}-01\n") == TraceContext(TRACE, SPAN)
    assert read_traceparent(f"00-{TRACE}-{SPAN}-00") == TraceContext(TRACE, SPAN, is_unsampled=True)
    for text in (f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"):
        found = read_traceparent(text)
        assert found is not None
        assert found.traceparent == text


def test_later_version_may_say_more_and_only_one_bit_of_the_flags_is_known() -> None:
    assert read_traceparent(f"cc-{TRACE}-{SPAN}-03-more") == TraceContext(TRACE, SPAN)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00-x",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-1",
    ],
)
def test_what_is_no_context_is_none(text: str) -> None:
    assert read_traceparent(text) is None


def test_child_has_an_id_of_its_own_that_stays() -> None:
    root = TraceContext(TRACE, SPAN, is_unsampled=True)
    one, other = root.child("gates/test_a.py::test_b"), root.child("gates/test_a.py::test_c")
    assert one == root.child("gates/test_a.py::test_b")
    assert len({root.span_id, one.span_id, other.span_id}) == 3
    assert read_traceparent(one.traceparent) == one
    assert TraceContext(TRACE, "1" * 16).child("x") != root.child("x")
