"""The benchmarks that pages quote can be run."""

from benchmarks.__main__ import TOPICS


def test_each_topic_can_be_measured() -> None:
    assert {"canary", "steps"} <= TOPICS.keys()
    assert all(callable(figures) for figures in TOPICS.values())
