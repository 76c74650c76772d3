"""What the session gets of the environment variables."""

from pathlib import Path

import pytest

from pytest_deploygate.config.document import SessionCredentials
from pytest_deploygate.judge.session_environment import session_variables
from pytest_deploygate.testing import DeploygateProject, ProjectFactory, deploygate_project  # noqa: F401

FOLDER = Path("/judge")
MEANS = {
    "GOOGLE_APPLICATION_CREDENTIALS": "/key.json",
    "CLOUDSDK_AUTH_ACCESS_TOKEN": "ya29",
    "CLOUDSDK_CONFIG": "/home/user/.config/gcloud",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "token",
    "PGPASSWORD": "password",
    "DEPLOYGATE_STATE": "postgresql://user:password@db/record",
}
OTHERS = {"PATH": "/bin", "GOOGLE_CLOUD_PROJECT": "project", "SHEET_KEY": "mine"}
EMPTY = {"CLOUDSDK_CONFIG": "/judge/no-credentials", "NO_GCE_CHECK": "true"}


@pytest.mark.parametrize(
    ("credentials", "kept", "got"),
    [
        (SessionCredentials.SHARED, (), MEANS | OTHERS),
        (SessionCredentials.WITHHELD, (), OTHERS | EMPTY),
        (
            SessionCredentials.WITHHELD,
            ("PGPASSWORD", "CLOUDSDK_CONFIG", "NOT_SET"),
            OTHERS | EMPTY | {name: MEANS[name] for name in ("PGPASSWORD", "CLOUDSDK_CONFIG")},
        ),
    ],
    ids=["shared", "withheld", "withheld but for some"],
)
def test_session_gets_the_variables_that_the_settings_leave_it(
    credentials: SessionCredentials, kept: tuple[str, ...], got: dict[str, str]
) -> None:
    assert session_variables(MEANS | OTHERS, credentials, kept=kept, folder=FOLDER) == got


CHECK = """
    import os


    def test_it():
        assert "GOOGLE_APPLICATION_CREDENTIALS" not in os.environ
        assert "DEPLOYGATE_STATE" not in os.environ
        assert os.environ["GITHUB_TOKEN"] == "needed"
"""


@pytest.mark.parametrize("workers", [0, 1])
def test_checks_run_without_the_means_of_the_deployer(
    deploygate_project: ProjectFactory,  # noqa: F811
    workers: int,
) -> None:
    project: DeploygateProject = deploygate_project({"gates/cand/test_cand.py": CHECK})
    project.edit(
        "pyproject.toml",
        "[tool.deploygate]",
        '[tool.deploygate]\nsession-credentials = "withheld"\nsession-variables = ["GITHUB_TOKEN"]',
    )
    run = project.deploy(
        workers=workers,
        GOOGLE_APPLICATION_CREDENTIALS="/key.json",
        DEPLOYGATE_STATE=f"sqlite:///{project.root}/elsewhere.db",
        GITHUB_TOKEN="needed",
    )
    assert run.status == 0, run.output
    assert (project.root / "elsewhere.db").exists()
