"""Admin calls as Google's own tools make them: masks, pages, filters, etags, and methods that are not there."""

from typing import cast

import pytest
import requests
from google.api_core import exceptions
from google.cloud import run_v2

from tests.emulator.emulator_driver import (
    PARENT,
    Driver,
    RevisionPair,
    finished,
    finished_function,
    make_pair,
    short_name,
    to,
    who,
    zipped,
)

Json = dict[str, object]


@pytest.fixture(scope="module")
def admin(shared_driver: Driver) -> RevisionPair:
    """A service that these tests change as they like."""
    return make_pair(shared_driver, "admin")


def _call(
    driver: Driver, method: str, path: str, body: object = None, **query: str
) -> requests.Response:
    url = f"{driver.cloud.endpoint}/v2/{path}"
    return driver.http.request(method, url, json=body, params=query, timeout=20)


def _settled(driver: Driver, answer: requests.Response) -> Json:
    """The result of the operation that a call began."""
    assert answer.ok, answer.text
    name = str(answer.json()["name"])
    done = _call(driver, "POST", f"{name}:wait", {"timeout": "60s"}).json()
    assert done["done"] is True
    return cast("Json", done)


@pytest.mark.parametrize(
    "mask",
    [
        "serviceConfig.timeoutSeconds,labels",
        "service_config.timeout_seconds,labels",
        "serviceConfig.timeout_seconds, labels",
        "service_config.timeoutSeconds,labels,state,update_time,url",
    ],
)
@pytest.mark.parametrize("parameter", ["updateMask", "update_mask"])
def test_mask_is_read_in_any_case_and_output_is_left_alone(
    shared_driver: Driver, admin: RevisionPair, mask: str, parameter: str
) -> None:
    """The discovery documents have ``updateMask`` alone; Google takes the name of the field as well."""
    driver = shared_driver
    name = f"{PARENT}/functions/admin"
    before = _call(driver, "GET", name).json()
    body = {"serviceConfig": {"timeoutSeconds": 21}, "state": "FAILED", "url": "http://evil"}
    done = _settled(driver, _call(driver, "PATCH", name, body, **{parameter: mask}))
    found = cast("Json", done["response"])
    assert cast("Json", found["serviceConfig"])["timeoutSeconds"] == 21
    assert (found["state"], found["url"]) == ("ACTIVE", before["url"])


@pytest.mark.parametrize(
    "mask",
    ["buildConfig.source.storageSource.object", "build_config.source.storage_source.object_"],
)
def test_mask_names_a_field_that_python_writes_with_an_underscore(
    driver: Driver, admin: RevisionPair, mask: str
) -> None:
    body = {"buildConfig": {"source": {"storageSource": {"object": "not-there.zip"}}}}
    answer = _call(driver, "PATCH", f"{PARENT}/functions/admin", body, updateMask=mask)
    assert (answer.status_code, "not-there.zip" in answer.text) == (400, True)


@pytest.mark.parametrize("mask", ["serviceConfig.none", "labels.a", "state.x", "a..b", ","])
def test_mask_of_no_field_is_refused(driver: Driver, admin: RevisionPair, mask: str) -> None:
    answer = _call(driver, "PATCH", f"{PARENT}/functions/admin", {}, updateMask=mask)
    assert (answer.status_code, "update_mask" in answer.text) == (400, True)


def test_service_keeps_its_template_whatever_is_left_out(
    driver: Driver, admin: RevisionPair
) -> None:
    name = admin.service.name
    traffic = [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}]
    answer = _call(driver, "PATCH", name, {"traffic": traffic})
    assert (answer.status_code, "containers" in answer.text) == (400, True)
    before = driver.service(name)
    mask = "uid,generation,traffic_statuses,latestReadyRevision,conditions"
    _settled(driver, _call(driver, "PATCH", name, {"uid": "mine", "labels": {}}, updateMask=mask))
    after = driver.service(name)
    assert (after.uid, after.template, after.labels) == (before.uid, before.template, before.labels)
    assert after.traffic_statuses == before.traffic_statuses


def test_revisions_come_newest_first_over_all_pages(driver: Driver, function_id: str) -> None:
    service = driver.deploy(function_id, who(), public=False)
    for color in ("red", "green", "blue"):
        wanted = driver.function(function_id, COLOR=color)
        driver.update(wanted, "service_config.environment_variables")
    path = f"{service.name}/revisions"
    first = _call(driver, "GET", path, pageSize="2").json()
    rest = _call(driver, "GET", path, pageSize="3", pageToken=first["nextPageToken"]).json()
    numbers = [
        int(short_name(r["name"]).split("-")[-2]) for r in first["revisions"] + rest["revisions"]
    ]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == 4
    assert "nextPageToken" not in rest
    for token in ("nonsense", "bm9uc2Vuc2U=", "²"):
        assert _call(driver, "GET", path, pageToken=token).status_code == 400


def test_functions_of_all_locations_by_filter_and_order(
    driver: Driver, admin: RevisionPair
) -> None:
    everywhere = "projects/p1/locations/-/functions"

    def names(**query: str) -> list[str]:
        answer = _call(driver, "GET", everywhere, **query)
        assert answer.ok, answer.text
        return [short_name(one["name"]) for one in answer.json().get("functions", [])]

    assert "admin" in names()
    assert "admin" in names(filter='environment="GEN_2" AND state:ACTIVE')
    assert names(filter='environment="GEN_1"') == []
    assert "admin" not in names(filter="NOT state=ACTIVE")
    assert names(filter=f'name="{PARENT}/functions/admin"') == ["admin"]
    assert names(orderBy="name desc") == sorted(names(), reverse=True)
    assert _call(driver, "GET", everywhere, filter="((").status_code == 400
    assert _call(driver, "GET", everywhere, orderBy="1 2 3").status_code == 400
    services = _call(driver, "GET", "projects/p1/locations/-/services").json()["services"]
    assert "admin" in [short_name(one["name"]) for one in services]


def test_revision_is_deleted_only_as_the_etag_says(driver: Driver, function_id: str) -> None:
    service = driver.deploy(function_id, who(), public=False)
    first = service.latest_ready_revision
    wanted = driver.function(function_id, COLOR="red")
    second = driver.update(wanted, "service_config.environment_variables")
    driver.traffic(service.name, to(second.service_config.revision, 100))
    with pytest.raises(exceptions.Conflict, match="not the current one"):
        driver.revisions.delete_revision(
            run_v2.DeleteRevisionRequest(name=first, etag='"other"'), timeout=20
        )
    etag = driver.revisions.get_revision(name=first, timeout=20).etag
    request = run_v2.DeleteRevisionRequest(name=first, etag=etag)
    finished(driver.revisions.delete_revision(request, timeout=20))
    with pytest.raises(exceptions.NotFound):
        driver.revisions.get_revision(name=first, timeout=20)


def test_function_that_never_started_takes_its_service_with_it(
    driver: Driver, function_id: str
) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        driver.create(driver.function(function_id, "raise SystemExit('never')\n"))
    parent, name = PARENT, f"{PARENT}/functions/{function_id}"
    service = f"{parent}/services/{function_id.replace('_', '-')}"
    assert driver.service(service).name == service
    finished(driver.functions.delete_function(name=name, timeout=20))
    with pytest.raises(exceptions.NotFound):
        driver.service(service)


def test_service_is_deleted(driver: Driver, function_id: str) -> None:
    service = driver.deploy(function_id, who())
    finished(driver.services.delete_service(name=service.name, timeout=20))
    with pytest.raises(exceptions.NotFound):
        driver.service(service.name)


def test_operation_is_waited_for_and_forgotten(driver: Driver, admin: RevisionPair) -> None:
    body: Json = {"labels": {}}
    answer = _call(driver, "PATCH", admin.service.name, body, updateMask="labels")
    name = str(_settled(driver, answer)["name"])
    assert _call(driver, "POST", f"{name}:wait", {"timeout": "soon"}).status_code == 400
    assert _call(driver, "DELETE", name).json() == {}
    assert _call(driver, "GET", name).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "named"),
    [
        (
            "POST",
            f"{PARENT}/functions/f:abortFunctionUpgrade",
            "FunctionService.abortFunctionUpgrade",
        ),
        ("POST", f"{PARENT}/functions/f:detachFunction", "FunctionService.detachFunction"),
        ("GET", f"{PARENT}/jobs", "jobs"),
        ("POST", f"{PARENT}/jobs/j:run", "jobs"),
        ("DELETE", f"{PARENT}/workerPools/w", "workerPools"),
    ],
)
def test_documented_method_that_is_not_here_says_so(
    shared_driver: Driver, method: str, path: str, named: str
) -> None:
    answer = _call(shared_driver, method, path, {} if method == "POST" else None)
    error = answer.json()["error"]
    assert (answer.status_code, error["status"]) == (501, "UNIMPLEMENTED")
    assert named in error["message"]
    assert _call(shared_driver, "GET", f"{PARENT}/nothing").status_code == 404


def test_locations_are_listed(driver: Driver) -> None:
    found = _call(driver, "GET", "projects/p1/locations").json()["locations"]
    assert f"{PARENT}" in [one["name"] for one in found]


def test_order_is_that_of_the_whole_list_on_every_page(
    driver: Driver, admin: RevisionPair, function_id: str
) -> None:
    """Pages are cut from what is ordered; a page that is asked for later goes on where the last one ended."""
    for number, label in enumerate(("b", "c", "a")):
        driver.create(driver.function(f"{function_id}{number}", who(), labels={"order": label}))

    def names(token: str = "", **query: str) -> list[str]:
        answer = _call(driver, "GET", f"{PARENT}/functions", pageToken=token, **query).json()
        rest = names(answer["nextPageToken"], **query) if "nextPageToken" in answer else []
        return [short_name(one["name"]) for one in answer["functions"]] + rest

    filters = {"filter": f'name:"{function_id}"', "pageSize": "1"}
    assert names(orderBy="name desc", **filters) == [f"{function_id}{n}" for n in (2, 1, 0)]
    assert names(orderBy="labels.order", **filters) == [f"{function_id}{n}" for n in (2, 0, 1)]
    every = names()
    assert names(orderBy="environment, name desc", pageSize="2") == sorted(every, reverse=True)
    first = _call(driver, "GET", f"{PARENT}/functions", orderBy="name desc", **filters).json()
    finished(
        driver.functions.delete_function(name=f"{PARENT}/functions/{function_id}2", timeout=20)
    )
    token = str(first["nextPageToken"])
    assert names(token, orderBy="name desc", **filters) == [f"{function_id}{n}" for n in (1, 0)]


def test_new_source_object_is_deployed_whatever_generation_the_old_one_had(
    driver: Driver, admin: RevisionPair
) -> None:
    """As firebase-tools masks it: bucket and object, no generation."""
    source = driver.upload(zipped(main_py=who(7)))
    body = {
        "buildConfig": {
            "source": {"storageSource": {"bucket": source.bucket, "object": source.object_}}
        }
    }
    mask = "buildConfig.source.storageSource.bucket,buildConfig.source.storageSource.object"
    done = _settled(
        driver, _call(driver, "PATCH", f"{PARENT}/functions/admin", body, updateMask=mask)
    )
    config = cast("Json", cast("Json", done["response"])["serviceConfig"])
    assert str(config["revision"]) not in {admin.first, admin.second}


def test_policy_is_set_by_the_api_v1_too(driver: Driver, admin: RevisionPair) -> None:
    url = f"{driver.cloud.endpoint}/v1/{admin.service.name}"
    policy = {"policy": {"bindings": [{"role": "roles/run.invoker", "members": ["allUsers"]}]}}
    assert driver.http.post(f"{url}:setIamPolicy", json=policy, timeout=20).ok
    assert driver.http.get(f"{url}:getIamPolicy", timeout=20).json()["bindings"]
    assert driver.get(driver.service(admin.service.name).uri).ok


def test_revision_is_named_as_the_client_says(driver: Driver, admin: RevisionPair) -> None:
    template = _call(driver, "GET", admin.service.name).json()["template"]
    body = {"template": template | {"revision": "admin-mine", "annotations": {"a": "b"}}}
    _settled(driver, _call(driver, "PATCH", admin.service.name, body, updateMask="template"))
    assert short_name(driver.service(admin.service.name).latest_created_revision) == "admin-mine"
    body["template"]["annotations"] = {"a": "c"}
    again = _call(driver, "PATCH", admin.service.name, body, updateMask="template")
    assert (again.status_code, again.json()["error"]["status"]) == (409, "ALREADY_EXISTS")


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("revision", "other-mine", "revision"),
        ("revision", "admin-Mine", "revision"),
        ("revision", "admin-" + "m" * 60, "revision"),
        ("timeout", "3601s", "timeout"),
        ("resources", {"limits": {"memory": "lots"}}, "memory"),
        ("env", [{"name": "PORT", "value": "1"}], "env"),
        ("env", [{"name": "A=B", "value": "1"}], "env"),
        ("env", [{"name": "A", "value": "a\0b"}], "env"),
        ("env", [{"name": "A", "value": "x" * 40_000}], "env"),
        ("env", [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}], "env"),
        ("env", [{"name": f"N{n}", "value": "1"} for n in range(1001)], "env"),
        ("containers", None, "sidecars"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_template_that_the_platform_refuses_is_refused_before_anything_is_stored(
    driver: Driver, admin: RevisionPair, field: str, value: object, named: str
) -> None:
    before = driver.service(admin.service.name)
    template = _call(driver, "GET", admin.service.name).json()["template"]
    container = template["containers"][0]
    if field == "containers":
        template["containers"] *= 2
    elif field in {"resources", "env"}:
        container[field] = value
    else:
        template[field] = value
    answer = _call(
        driver, "PATCH", admin.service.name, {"template": template}, updateMask="template"
    )
    assert (answer.status_code, named in answer.json()["error"]["message"]) == (400, True)
    assert driver.service(admin.service.name) == before


def test_gcloud_gets_what_it_asks_for_before_it_deploys(shared_driver: Driver) -> None:
    """In this order, Google Cloud SDK 528 asks: a 4xx or 501 ends ``gcloud functions deploy``."""

    def ask(method: str, path: str) -> dict[str, object]:
        url = f"{shared_driver.cloud.endpoint}/v1/projects/p1{path}"
        answer = shared_driver.http.request(method, url, timeout=20)
        assert answer.ok, answer.text
        found: dict[str, object] = answer.json()
        return found

    assert ask("GET", "/services/run.googleapis.com")["state"] == "ENABLED"
    account = ask("GET", "/locations/us-central1/defaultServiceAccount")["serviceAccountEmail"]
    number = ask("GET", "")["projectNumber"]
    name = f"{number}-compute@developer.gserviceaccount.com"
    assert account == f"projects/p1/serviceAccounts/{name}"
    assert ask("POST", ":getIamPolicy")["bindings"] == [
        {"role": "roles/cloudbuild.builds.builder", "members": [f"serviceAccount:{name}"]}
    ]


def test_gcloud_lists_functions_of_both_generations(shared_driver: Driver) -> None:
    url = f"{shared_driver.cloud.endpoint}/v1/projects/p1/locations"
    [first, *_] = shared_driver.http.get(url, timeout=20).json()["locations"]
    assert first["name"].startswith("projects/p1/locations/")
    assert shared_driver.http.get(f"{url}/-/functions", timeout=20).json() == {}


def test_stage_that_gcloud_adds_itself_is_not_there_at_first(
    driver: Driver, function_id: str
) -> None:
    """Google Cloud SDK 528 ends with "Duplicate stage key: ARTIFACT_REGISTRY" otherwise."""
    operation = driver.functions.create_function(
        parent=PARENT, function=driver.function(function_id, who()), function_id=function_id
    )
    stages = [stage.name.name for stage in operation.metadata.stages]
    assert stages == ["BUILD", "SERVICE"]
    finished_function(operation)
    stages = [stage.name.name for stage in operation.metadata.stages]
    assert stages == ["ARTIFACT_REGISTRY", "BUILD", "SERVICE"]
