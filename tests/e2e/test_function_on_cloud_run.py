"""A function through ``cloud-run``: moved there from Cloud Functions and back, as an image, adopted, and rehearsed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.e2e.checkout import Checkout
from tests.e2e.greeting_project import FUNCTION, set_target, small_project

pytestmark = pytest.mark.e2e


@pytest.fixture
def project(tmp_path: Path, build_cache: Path) -> Iterator[Checkout]:
    """The small project; nothing is deployed."""
    made = small_project(tmp_path / "checkout", build_cache, emulates="cloud-run")
    try:
        yield made
    finally:
        made.close()


def change(project: Checkout, text: str) -> None:
    (project.root / "function" / "main.py").write_text(f"{FUNCTION}# {text}\n", encoding="utf-8")


def revisions(project: Checkout) -> list[str]:
    url = f"{project.endpoint}/v2/projects/{project.service}/revisions"
    found = requests.get(url, timeout=20).json().get("revisions", [])
    return [one["name"].rpartition("/")[2] for one in found]


def test_an_environment_moved_from_google_keeps_its_history_and_rolls_back_across_the_move(
    project: Checkout,
) -> None:
    set_target(project.root, "google")
    first = project.deploy("-q")
    assert first.status == 0, first.output
    of_function = project.answering()
    set_target(project.root, "cloud-run")
    change(project, "second")
    second = project.deploy("-q")
    assert second.status == 0, second.output
    assert second.property("baseline_revision") == of_function
    of_run = project.answering()
    assert of_run.startswith("hello-world-dg-")
    back = project.deploygate("rollback", "local", "--reason", "a drill", "--yes")
    assert back.status == 0, back.output
    assert project.answering() == of_function
    history = project.deploygate("history", "local").output
    assert history.count("PROMOTED") >= 2, history
    set_target(project.root, "google")
    change(project, "third")
    third = project.deploy("-q")
    assert third.status == 0, third.output
    assert project.answering() not in {of_function, of_run}


@pytest.mark.full
def test_the_same_digest_twice_changes_nothing_and_a_tag_is_resolved(project: Checkout) -> None:
    first = project.deploy("-q")
    assert first.status == 0, first.output
    service = project.describe_service()
    image = str(service["template"]["containers"][0]["image"])  # type: ignore[index]
    settings = project.root / "pyproject.toml"
    tagged = image.partition("@")[0]
    settings.write_text(settings.read_text() + f'image = "{tagged}"\n')
    second = project.deploy("-q")
    assert second.status == 0, second.output
    serving, known = project.answering(), revisions(project)
    again = project.deploy("-q")
    assert again.status == 0, again.output
    assert (project.answering(), revisions(project)) == (serving, known)
    settings.write_text(settings.read_text().replace(tagged, f"{tagged}:none"))
    lost = project.deploy("-q")
    assert lost.status != 0
    assert "leads nowhere" in lost.output
    assert project.answering() == serving


@pytest.mark.full
def test_a_service_of_somebody_else_is_adopted_and_never_taken_for_a_first_release(
    project: Checkout,
) -> None:
    set_target(project.root, "google")
    assert project.deploy("-q").status == 0
    detach(project)
    baseline = project.answering()
    set_target(project.root, "cloud-run")
    for path in (project.root / ".deploygate").glob("state.db*"):
        path.unlink()
    change(project, "second")
    refused = project.deploy("-q")
    assert refused.status == 10, refused.output
    assert "was never deployed by pytest-deploygate" in refused.output
    assert f"deploygate adopt local {baseline}" in refused.output
    assert project.answering() == baseline
    adopted = project.deploygate("adopt", "local", baseline, "--reason", "it is good")
    assert adopted.status == 0, adopted.output
    released = project.deploy("-q")
    assert released.status == 0, released.output
    assert released.property("baseline_revision") == baseline


def detach(project: Checkout) -> None:
    """Take all labels off the service, as nobody of ours had deployed it."""
    url = f"{project.endpoint}/v2/projects/{project.service}"
    answer = requests.patch(url, params={"updateMask": "labels"}, json={"labels": {}}, timeout=20)
    assert answer.ok, answer.text


PRODUCTION = """
[tool.deploygate.environments.production]
target = "cloud-run"
function = "hello-world"
project = "real-project"
region = "europe-west1"
runtime = "python312"
entry-point = "hello"
source = "function"
memory = "512MiB"
timeout-s = 120
ingress = "internal-and-gclb"
min-instances = 1
max-instances = 3
concurrency = 4
cpu = "1"
labels = { team = "greeters" }
vpc-network = "default"
vpc-subnetwork = "default"
vpc-egress = "private-ranges-only"
environment-variables = { GREETS = "the world, and its dogs", PATHS = "a=b;c" }
secrets = { GREETING_KEY = "greeting-key:latest" }
secret-files = { "/tmp/keys/greeting" = "greeting-key:latest" }
startup-probe = { path = "/", period-s = 1, failures = 30 }
verify-environment = { GREETS = "in a test" }

[tool.deploygate.environments.production.rehearsal]
secrets-file = "secrets.local.toml"
"""


@pytest.mark.full
def test_the_whole_configuration_is_rehearsed(project: Checkout) -> None:
    settings = project.root / "pyproject.toml"
    settings.write_text(settings.read_text() + PRODUCTION)
    (project.root / "secrets.local.toml").write_text('greeting-key = "nobody-may-see-it"\n')
    project.variables |= {"GOOGLE_APPLICATION_CREDENTIALS": "", "NO_GCE_CHECK": "true"}
    project.service = "real-project/locations/europe-west1/services/hello-world"
    rehearsed = project.pytest("--deploy-to=production", "--deploy-endpoint=local", "-n0")
    assert rehearsed.status == 0, rehearsed.output
    assert rehearsed.property("environment") == "production-rehearsal"
    template = project.describe_service()["template"]
    assert isinstance(template, dict)
    assert template["vpcAccess"]["networkInterfaces"] == [
        {"network": "default", "subnetwork": "default"}
    ]
    assert template["containers"][0]["startupProbe"]["httpGet"]["path"] == "/"
    assert str(template["revision"]).startswith("hello-world-dg-")
    plan = project.deploygate("plan", "production-rehearsal")
    assert "gcloud run deploy hello-world" in plan.output, plan.output
    assert "--no-traffic" in plan.output
    assert "nobody-may-see-it" not in plan.output
