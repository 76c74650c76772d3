"""Services made through Cloud Run by clients that nobody here wrote: built, created, seen, refused, deleted."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import run_v2
from googleapiclient import discovery

from tests.emulator.emulator_driver import (
    PARENT,
    Driver,
    finished,
    finished_service,
    until,
    who,
    zipped,
)

Given = Any
"""What a client gives; the library has no types for it."""
IMAGE = "us-central1-docker.pkg.dev/p1/made/by-run"
Build = Callable[..., Given]


@pytest.fixture
def api(driver: Driver) -> Iterator[Callable[[str, str], Given]]:
    """Clients of google-api-python-client, from the documents that it brings."""
    opened: list[Given] = []

    def build(name: str, version: str) -> Given:
        client = discovery.build(
            name,
            version,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options=ClientOptions(api_endpoint=driver.cloud.endpoint),
            static_discovery=True,
        )
        opened.append(client)
        return client

    yield build
    for client in opened:
        client.close()


@pytest.fixture
def build(driver: Driver, api: Callable[[str, str], Given]) -> Build:
    """Submits a build through googleapis, polls it at Cloud Build, and gives its end."""

    def submit(**more: object) -> Given:
        source = driver.upload(zipped(main_py=who(), requirements_txt=""))
        place = {"bucket": source.bucket, "object": source.object_}
        buildpack = {"runtime": "python311", "functionTarget": "hello"}
        body = {"storageSource": place, "imageUri": IMAGE, "buildpackBuild": buildpack, **more}
        body = {key: value for key, value in body.items() if value is not None}
        builds = api("run", "v2").projects().locations().builds()
        answer = builds.submit(parent=PARENT, body=body).execute()
        name = answer["buildOperation"]["name"]
        assert answer["baseImageUri"].endswith("/python311")
        operations = api("cloudbuild", "v1").projects().locations().operations()
        return until(lambda: operations.get(name=name).execute(), lambda found: found.get("done"))

    return submit


def image_of(built: Given) -> str:
    return f"{IMAGE}@{built['response']['results']['images'][0]['digest']}"


def service(image: str, revision: str = "", **container: object) -> run_v2.Service:
    only = run_v2.Container(image=image, **container)
    return run_v2.Service(template=run_v2.RevisionTemplate(revision=revision, containers=[only]))


def create(driver: Driver, short: str, wanted: run_v2.Service) -> run_v2.Service:
    request = run_v2.CreateServiceRequest(parent=PARENT, service=wanted, service_id=short)
    return finished_service(driver.services.create_service(request, timeout=20))


def test_a_service_is_built_created_seen_by_all_clients_and_deleted(
    driver: Driver, api: Callable[[str, str], Given], build: Build
) -> None:
    image = image_of(build())
    made = create(driver, "made-by-run", service(image, "made-by-run-first"))
    assert made.latest_ready_revision.endswith("/made-by-run-first")
    assert requests.get(made.uri, timeout=20).status_code == 403
    driver.open(made.name)
    assert requests.get(made.uri, timeout=20).ok
    seen = api("run", "v2").projects().locations().services().get(name=made.name).execute()
    assert seen["template"]["containers"][0]["image"] == image
    with pytest.raises(exceptions.Conflict, match="already exists"):
        create(driver, "made-by-run", service(image))
    finished(driver.services.delete_service(name=made.name, timeout=20))
    with pytest.raises(exceptions.NotFound):
        driver.service(made.name)


def test_a_service_made_again_at_once_has_no_revision_of_the_one_before(
    driver: Driver, build: Build
) -> None:
    image = image_of(build())
    made = create(driver, "made-again", service(image, "made-again-first"))
    for name in ("made-again-second", "made-again-third"):
        wanted = service(image, name)
        wanted.name = made.name
        request = run_v2.UpdateServiceRequest(service=wanted, update_mask={"paths": ["template"]})
        finished_service(driver.services.update_service(request, timeout=20))
    driver.services.delete_service(name=made.name, timeout=20)
    url = f"{driver.cloud.endpoint}/v2/{made.name}"
    while driver.http.get(url, timeout=20).ok:  # without a pause: its instances end in no time
        pass
    again = create(driver, "made-again", service(image, "made-again-new"))
    assert again.latest_ready_revision.endswith("/made-again-new")
    names = [r.name.rpartition("/")[2] for r in driver.revisions.list_revisions(parent=made.name)]
    assert names == ["made-again-new"]


def test_a_tag_leads_to_the_newest_build_and_digests_stay(
    api: Callable[[str, str], Given], build: Build
) -> None:
    first, second = image_of(build()), image_of(build())
    packages = api("artifactregistry", "v1").projects().locations().repositories().packages()
    package = f"{PARENT}/repositories/made/packages/by-run"
    tag = packages.tags().get(name=f"{package}/tags/latest").execute()
    assert tag["version"] == f"{package}/versions/{second.partition('@')[2]}"
    old = packages.versions().get(name=f"{package}/versions/{first.partition('@')[2]}").execute()
    assert old["name"].endswith(first.partition("@")[2])


def test_a_chosen_name_makes_a_revision_and_newest_is_told_by_age(
    driver: Driver, build: Build
) -> None:
    image = image_of(build())
    made = create(driver, "named", service(image, "named-z"))
    wanted = service(image, "named-a")
    wanted.name = made.name
    request = run_v2.UpdateServiceRequest(service=wanted, update_mask={"paths": ["template"]})
    after = finished_service(driver.services.update_service(request, timeout=20))
    assert after.latest_ready_revision.endswith("/named-a")
    names = [r.name.rpartition("/")[2] for r in driver.revisions.list_revisions(parent=made.name)]
    assert names == ["named-a", "named-z"]
    with pytest.raises(exceptions.Conflict, match="different configuration"):
        driver.services.update_service(request, timeout=20)


@pytest.mark.parametrize(
    ("short", "wanted", "words"),
    [
        ("Bad_Name", service(IMAGE), "Invalid service id"),
        ("foreign-image", service("docker.io/library/nginx:1"), "that it built itself"),
        ("no-image", run_v2.Service(), "must have an image"),
        ("bad-revision", service(IMAGE, "other-1"), "must begin with bad-revision-"),
    ],
)
def test_what_cannot_be_is_refused_with_the_field(
    driver: Driver, short: str, wanted: run_v2.Service, words: str
) -> None:
    with pytest.raises(exceptions.BadRequest, match=words):
        create(driver, short, wanted)
    with pytest.raises(exceptions.NotFound):
        driver.service(f"{PARENT}/services/{short}")


def test_secrets_outside_of_the_instances_own_directory_are_refused(
    driver: Driver, build: Build
) -> None:
    mount = run_v2.VolumeMount(name="s", mount_path="/secrets")
    with pytest.raises(exceptions.BadRequest, match="below /tmp only"):
        create(driver, "mounts", service(image_of(build()), volume_mounts=[mount]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"imageUri": ""}, "image_uri"),
        ({"buildpackBuild": {"runtime": "cobol", "functionTarget": "hello"}}, "runtime"),
        ({"buildpackBuild": {"runtime": "python311", "functionTarget": "no name"}}, "function_target"),
        ({"storageSource": {"bucket": "none", "object": "x"}}, "there is no object"),
        ({"dockerBuild": {}, "buildpackBuild": None}, "buildpacks only"),
    ],
)  # fmt: skip
def test_a_build_that_cannot_be_is_refused(build: Build, change: dict[str, object], words: str) -> None:  # fmt: skip
    with pytest.raises(Exception, match=words):
        build(**change)


def test_a_build_that_fails_says_so_in_its_operation(driver: Driver, build: Build) -> None:
    driver.fault(path="builds:submit", operation={"kind": "build_failed", "message": "no wheel"})
    failed = build()
    assert "no wheel" in failed["error"]["message"]
    assert failed["metadata"]["build"]["status"] == "FAILURE"


def test_objects_come_and_go_whole(driver: Driver) -> None:
    base = driver.cloud.endpoint
    place = {"uploadType": "media", "name": "a/b.zip"}
    missing = driver.http.post(
        f"{base}/upload/storage/v1/b/none/o", params=place, data=b"x", timeout=20
    )
    assert missing.status_code == 404
    made = driver.http.post(
        f"{base}/storage/v1/b", params={"project": "p1"}, json={"name": "bucket-1"}, timeout=20
    )
    assert made.ok, made.text
    again = driver.http.post(
        f"{base}/storage/v1/b", params={"project": "p1"}, json={"name": "bucket-1"}, timeout=20
    )
    assert again.status_code == 409
    put = driver.http.post(
        f"{base}/upload/storage/v1/b/bucket-1/o", params=place, data=b"content", timeout=20
    ).json()
    url = f"{base}/storage/v1/b/bucket-1/o/a%2Fb.zip"
    query = {"alt": "media", "generation": put["generation"]}
    assert driver.http.get(url, params=query, timeout=20).content == b"content"
    other = {"alt": "media", "generation": "7"}
    assert driver.http.get(url, params=other, timeout=20).status_code == 404
    assert driver.http.get(f"{base}/storage/v1/b/bucket-1", timeout=20).json()["name"] == "bucket-1"
