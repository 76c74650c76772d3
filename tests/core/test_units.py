"""Amounts of memory: every form that Google uses gives the same number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_deploygate.core.units import Memory


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("512M", 512 * 10**6),
        ("512MB", 512 * 10**6),
        ("512Mi", 512 * 2**20),
        ("512MiB", 512 * 2**20),
        ("1G", 10**9),
        ("1GB", 10**9),
        ("1Gi", 2**30),
        ("1GiB", 2**30),
        ("0.5Gi", 2**29),
        ("2Ti", 2**41),
        ("128k", 128_000),
        ("128K", 128_000),
        ("128KB", 128_000),
        ("128Ki", 2**17),
        ("128KiB", 2**17),
        ("536870912", 2**29),
        ("536870912B", 2**29),
        ("0.3k", 300),
        ("0.0001k", 1),
    ],
)
def test_every_spelling_of_google_is_read(text: str, size_bytes: int) -> None:
    assert Memory.parse(text) == Memory(size_bytes=size_bytes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "much",
        "Gi",
        "1Xi",
        "-1Gi",
        "1 Gi",
        "1m",
        "1mi",
        "1i",
        "1iB",
        "1e3",
        "\u0661Gi",
        "0",
        "0Mi",
    ],
)
def test_what_is_no_amount_of_memory_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount of memory"):
        Memory.parse(text)


@given(st.integers(1, 2**50))
def test_api_text_is_read_back_as_the_same_amount(size_bytes: int) -> None:
    memory = Memory(size_bytes=size_bytes)
    assert Memory.parse(memory.api_text) == memory
    # gcloud has no bytes
    assert 0 <= Memory.parse(memory.gcloud_text).size_bytes - size_bytes < 1000


@pytest.mark.parametrize(
    ("text", "api", "gcloud"),
    [
        ("1GiB", "1Gi", "1GiB"),
        ("1024Mi", "1Gi", "1GiB"),
        ("256MB", "256M", "256MB"),
        ("1000M", "1G", "1GB"),
        ("100K", "100k", "100KB"),
        ("536870912", "512Mi", "512MiB"),
        ("12345", "12345", "13KB"),
    ],
)
def test_amount_is_written_in_the_words_of_each(text: str, api: str, gcloud: str) -> None:
    assert (Memory.parse(text).api_text, Memory.parse(text).gcloud_text) == (api, gcloud)


def test_mb_is_a_million_bytes() -> None:
    memory = Memory.parse("1Gi")
    assert (memory.mb, memory.mib) == (1073.741824, 1024)
    assert Memory.parse("1G") < memory
