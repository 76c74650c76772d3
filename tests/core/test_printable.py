"""Foreign texts are printed without control sequences for terminals and CI services."""

import pytest

from pytest_deploygate.core.printable import one_line, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\tand é", "two\nlines\tand é"),
        ("a\n::error file=x::forged", "a\n| ::error file=x::forged"),
        ("  ::set-output name=a::b", "|   ::set-output name=a::b"),
        ("::warning::x\n\n::add-mask::***", "| ::warning::x\n\n| ::add-mask::***"),
        ("a ##[error]forged", "a #| #[error]forged"),
        ("##vso[task.complete]", "#| #vso[task.complete]"),
        ("a::b and tests/a.py::test_b", "a::b and tests/a.py::test_b"),
        ("## heading", "## heading"),
        ("\x1b[31mred\x07", "?[31mred?"),
        ("over\rwritten\x9b", "over?written?"),
        ("a\u2028::error::b\u202egnp.exe", "a?::error::b?gnp.exe"),
    ],
)
def test_text_steers_neither_terminal_nor_ci(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown or shown.startswith("|")


def test_reason_becomes_one_line() -> None:
    assert one_line(" orders\n\n::error::forged\r\twithout ") == "orders ::error::forged without"
    assert one_line("\n::error::x") == "| ::error::x"
