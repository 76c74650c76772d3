"""What is assumed of Google and written down nowhere, one named check each, printed and recorded.

Runs on the emulator always, and on Google when ``DEPLOYGATE_GCP_PROJECT`` is set: about a quarter of an hour and a few
cents (docs/explanation/google-proof.md). One function is made; a process of its own deletes it when this one ends,
however.
"""

import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from pytest_deploygate.core.function_spec import Variant
from pytest_deploygate.core.identifiers import RevisionName, RolloutId
from pytest_deploygate.core.release import RolloutLabels
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.targets.cloud_functions import CloudFunctionsTarget
from pytest_deploygate.targets.json_api import Json
from tests.contract.target.function_cleaner import (
    BUDGET_S,
    PROJECT,
    ROOT,
    deleted_afterwards,
    google_target,
)
from tests.contract.target.google_recordings import (
    RECORDINGS,
    keep,
    record_all,
    sanitised,
    say,
)
from tests.contract.target.staged_function import make_source, make_spec, make_target, quietly
from tests.emulator.emulator_driver import Driver, until

FUNCTION = f"dg_assume_{secrets.token_hex(3)}"
LABELS = RolloutLabels(rollout=RolloutId("assumptions"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The function that is looked at, its revisions, and the platform's answers as they are."""

    target: CloudFunctionsTarget
    service: str
    baseline: RevisionName
    built: RevisionName
    first_operation: str

    def send(
        self, check: str, method: str, path: str, *, api: str = "run", body: Json | None = None,
        **params: str,
    ) -> requests.Response:  # fmt: skip
        """One request; its answer is printed and recorded under the name of the check."""
        clients = self.target._clients
        endpoint = clients.endpoint or f"https://{api}.googleapis.com"
        answer = clients.session.request(
            method, f"{endpoint}/{path}", json=body, params=params, timeout=60
        )
        keep(check, answer, self.target.spec.project)
        return answer

    def ask(self, check: str, path: str, version: str = "v2", api: str = "run") -> Json:
        """What the platform says of one resource."""
        answer = self.send(check, "GET", f"{version}/{path}", api=api)
        answer.raise_for_status()
        found: Json = answer.json()
        return found

    @property
    def function(self) -> str:
        """Full name of the function."""
        spec = self.target.spec
        return f"projects/{spec.project}/locations/{spec.region}/functions/{spec.function}"


@pytest.fixture(scope="module", params=["local", "google"])
def subject(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Subject]:
    """A function with a pinned baseline and a second build beside it; gone afterwards."""
    folder = tmp_path_factory.mktemp("assumptions")
    source = make_source(folder / "source")
    is_local = request.param == "local"
    if is_local:
        driver: Driver = request.getfixturevalue("shared_driver")
        endpoint = driver.cloud.endpoint
        target = make_target(driver, make_spec(FUNCTION, source), folder / "records")
    else:
        if not os.environ.get(PROJECT):
            pytest.skip(f"no Google project: {PROJECT} is not set, so nothing is proved there")
        endpoint = ""
        target = google_target(FUNCTION, folder)
    record_all(target, f"assumptions-{request.param}")
    with deleted_afterwards(FUNCTION, folder, endpoint):
        first = begin(target)
        baseline = target.await_release(first, progress=quietly, budget_s=BUDGET_S)
        target.pin(target.snapshot(), LABELS)
        make_source(
            source,
            """\
import os


def hello(request):
    return os.environ['SHEET']
""",
        )
        built = build(target)
        service = target.snapshot().service
        yield Subject(
            target=target,
            service=service,
            baseline=baseline,
            built=built,
            first_operation=first,
        )
    target.close()


def begin(target: CloudFunctionsTarget) -> str:
    return target.begin_release(target.upload(target.package()), LABELS)


def build(target: CloudFunctionsTarget) -> RevisionName:
    return target.await_release(begin(target), progress=quietly, budget_s=BUDGET_S)


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
    for check, revision in (("first-build", subject.baseline), ("second-build", subject.built)):
        subject.ask(f"revision-of-the-{check}", f"{subject.service}/revisions/{revision}")
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
    found = subject.ask("service-after-asking-again", subject.service)
    assert found["latestCreatedRevision"].endswith(first)


def test_a_write_of_labels_alone_makes_no_revision(subject: Subject) -> None:
    before = subject.ask("service-before-labels-alone", subject.service)
    subject.send(
        "labels-alone", "PATCH", f"v2/{subject.service}", updateMask="labels",
        body={"etag": before["etag"], "labels": {**before["labels"], "asked": "labels"}},
    ).raise_for_status()  # fmt: skip
    until(subject.target.snapshot, lambda found: found.is_settled, seconds=120)
    after = subject.ask("service-after-labels-alone", subject.service)
    assert after["labels"]["asked"] == "labels"
    assert after["latestCreatedRevision"] == before["latestCreatedRevision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Function and service before and after one ``functions.patch`` that names its labels alone."""

    function_before: Json
    function_after: Json
    service_after: Json


@pytest.fixture(scope="module")
def update(subject: Subject) -> Update:
    """Somebody tags, labels and changes variables through Cloud Run; then the function's labels are updated."""
    target = subject.target
    service = subject.ask("service-before-foreign-changes", subject.service)
    [container] = service["template"]["containers"]
    container["env"] = [*container["env"], {"name": "ONLY_CLOUD_RUN", "value": "1"}]
    kind = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
    body = {
        "etag": service["etag"],
        "labels": {**service["labels"], "foreign": "kept"},
        "traffic": [
            {"type": kind, "revision": subject.baseline, "percent": 100},
            {"type": kind, "revision": subject.built, "tag": "blue"},
        ],
        "template": {"containers": [container]},
    }
    mask = {"updateMask": "traffic,labels,template.revision,template.containers"}
    path = f"v2/{subject.service}"
    subject.send("foreign-changes", "PATCH", path, body=body, **mask).raise_for_status()
    known = service["latestCreatedRevision"].rpartition("/")[2]
    newest = until(target.snapshot, lambda s: s.latest_created != known, seconds=120).latest_created
    assert newest is not None
    target.await_revision(newest, budget_s=BUDGET_S)
    before = subject.ask("function-before-an-update", subject.function, api="cloudfunctions")
    begun = subject.send(
        "update-of-labels-alone", "PATCH", f"v2/{subject.function}", api="cloudfunctions",
        body={"labels": {**before["labels"], "asked": "again"}}, updateMask="labels",
    )  # fmt: skip
    begun.raise_for_status()
    target.await_release(begun.json()["name"], progress=quietly, budget_s=BUDGET_S)
    return Update(
        function_before=before,
        function_after=subject.ask(
            "function-after-an-update", subject.function, api="cloudfunctions"
        ),
        service_after=subject.ask("service-after-an-update", subject.service),
    )


def test_a_foreign_tag_and_a_foreign_label_survive_an_update(update: Update) -> None:
    assert "blue" in {t.get("tag") for t in update.service_after["traffic"]}
    assert update.service_after["labels"]["foreign"] == "kept"


def test_a_variable_that_only_cloud_run_knows_survives_an_update_that_does_not_name_it(
    update: Update,
) -> None:
    [container] = update.service_after["template"]["containers"]
    assert "ONLY_CLOUD_RUN" in {one["name"] for one in container["env"]}


def test_an_update_of_labels_alone_builds_again(update: Update) -> None:
    before, after = update.function_before, update.function_after
    assert after["buildConfig"]["build"] != before["buildConfig"]["build"]


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
    for check, api, resource in (
        ("permissions-on-the-function", "cloudfunctions", subject.function),
        ("permissions-on-the-service", "run", subject.service),
    ):
        wanted = f"{'cloudfunctions.functions' if api != 'run' else 'run.services'}.update"
        answer = subject.send(
            check, "POST", f"v2/{resource}:testIamPermissions", api=api,
            body={"permissions": [wanted]},
        )  # fmt: skip
        assert answer.status_code in (200, 403, 501)
    found = subject.target.preflight()
    say(f"preflight: {[f.sentence for f in found]}")
    assert not any(f.is_blocking for f in found)


def test_an_operation_of_long_ago_can_still_be_read(subject: Subject) -> None:
    found = subject.ask("first-operation", subject.first_operation, api="cloudfunctions")
    assert found["done"]
    assert found["response"]["serviceConfig"]["revision"] == subject.baseline
    parent = subject.function.rpartition("/functions/")[0]
    listed = subject.ask("operations-of-the-region", f"{parent}/operations", api="cloudfunctions")
    made = [o.get("metadata", {}).get("createTime", "") for o in listed["operations"]]
    say(f"oldest-operation: {min(filter(None, made))} of {len(made)}")
    assert subject.target.find_operation() is None


def test_a_revision_name_that_exists_is_refused_or_changes_nothing(subject: Subject) -> None:
    service = subject.ask("service-before-an-echoed-name", subject.service)
    newest = service["latestCreatedRevision"]
    template = {**service["template"], "revision": newest.rpartition("/")[2]}
    answer = subject.send(
        "echoed-revision-name", "PATCH", f"v2/{subject.service}",
        body={"etag": service["etag"], "template": template}, updateMask="template",
    )  # fmt: skip
    assert answer.status_code in (200, 409)
    assert subject.target.snapshot().latest_created == newest.rpartition("/")[2]


def test_which_form_of_its_image_a_revision_shows(subject: Subject) -> None:
    found = subject.ask("image-of-a-built-revision", f"{subject.service}/revisions/{subject.built}")
    image = found["containers"][0]["image"]
    say(f"image-of-a-built-revision: {'digest' if '@sha256:' in image else 'tag'}: {image}")
    assert re.search(r"@sha256:|:version_\d+$", image)


def test_the_image_of_a_revision_can_be_tagged(subject: Subject) -> None:
    for check, revision in (("made", subject.built), ("moved", subject.baseline)):
        subject.target.keep_image(revision, "dg-prev")
        info = subject.target.revision(revision)
        assert info is not None
        named = re.match(r"([a-z0-9-]+)-docker\.pkg\.dev/([^/]+)/([^/]+)/([^@:]+)", info.image)
        assert named is not None
        location, project, repository, package = named.groups()
        path = (
            f"projects/{project}/locations/{location}/repositories/{repository}"
            f"/packages/{quote(package, safe='')}/tags/dg-prev"
        )
        found = subject.ask(f"image-tag-that-was-{check}", path, "v1", "artifactregistry")
        assert found["version"].endswith(info.digest)


def test_services_of_all_regions_can_be_listed(subject: Subject) -> None:
    spec = subject.target.spec
    path = f"apis/serving.knative.dev/v1/namespaces/{spec.project}/services"
    found = subject.send("services-of-all-regions", "GET", path).json()
    slug = subject.service.rpartition("/")[2]
    [own] = [one["metadata"] for one in found["items"] if one["metadata"]["name"] == slug]
    assert own["labels"]["cloud.googleapis.com/location"] == spec.region


def test_what_a_submitted_build_must_have(subject: Subject) -> None:
    parent = subject.service.rpartition("/services/")[0]
    answer = subject.send(
        "builds-submit-without-anything", "POST", f"v2/{parent}/builds:submit", body={}
    )
    assert answer.status_code in (400, 403, 501)


def test_recordings_tell_of_nobody() -> None:
    text = """{"creator": "ann.lee@shop.example.org", "bucket": "gcf-v2-sources-998877665544-r",
    "lastModifier": "service-998877665544@gcf-admin-robot.iam.gserviceaccount.com",
    "name": "projects/shop-424242/locations/r", "url": "https://x?X-Goog-Signature=abc&a=b",
    "image": "r-docker.pkg.dev/shop-424242/gcf-artifacts/shop--424242__r__f@sha256:0a12345678901b",
    "build": "projects/32555940559/locations/r", "uri": "https://f-32555940559.r.run.app",
    "uploadUrl": "https://x?GoogleAccessId=b&Signature=def%3D", "token": "eyJhbGciOi.eyJpc3Mi.c2ln",
    "accessToken": "ya29.c.abc-def_g", "createTime": "2026-11-24T07:45:00.123456789Z"}"""
    clean = sanitised(text, "shop-424242")
    assert not re.search(r"ann|lee|998877665544|32555940559|424242|=abc|=def|eyJ|ya29", clean)
    assert "sha256:0a12345678901b" in clean
    assert "00.123456789Z" in clean
    assert "service-123456789012@gcf-admin-robot.iam.gserviceaccount.com" in clean


def test_every_answer_that_a_target_got_is_recorded(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "recordings"
    monkeypatch.setenv(RECORDINGS, str(folder))
    target = make_target(driver, make_spec("dg_told", make_source(tmp_path / "s")), tmp_path)
    record_all(target, "told")
    target.preflight()
    target.close()
    names = {path.name for path in folder.iterdir()}
    assert {"told-GET-functions-dg_told.json", "told-GET-services-dg-told.json"} <= names


def test_the_function_is_deleted_although_the_tests_are_killed(
    driver: Driver, tmp_path: Path
) -> None:
    name = f"dg_killed_{secrets.token_hex(3)}"
    target = make_target(driver, make_spec(name, make_source(tmp_path / "source")), tmp_path)
    begin(target)  # and nobody waits for it
    code = (
        "import sys, time; from pathlib import Path\n"
        "from tests.contract.target.function_cleaner import start_cleaner\n"
        "start_cleaner(sys.argv[1], Path(sys.argv[2]), sys.argv[3])\n"
        "print('ready', flush=True); time.sleep(600)\n"
    )
    command = [sys.executable, "-c", code, name, str(tmp_path), driver.cloud.endpoint]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as tests:
        assert tests.stdout is not None
        assert tests.stdout.readline() == b"ready\n"
        tests.kill()
    until(
        target.snapshot,
        lambda found: not found.exists and not found.rollout_labels.rollout,
        seconds=120,
    )
    target.close()
