"""What an honest deployment leaves behind: without it the false greens would prove nothing."""

import pytest

from pytest_deploygate.testing import DeploygateProject
from tests.plugin.plugin_project import SUBJECT


@pytest.mark.parametrize("workers", [0, 2])
def test_honest_deployment_promotes(project: DeploygateProject, before: str, workers: int) -> None:
    run = project.deploy(workers=workers)
    assert run.status == 0, run.output
    assert run.serving != before
    assert run.record is not None
    assert run.record.state.value == "PROMOTED"
    assert run.record.serving == run.serving
    assert run.property("verdict") == "PROMOTE"
    assert run.property("serving_revision") == run.serving
    assert run.property("baseline_revision") == before


MEANT = "--deploy-reason=one check became nine"


@pytest.mark.full
def test_workers_may_steal_work(project: DeploygateProject, before: str) -> None:
    body = """\
import pytest
@pytest.mark.parametrize('i', range(9))
def test_subject(i): assert i != {}
"""
    run = project.write({SUBJECT: body.format(8)}).deploy("--dist=worksteal", MEANT, workers=2)
    assert (run.status, run.serving) == (1, before), run.output
    assert run.property("gate.cand") == "9/10 FAILED"
    project.write({SUBJECT: body.format(9)})
    again = project.deploy("--dist=worksteal", "--deploy-reason=it was the check", workers=2)
    assert again.status == 0, again.output
    assert again.property("gate.cand") == "10/10 PASSED"


def test_worker_that_replaces_another_knows_its_phase_and_what_it_judges(
    project: DeploygateProject, before: str
) -> None:
    body = """
        import os
        import pytest
        from pathlib import Path


        def test_subject():
            os._exit(1)


        @pytest.mark.parametrize("i", range(12))
        def test_more(i, deployment, worker_id):
            Path("ran-" + worker_id).touch()
            assert deployment.phase.value == "candidate"
            assert deployment.candidate.url != deployment.live.url
    """
    run = project.write({SUBJECT: body}).deploy(workers=1)
    assert (run.status, run.serving) == (1, before), run.output
    assert run.property("gate.cand").startswith("13/14 ")
    assert run.state_of(f"{SUBJECT}::test_subject") == "crashed"
    ran = {path.name for path in project.root.glob("ran-*")}
    assert len(ran) == 1, "one worker of the phase died, the other one ran all the rest"
