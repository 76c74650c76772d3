"""Checks combinations of settings that Google rejects only minutes into a deployment.

Sources: Cloud Run, "Configure CPU limits", "Configure memory limits", "Maximum concurrent requests", "Environment
variables" (limits); Cloud Run functions, "Memory and CPU limits".
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

VARIABLES_BYTES = 32 * 1024
"""Limit in bytes of all names and values of variables together."""
TAG = re.compile(r"[a-z](?:[-a-z0-9]{1,44}[a-z0-9])")
"""Pattern of a traffic tag: 3 to 46 characters."""
_CPUS = re.compile(r"(\d+(?:\.\d+)?)(m?)")
_LEAST_CPU = ((16384, 6.0), (8192, 4.0), (4096, 2.0), (1024, 1.0), (512, 0.5))
"""(MiB, CPUs): memory above this size needs at least this many CPUs; the largest first."""
_LEAST_MEMORY_MIB = ((6.0, 4096), (4.0, 2048), (2.0, 512))
"""(CPUs, MiB): this many CPUs need at least this much memory; the largest first."""
_DEFAULT_CPU = (
    (16384, 8.0),
    (8192, 4.0),
    (2048, 2.0),
    (1024, 1.0),
    (512, 0.5833),
    (256, 0.3333),
    (128, 0.1666),
)
"""(MiB, CPUs): a function with memory above this size gets this many CPUs if it asks for none; the largest first."""
_SMALLEST_CPU = 0.0833
_WHOLE_CPUS = (1.0, 2.0, 4.0, 6.0, 8.0)


class ServiceLimits(NamedTuple):
    """The settings that limit each other; None leaves the choice to the platform."""

    memory_mib: float
    cpu: float | None = None
    concurrency: int | None = None
    min_instances: int | None = None
    max_instances: int | None = None
    variables: Mapping[str, str] = {}


def cpus_of(text: str) -> float | None:
    """Processors that ``text`` names, ``0.5`` or ``500m``; None if it names none."""
    found = _CPUS.fullmatch(text)
    return None if found is None else float(found[1]) / (1000 if found[2] else 1)


def default_cpu(memory_mib: float) -> float:
    """How many CPUs a function with so much memory gets that asks for none."""
    return next((cpu for above, cpu in _DEFAULT_CPU if memory_mib > above), _SMALLEST_CPU)


def limit_problems(wanted: ServiceLimits) -> Iterator[str]:
    """Problems of ``wanted``, in the terms of the settings."""
    cpu = wanted.cpu
    concurrency = wanted.concurrency or 1
    if cpu is not None:
        yield from _cpu_problems(cpu, wanted.memory_mib)
    if concurrency > 1 and cpu is not None and cpu < 1:
        yield f"concurrency {concurrency} needs at least 1 cpu, not {cpu:g}"
    if (
        wanted.min_instances
        and wanted.max_instances
        and wanted.min_instances > wanted.max_instances
    ):
        yield (
            f"min-instances {wanted.min_instances} is above max-instances {wanted.max_instances}"
        )
    size = sum(len(f"{name}{value}".encode()) for name, value in wanted.variables.items())
    if size > VARIABLES_BYTES:
        yield f"the variables have {size} bytes together; {VARIABLES_BYTES} are allowed"
    for name, value in wanted.variables.items():
        if "\0" in name or "\0" in value:
            yield f"the variable {name!r} holds a NUL byte"


def _cpu_problems(cpu: float, memory_mib: float) -> Iterator[str]:
    if not (0.08 <= cpu < 1 or cpu in _WHOLE_CPUS):
        yield f"cpu {cpu:g} is neither from 0.08 to 1 nor one of 1, 2, 4, 6, 8"
    needed = next((least for above, least in _LEAST_CPU if memory_mib > above), 0.0)
    if cpu < needed:
        yield f"memory of {memory_mib:g} MiB needs at least {needed:g} cpu, not {cpu:g}"
    least = next((mib for many, mib in _LEAST_MEMORY_MIB if cpu >= many), 0)
    if memory_mib < least:
        yield f"cpu {cpu:g} needs at least {least} MiB of memory, not {memory_mib:g}"
