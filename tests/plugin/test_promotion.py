"""What an honest deployment leaves behind: without it the lies would prove nothing."""

import pytest

from tests.plugin.projects import Project


@pytest.mark.parametrize("workers", [0, 2])
def test_honest_deployment_promotes(project: Project, before: str, workers: int) -> None:
    run = project.deploy(workers=workers)
    assert run.status == 0, run.output
    assert run.serving != before
    assert run.record is not None
    assert run.record.state.value == "PROMOTED"
    assert run.record.serving == run.serving
    assert run.said("verdict") == "PROMOTE"
    assert run.said("serving_revision") == run.serving
    assert run.said("baseline_revision") == before
