"""Combinations of settings that the platform rejects, at their limits."""

import pytest

from pytest_deploygate.core.service_limits import (
    ServiceLimits,
    cpus_of,
    default_cpu,
    limit_problems,
)


@pytest.mark.parametrize(
    "good",
    [
        ServiceLimits(memory_mib=512, cpu=0.5, concurrency=1),
        ServiceLimits(memory_mib=512, cpu=1, concurrency=80),
        ServiceLimits(memory_mib=512, concurrency=80),
        ServiceLimits(memory_mib=1024, cpu=0.5),
        ServiceLimits(memory_mib=4096, cpu=1),
        ServiceLimits(memory_mib=32768, cpu=8),
        ServiceLimits(memory_mib=512, min_instances=2, max_instances=2),
        ServiceLimits(memory_mib=512, min_instances=2),
        ServiceLimits(memory_mib=512, variables={"A": "x" * 32767}),
    ],
)
def test_what_goes_together_is_no_problem(good: ServiceLimits) -> None:
    assert list(limit_problems(good)) == []


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (ServiceLimits(memory_mib=512, cpu=0.5, concurrency=2), "concurrency 2 needs"),
        (ServiceLimits(memory_mib=256, cpu=0.05), "neither from 0.08 to 1"),
        (ServiceLimits(memory_mib=2048, cpu=3), "nor one of 1, 2, 4, 6, 8"),
        (ServiceLimits(memory_mib=513, cpu=0.4), "needs at least 0.5 cpu"),
        (ServiceLimits(memory_mib=4097, cpu=1), "needs at least 2 cpu"),
        (ServiceLimits(memory_mib=1024, cpu=4), "needs at least 2048 MiB"),
        (ServiceLimits(memory_mib=512, min_instances=3, max_instances=2), "above max-instances"),
        (ServiceLimits(memory_mib=512, variables={"A": "x" * 32768}), "32769 bytes"),
        (ServiceLimits(memory_mib=512, variables={"A": "x\0"}), "NUL byte"),
    ],
)
def test_what_does_not_is_named(bad: ServiceLimits, words: str) -> None:
    [problem] = limit_problems(bad)
    assert words in problem


@pytest.mark.parametrize(
    ("memory_mib", "cpu"),
    [(128, 0.0833), (256, 0.1666), (512, 0.3333), (1024, 0.5833), (2048, 1), (4096, 2), (8192, 2)],
)
def test_cpu_goes_with_the_memory_where_none_is_asked_for(memory_mib: float, cpu: float) -> None:
    assert default_cpu(memory_mib) == cpu
    assert list(limit_problems(ServiceLimits(memory_mib=memory_mib, cpu=cpu))) == []


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("1", 1.0), ("0.5", 0.5), ("500m", 0.5), ("2000m", 2.0), ("", None), ("many", None)],
)
def test_processors_are_whole_or_thousandths(text: str, cpus: float | None) -> None:
    assert cpus_of(text) == cpus
