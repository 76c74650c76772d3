"""The action and the component, run as the services run them, on the emulator."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_deploygate.testing import LOCAL, DeploygateProject, ProjectFactory
from tests.e2e.checkout import until
from tests.e2e.ci_job import GithubAction, GitlabJob

pytestmark = pytest.mark.e2e
INPUTS = {"environment": "local", "install": "pytest-deploygate[local] -r more.txt"}
CHECK = "gates/cand/test_cand.py"
BAD = """
    def test_it_is_what_was_staged(candidate):
        assert candidate.get().text == "good bye"
"""
WAITS = """
    import time
    from pathlib import Path


    def test_it_is_what_was_staged(candidate):
        assert candidate.get().status == 200
        Path("reached").touch()
        time.sleep(300)
"""
PRODUCTION = """
[tool.deploygate.environments.production]
target = "google"
"""


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeploygateProject]:
    """A project whose first release was deployed by the action."""
    folder = tmp_path_factory.mktemp("jobs")
    factory = ProjectFactory(folder)
    project = factory(environment=LOCAL)
    try:
        job = GithubAction(project, folder / "first", INPUTS)
        assert job.run(), job.steps
        assert job.installed == ["pytest-deploygate[local]", "-r", "more.txt"]
        found = job.outputs
        assert (found["state"], found["verdict"]) == ("PROMOTED", "PROMOTE")
        assert found["serving-revision"] == found["candidate-revision"] == project.serving
        assert found["url"] == project.url
        assert job.summary.startswith("### PROMOTE: local\n")
        assert [path.name for path in job.uploaded] == ["deployment.xml", "deployment.html"]
        yield project
    finally:
        factory.close()


@pytest.mark.full
def test_release_that_fails_its_gate_fails_the_job(
    released: DeploygateProject, tmp_path: Path
) -> None:
    before = released.serving
    released.change_function("bad")
    good = (released.root / CHECK).read_text()
    released.write({CHECK: BAD})
    job = GithubAction(released, tmp_path / "job", INPUTS)
    assert not job.run()
    released.write({CHECK: good})
    deploy, recover = list(job.steps.values())[1:]
    assert (deploy.status, recover.status) == (1, 0)
    assert "nothing was open" in recover.printed
    (command,) = [line for line in deploy.printed.splitlines() if line.startswith("::")]
    assert command.startswith(f"::error file={CHECK},line=2,title=")
    assert job.outputs["state"] == "ROLLED_BACK"
    assert job.outputs["serving-revision"] == before == released.serving
    assert "❌ FAILED" in job.summary
    assert len(job.uploaded) == 2


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.full),
        signal.SIGTERM,
        pytest.param(signal.SIGKILL, marks=pytest.mark.full),
    ],
)
def test_job_that_is_cancelled_or_killed_leaves_the_baseline(
    released: DeploygateProject, tmp_path: Path, number: signal.Signals
) -> None:
    """The service signals the process of the step: ``exec`` makes that the judge itself."""
    before = released.serving
    released.change_function(number.name)
    good = (released.root / CHECK).read_text()
    released.write({CHECK: WAITS})
    job = GithubAction(released, tmp_path / "job", INPUTS)
    process = job.begin(job.deploy_step)
    reached = released.root / "reached"
    until(reached.exists, seconds=120, what="a check of the candidate runs")
    process.send_signal(number)
    assert not job.end(process)
    released.write({CHECK: good, "reached": ""})
    deploy, recover = job.steps.values()
    assert deploy.status == (-9 if number is signal.SIGKILL else 2), deploy.printed
    assert recover.status == 0, recover.printed
    assert released.serving == before
    assert released.get().ok


def test_component_deploys_and_reports(released: DeploygateProject, tmp_path: Path) -> None:
    released.change_function("by GitLab")
    job = GitlabJob(released, tmp_path / "job", INPUTS)
    done = job.run()
    assert done.status == 0, done.printed
    assert job.installed == ["pytest-deploygate[local]", "-r", "more.txt"]
    assert done.outputs["DEPLOYGATE_STATE"] == "PROMOTED"
    assert done.outputs["DEPLOYGATE_SERVING_REVISION"] == released.serving
    assert job.job["environment"] == {"name": "local", "url": "$DEPLOYGATE_URL"}
    assert done.outputs["DEPLOYGATE_URL"] == released.url
    for name in (job.job["artifacts"]["paths"][0], job.job["artifacts"]["reports"]["junit"]):
        assert (released.root / name).stat().st_size


def test_component_whose_gate_fails_fails(released: DeploygateProject, tmp_path: Path) -> None:
    before = released.serving
    released.change_function("bad, by GitLab")
    good = (released.root / CHECK).read_text()
    released.write({CHECK: BAD})
    done = GitlabJob(released, tmp_path / "job", INPUTS).run()
    released.write({CHECK: good})
    assert done.status == 1, done.printed
    assert done.outputs["DEPLOYGATE_STATE"] == "ROLLED_BACK"
    assert released.serving == before


@pytest.mark.full
def test_rehearsal_is_recovered_where_it_took_place(tmp_path: Path) -> None:
    factory = ProjectFactory(tmp_path)
    project = factory(environment=LOCAL, settings=PRODUCTION)
    inputs = {"environment": "production", "arguments": "--deploy-endpoint=local"}
    try:
        job = GithubAction(project, tmp_path / "github", inputs)
        assert job.run(), job.steps
        assert "nothing was open" in list(job.steps.values())[-1].printed
        project.change_function("by GitLab")
        done = GitlabJob(project, tmp_path / "gitlab", inputs).run()
        assert done.status == 0, done.printed
    finally:
        factory.close()
