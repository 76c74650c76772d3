"""What is assumed of Google and written down nowhere, one named check each, printed and recorded.

Runs on the emulator always, and on Google when ``DEPLOYGATE_GCP_PROJECT`` is set (docs/google-proof.md): about a
quarter of an hour and a few cents. One function is made; a process of its own deletes it when this one ends, however.
"""

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from pytest_deploygate.core.identifiers import RevisionName, RolloutId
from pytest_deploygate.core.release import RolloutLabels, Variant
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.targets.cloud_functions import CloudFunctionsTarget
from pytest_deploygate.targets.json_api import Json
from tests.contract.target.staged_function import make_source, make_spec, make_target, quietly
from tests.contract.target.test_conformance import BUDGET_S, PROJECT, REGION, SystemClock
from tests.emulator.emulator_driver import Driver

RECORDINGS = "DEPLOYGATE_GCP_RECORDINGS"
FUNCTION = f"dg_assume_{secrets.token_hex(3)}"
LABELS = RolloutLabels(rollout=RolloutId("assumptions"))
_DELETES = """
import sys
from pathlib import Path
from tests.contract.target.test_google_assumptions import google_target
sys.stdin.read()  # ends when the process that started this one does
target = google_target(sys.argv[1], Path(sys.argv[2]))
if target.snapshot().exists:
    target.set_public(False)
target.delete_function()
"""
_HIDDEN = re.compile(r"(Bearer |X-Goog-Signature=|X-Goog-Credential=)[^\"&\s]+")


def google_target(function: str, folder: Path) -> CloudFunctionsTarget:
    """A target on the project that the caller named."""
    from pytest_deploygate.targets.auth import credentials_for

    project = os.environ[PROJECT]
    region = os.environ.get(REGION, "us-central1")
    spec = make_spec(
        function, folder / "source", project=project, region=region, runtime="python312"
    )
    return CloudFunctionsTarget(
        spec=spec, credentials=credentials_for(project), home=folder / "records",
        clock=SystemClock(), is_local=False,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The function that is looked at, its revisions, and the platform's answers as they are."""

    target: CloudFunctionsTarget
    service: str
    baseline: RevisionName
    built: RevisionName
    is_local: bool

    def ask(self, check: str, path: str, version: str = "v2") -> Json:
        """One answer of the platform, printed and recorded under the name of the check."""
        session = self.target._clients.session
        endpoint = self.target._clients.endpoint or "https://run.googleapis.com"
        answer = session.get(f"{endpoint}/{version}/{path}", timeout=60)
        keep(check, answer, self.target.spec.project)
        found: Json = answer.json()
        return found


def say(text: str) -> None:
    """What a person who runs this on Google reads (with ``-s``)."""
    sys.stdout.write(f"\n{text}\n")


def keep(check: str, answer: requests.Response, project: str) -> None:
    """Print an answer, and write it down without the project's name and anything that is signed."""
    text = json.dumps(answer.json(), indent=1)
    clean = _HIDDEN.sub(r"\1***", text).replace(project, "project-1")
    clean = re.sub(r"\b\d{12}\b", "123456789012", clean)
    say(f"{check}: {answer.status_code}\n{clean}")
    if folder := os.environ.get(RECORDINGS):
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        (path / f"{check}.json").write_text(clean + "\n", encoding="utf-8")


@pytest.fixture(scope="module", params=["local", "google"])
def subject(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Subject]:
    """A function with a pinned baseline and a second build beside it; gone afterwards."""
    folder = tmp_path_factory.mktemp("assumptions")
    source = make_source(folder / "source")
    is_local = request.param == "local"
    cleaner: subprocess.Popen[bytes] | None = None
    if is_local:
        driver: Driver = request.getfixturevalue("shared_driver")
        target = make_target(driver, make_spec(FUNCTION, source), folder / "records")
    else:
        if not os.environ.get(PROJECT):
            pytest.skip(f"no Google project: {PROJECT} is not set, so nothing is proved there")
        target = google_target(FUNCTION, folder)
        cleaner = subprocess.Popen(
            [sys.executable, "-c", _DELETES, FUNCTION, str(folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
    try:
        baseline = build(target)
        target.pin(target.snapshot(), LABELS)
        make_source(source, "import os\n\n\ndef hello(request):\n    return os.environ['SHEET']\n")
        built = build(target)
        service = target.snapshot().service
        yield Subject(
            target=target, service=service, baseline=baseline, built=built, is_local=is_local
        )
    finally:
        target.delete_function()
        target.close()
        if cleaner is not None and cleaner.stdin is not None:
            cleaner.stdin.close()
            cleaner.wait(BUDGET_S)


def build(target: CloudFunctionsTarget) -> RevisionName:
    operation = target.begin_release(target.upload(target.package()), LABELS)
    return target.await_release(operation, progress=quietly, budget_s=BUDGET_S)


def test_an_update_leaves_pinned_traffic_alone(subject: Subject) -> None:
    found = subject.ask("update-leaves-pinned-traffic", subject.service)
    named = {t.get("revision"): t.get("percent") for t in found["traffic"]}
    assert named == {subject.baseline: 100}


def test_latest_ready_stays_while_the_newest_has_no_traffic(subject: Subject) -> None:
    found = subject.ask("latest-ready-stays", subject.service)
    assert found["latestReadyRevision"].endswith(subject.baseline)
    assert found["latestCreatedRevision"].endswith(subject.built)


def test_a_staged_revision_is_ready_and_tells_its_digest(subject: Subject) -> None:
    path = f"{subject.service}/revisions/{subject.built}"
    found = subject.ask("revision-tells-its-digest", path)
    ready = [c["state"] for c in found["conditions"] if c["type"] == "Ready"]
    assert ready == ["CONDITION_SUCCEEDED"]
    info = subject.target.revision(subject.built)
    assert info is not None
    assert info.digest.startswith("sha256:")


def test_the_older_api_tells_the_digest_too(subject: Subject) -> None:
    place = subject.service.partition("/services/")[0]
    found = subject.ask("v1-tells-the-digest", f"{place}/revisions/{subject.built}", "v1")
    assert "@sha256:" in found["status"]["imageDigest"]


def test_each_build_has_a_digest_of_its_own_under_one_tag(subject: Subject) -> None:
    one, other = subject.target.revision(subject.baseline), subject.target.revision(subject.built)
    assert one is not None
    assert other is not None
    assert one.image == other.image
    assert one.digest != other.digest


def test_two_template_patches_in_a_row_make_two_revisions_of_one_digest(subject: Subject) -> None:
    target = subject.target
    verification = target.add_revision(subject.built, Variant.VERIFICATION)
    candidate = target.add_revision(subject.built, Variant.CANDIDATE)
    for revision in (verification, candidate):
        target.await_revision(revision, budget_s=BUDGET_S)
    infos = [target.revision(name) for name in (subject.built, verification, candidate)]
    assert len({info.digest for info in infos if info is not None}) == 1
    assert [info.variables["SHEET"] for info in infos if info is not None] == [
        "production",
        "staging",
        "production",
    ]
    found = subject.ask("template-after-two-patches", subject.service)
    assert {t.get("revision"): t.get("percent") for t in found["traffic"]} == {
        subject.baseline: 100
    }
    assert not found["template"].get("revision")


def test_asking_again_for_the_newest_revision_makes_no_other(subject: Subject) -> None:
    first = subject.target.add_revision(subject.built, Variant.CANDIDATE)
    assert subject.target.add_revision(subject.built, Variant.CANDIDATE) == first


def test_a_foreign_tag_and_a_foreign_label_survive_an_update(subject: Subject) -> None:
    target = subject.target
    now = target.snapshot()
    session = target._clients.session
    endpoint = target._clients.endpoint or "https://run.googleapis.com"
    kind = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
    body = {
        "etag": now.etag,
        "labels": {**subject.ask("labels-before", subject.service)["labels"], "foreign": "kept"},
        "traffic": [
            {"type": kind, "revision": subject.baseline, "percent": 100},
            {"type": kind, "revision": subject.built, "tag": "blue"},
        ],
    }
    mask = {"updateMask": "traffic,labels"}
    url = f"{endpoint}/v2/{subject.service}"
    session.patch(url, params=mask, json=body, timeout=60).raise_for_status()
    target.shift_traffic(now.traffic, expect=now.serving)  # waits until it holds
    build(target)
    found = subject.ask("foreign-tag-and-label-after-an-update", subject.service)
    assert "blue" in {t.get("tag") for t in found["traffic"]}
    assert found["labels"]["foreign"] == "kept"


def test_how_soon_a_tag_that_moved_leads_to_its_new_revision(subject: Subject) -> None:
    target = subject.target
    resting = Traffic.of({subject.baseline: 100})
    for revision in (subject.baseline, subject.built):
        after = target.shift_traffic(resting.with_tags({"dg-cand": revision}), expect=resting)
        began = time.monotonic()
        token = target.call_token()
        headers = {"Authorization": f"Bearer {token.reveal()}"} if token is not None else {}
        wanted = "production" if revision == subject.built else None
        status, text = 0, ""
        while time.monotonic() - began < 120 and (status != 200 or wanted not in (None, text)):
            answer = requests.get(after.tag_urls["dg-cand"], headers=headers, timeout=60)
            status, text = answer.status_code, answer.text
        say(f"tag-leads-there-after: {time.monotonic() - began:.1f} s, {status}")
        assert status == 200


def test_what_is_said_to_whoever_asks_for_permissions(subject: Subject) -> None:
    found = subject.target.preflight()
    say(f"preflight: {[f.sentence for f in found]}")
    assert not any(f.is_blocking for f in found)
