"""``--deploy-endpoint=local``: the whole production configuration on the emulator, before the night it matters."""

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from pytest_deploygate.core.function_spec import secrets_text
from pytest_deploygate.core.identifiers import EnvironmentName
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.store.sql import open_store
from pytest_deploygate.system.clock import SystemClock
from pytest_deploygate.testing import SessionOutcome
from tests.e2e.checkout import Checkout
from tests.e2e.greeting_project import small_project

pytestmark = pytest.mark.e2e

PRODUCTION = """
[tool.deploygate.environments.production]
target = "google"
function = "hello-world"
project = "real-project"
region = "europe-west1"
runtime = "python312"
entry-point = "hello"
source = "function"
memory = "512MiB"
timeout-s = 120
service-account = "hello@real-project.iam.gserviceaccount.com"
ingress = "internal-and-gclb"
min-instances = 1
max-instances = 3
concurrency = 4
cpu = "1"
labels = { team = "greeters" }
vpc-connector = "projects/real-project/locations/europe-west1/connectors/c"
vpc-egress = "private-ranges-only"
build-environment-variables = { GOOGLE_PYTHON_VERSION = "3.12" }
environment-variables = { GREETS = "the world, and its dogs", PATHS = "a=b;c" }
secrets = { GREETING_KEY = "greeting-key:latest" }
verify-environment = { GREETS = "in a test" }
verify-variants = { shy = { GREETS = "nobody", SHY = "yes" } }
freeze = ["mon 00:00 - sun 23:59 UTC"]
approval = "required"

[tool.deploygate.environments.production.rehearsal]
environment-variables = { REHEARSED = "yes" }
secrets-file = "secrets.local.toml"
"""
USES_VARIANT = """
def test_the_shy_one_answers(verification_variants, deployment):
    shy = verification_variants["shy"]
    assert shy.get("?name=Ada").revision == deployment.variants["shy"].revision
    assert shy.post(data=b"anything").status == 200
"""
KEY = "a-key-that-nobody-may-see"
NEEDS_KEY = """

if not os.environ["GREETING_KEY"] or os.environ["REHEARSED"] != "yes":
    raise RuntimeError("no key")
"""
REHEARSAL = ("--deploy-to=production", "--deploy-endpoint=local", "-n0")
GCLOUD = """#!/bin/sh
printf '%s\\0' "$@" CALL >> calls
case "$3" in describe) echo "newest-revision" ;; esac
"""


@pytest.fixture
def project(tmp_path: Path, build_cache: Path) -> Iterator[Checkout]:
    """A checkout whose production was never rehearsed, on a machine without Google credentials."""
    project = small_project(tmp_path / "small", build_cache)
    project.variables |= {"GOOGLE_APPLICATION_CREDENTIALS": "", "NO_GCE_CHECK": "true"}
    project.service = "real-project/locations/europe-west1/services/hello-world"
    settings = project.root / "pyproject.toml"
    settings.write_text(settings.read_text() + PRODUCTION)
    with (project.root / "function" / "main.py").open("a") as main:
        main.write(NEEDS_KEY)
    (project.root / "checks" / "greeting" / "test_variant.py").write_text(USES_VARIANT)
    keep_secret(project, f'"{KEY}"')
    try:
        yield project
    finally:
        project.close()


def keep_secret(project: Checkout, value: str) -> None:
    (project.root / "secrets.local.toml").write_text(f"greeting-key = {value}\n")


def record_of(project: Checkout, run: SessionOutcome) -> RolloutRecord:
    store = open_store(f"sqlite:///{project.root}/.deploygate/state.db", SystemClock())
    [found, *_] = store.history(EnvironmentName("production-rehearsal"), 5)
    store.close()
    assert found.rollout_id == run.property("rollout_id")
    return found


@pytest.mark.full
def test_the_whole_configuration_is_tried_with_secrets_and_both_revisions(
    project: Checkout,
) -> None:
    first = project.pytest(*REHEARSAL)
    assert first.status == 0, first.output
    assert first.property("environment") == "production-rehearsal"
    record = record_of(project, first)
    assert record.build is not None
    assert secrets_text(record.build.secrets) == "GREETING_KEY=greeting-key:1"
    assert record.build.differs_in == ("GREETS",)
    assert record.build.variants_differ_in == {"shy": ("GREETS", "SHY")}
    assert set(record.variants) == {"shy"}
    described = project.describe_service()
    traffic = described["traffic"]
    assert isinstance(traffic, list)
    assert {target.get("tag") or "" for target in traffic} == {"", "dg-live"}
    template = described["template"]
    assert isinstance(template, dict)
    assert template["serviceAccount"] == "hello@real-project.iam.gserviceaccount.com"
    assert template["maxInstanceRequestConcurrency"] == 4
    labels = described["labels"]
    assert isinstance(labels, dict)
    assert labels["team"] == "greeters"

    # the secret gets a new version, and a release that goes bad goes back to the version it was judged with
    keep_secret(project, f'{{ 1 = "{KEY}", 2 = "{KEY}-2" }}')
    project.edit("function/main.py", '"world"', '"nobody"')
    project.edit("pyproject.toml", ', PATHS = "a=b;c"', "")
    second = project.pytest(*REHEARSAL)
    assert second.status == 1, second.output
    assert "gate alive failed" in second.output
    build = record_of(project, second).build
    assert build is not None
    assert secrets_text(build.secrets) == "GREETING_KEY=greeting-key:2"
    assert requests.get(project.url, timeout=30).status_code == 403  # closed, as production is
    anybody = {"Authorization": "Bearer anybody"}
    assert requests.get(project.url, headers=anybody, timeout=30).text == "hello, world\n"
    noted = "deploygate: note: hello-world has variables that the settings do not name"
    assert noted in second.output
    assert KEY not in first.output + second.output


def test_a_secret_that_is_not_there_is_said_before_anything_is_touched(project: Checkout) -> None:
    keep_secret(project, '"x"\n[other]')
    project.edit("pyproject.toml", "greeting-key:latest", "greetings-key:latest")
    run = project.pytest(*REHEARSAL)
    assert run.status == 10, run.output
    assert "the version latest of the secret greetings-key" in run.property("reason")
    assert "secrets.toml" in run.property("reason")
    answer = requests.get(f"{project.endpoint}/_local/services", timeout=30)
    assert answer.json() == {"services": []}


def test_the_plan_can_be_pasted_into_a_shell(project: Checkout, tmp_path: Path) -> None:
    left_out = project.root / "function" / ".env"
    left_out.write_text("A=1")
    planned = project.pytest(*REHEARSAL, "--deploy-plan", "-v")
    assert planned.status == 0, planned.output
    assert "deploygate: left out: .env: may hold secrets" in planned.output
    lines = planned.output.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("export CLOUDSDK"))
    end = next(i for i, line in enumerate(lines) if line.startswith("state PLANNED"))
    script = "\n".join(lines[begin:end])
    assert all(
        shlex.split(line.rstrip("\\"), comments=True)
        for line in script.splitlines()
        if line[0] != "#"
    )

    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "gcloud").write_text(GCLOUD)
    (tools / "gcloud").chmod(0o755)
    subprocess.run(
        ["sh", "-eu"],
        input=script,
        text=True,
        cwd=tmp_path,
        check=True,
        env={"PATH": f"{tools}:/usr/bin:/bin"},
    )
    recorded = (tmp_path / "calls").read_text().split("CALL\0")
    calls = [call.split("\0")[:-1] for call in recorded if call]
    [deploy] = (call for call in calls if call[:2] == ["functions", "deploy"])
    assert "--set-env-vars=^##^GREETS=the world, and its dogs##PATHS=a=b;c##REHEARSED=yes" in deploy
    assert "--set-secrets=GREETING_KEY=greeting-key:latest" in deploy
    assert "--no-allow-unauthenticated" in deploy
    assert "--vpc-connector=projects/real-project/locations/europe-west1/connectors/c" in deploy
    verification, variant, candidate = (
        call for call in calls if call[:3] == ["run", "services", "update"]
    )
    assert "--update-env-vars=GREETS=nobody,SHY=yes" in variant
    assert "--remove-env-vars=SHY" in candidate
    assert any("--update-tags=dg-v-shy=newest-revision" in call for call in calls)
    assert "--update-env-vars=GREETS=in a test" in verification
    assert any(word.endswith("GREETS=the world, and its dogs") for word in candidate)
    image = [word for word in verification if word.startswith("--image=")]
    assert image
    assert image == [word for word in candidate if word.startswith("--image=")]
    assert calls[-1][:3] == ["functions", "delete", "hello-world"]
    promote = next(call for call in calls if "--to-revisions=newest-revision=100" in call)
    assert promote[:4] == ["run", "services", "update-traffic", "hello-world"]
