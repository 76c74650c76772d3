"""Clock, store and target in memory, with named faults, for tests of what stands on the ports.

Every call of store and target is one numbered point of :class:`Faults`, at which a test can make something go wrong.
"""

from pytest_deploygate.testing.fake_cloud import (
    BUILD_S,
    FOREIGN,
    Change,
    FakeCloud,
    digest_of,
    image_of,
)
from pytest_deploygate.testing.fake_target import READS, FakeTarget, a_spec
from pytest_deploygate.testing.faults import KILLS, SLOW_S, FakeClock, Fault, Faults, ProcessKilled
from tests.fakes.store import FakeStore

__all__ = [
    "BUILD_S",
    "FOREIGN",
    "KILLS",
    "READS",
    "SLOW_S",
    "Change",
    "FakeClock",
    "FakeCloud",
    "FakeStore",
    "FakeTarget",
    "Fault",
    "Faults",
    "ProcessKilled",
    "a_spec",
    "digest_of",
    "image_of",
]
