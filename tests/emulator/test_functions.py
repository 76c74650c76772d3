"""Functions: created private, updated by mask, built or not, failing without harm, deleted whole."""

import pytest
from google.api_core import exceptions
from google.cloud import functions_v2, run_v2

from tests.emulator.emulator_driver import (
    PARENT,
    Driver,
    RevisionPair,
    finished,
    finished_function,
    finished_service,
    latest,
    short_name,
    to,
    until,
    who,
    zipped,
)

_Stage = functions_v2.Stage.Name


def test_first_release_is_private_until_opened(driver: Driver, function_id: str) -> None:
    service = driver.deploy(function_id, who(), public=False)
    assert driver.get(service.uri).status_code == 403
    assert driver.get(service.uri, Authorization="Bearer any").json()["version"] == 1
    driver.open(service.name)
    assert driver.get(service.uri).status_code == 200


def test_service_is_named_after_the_function(driver: Driver, function_id: str) -> None:
    service = driver.deploy(function_id, who())
    assert short_name(service.name) == function_id.replace("_", "-")
    first = short_name(service.latest_ready_revision)
    assert first.startswith(f"{short_name(service.name)}-00001-")
    function = driver.update(driver.function(function_id, who(2)), "build_config")
    assert function.service_config.revision > first


def test_update_moves_traffic_when_it_follows_latest(driver: Driver, function_id: str) -> None:
    service = driver.deploy(function_id, who())
    assert service.traffic == [latest()]
    function = driver.update(driver.function(function_id, who(2)), "build_config")
    assert driver.answering(service.uri) == function.service_config.revision


def test_update_stays_at_zero_percent_when_traffic_is_pinned(
    driver: Driver, function_id: str
) -> None:
    service = driver.deploy(function_id, who())
    first = short_name(service.latest_ready_revision)
    driver.traffic(service.name, to(first, 100), to(first, tag="kept"))
    function = driver.update(driver.function(function_id, who(2)), "build_config")
    second = function.service_config.revision
    after = driver.service(service.name)
    assert driver.answering(service.uri) == first
    assert short_name(after.latest_created_revision) == second
    assert (
        short_name(after.latest_ready_revision) == first
    )  # one without traffic is retired, not the latest
    assert not function.service_config.all_traffic_on_latest_revision
    assert [status.tag for status in after.traffic_statuses] == ["", "kept"]


def test_update_with_all_traffic_on_latest_unpins_and_keeps_tags(
    driver: Driver, function_id: str
) -> None:
    service = driver.deploy(function_id, who())
    first = short_name(service.latest_ready_revision)
    driver.traffic(service.name, to(first, 100), to(first, tag="kept"))
    wanted = driver.function(function_id, who(2))
    wanted.service_config.all_traffic_on_latest_revision = True
    function = driver.update(
        wanted, "build_config", "service_config.all_traffic_on_latest_revision"
    )
    assert driver.answering(service.uri) == function.service_config.revision
    assert [(t.type_, t.percent, t.tag) for t in driver.service(service.name).traffic] == [
        (1, 100, ""),
        (2, 0, "kept"),
    ]


def digests(driver: Driver, service: str) -> list[str]:
    """Images that the revisions of a service run, newest first; the library lacks the field."""
    url = f"{driver.cloud.endpoint}/v2/{service}/revisions"
    revisions = driver.http.get(url, timeout=20).json()["revisions"]
    return [str(one["containerStatuses"][0]["imageDigest"]) for one in revisions]


def test_update_of_variables_alone_builds_again_and_overwrites_the_tag(
    driver: Driver, function_id: str
) -> None:
    service = driver.deploy(function_id, who(), COLOR="red")
    wanted = driver.function(function_id, COLOR="blue", labels={"made": "second"})
    request = functions_v2.UpdateFunctionRequest(
        function=wanted, update_mask={"paths": ["service_config.environment_variables", "labels"]}
    )
    operation = driver.functions.update_function(request, timeout=20)
    function = finished_function(operation)
    stages = [stage.name for stage in operation.metadata.stages]
    assert stages == [_Stage.ARTIFACT_REGISTRY, _Stage.BUILD, _Stage.SERVICE]
    assert driver.get(service.uri).json() == {
        "revision": function.service_config.revision, "color": "blue", "version": 1,
    }  # fmt: skip
    newer, older = driver.revisions.list_revisions(parent=service.name)
    assert newer.containers[0].image == older.containers[0].image
    assert newer.containers[0].image.endswith(":version_1")
    env = {e.name: e.value for e in newer.containers[0].env}
    assert env == {"COLOR": "blue", "FUNCTION_TARGET": "hello"}
    assert (newer.labels["made"], "made" in older.labels) == ("second", False)
    second, first = digests(driver, service.name)
    assert second != first
    assert second.partition("@")[2].startswith("sha256:")


def test_every_build_has_a_digest_of_its_own(driver: Driver, function_id: str) -> None:
    service = driver.deploy(function_id, who())
    driver.update(driver.function(function_id, who()), "build_config")
    second, first = digests(driver, service.name)
    assert second != first


def test_what_was_put_into_the_template_comes_back_with_the_next_update(
    driver: Driver, function_id: str
) -> None:
    service = driver.deploy(function_id, who(), COLOR="red")
    service.template.revision = ""
    service.template.containers[0].env[0].value = "green"
    message = run_v2.Service(name=service.name, template=service.template)
    request = run_v2.UpdateServiceRequest(service=message, update_mask={"paths": ["template"]})
    finished_service(driver.services.update_service(request, timeout=20))
    name = f"{PARENT}/functions/{function_id}"
    shown = driver.functions.get_function(name=name, timeout=20)
    assert shown.service_config.environment_variables["COLOR"] == "green"
    driver.update(driver.function(function_id, labels={"team": "a"}), "labels")
    assert driver.get(service.uri).json()["color"] == "green"


def test_a_revision_without_traffic_is_ready_and_retired(driver: Driver, function_id: str) -> None:
    service = driver.deploy(function_id, who())
    first = short_name(service.latest_ready_revision)
    driver.traffic(service.name, to(first, 100))
    function = driver.update(driver.function(function_id, who(2)), "build_config")
    states = {}
    for revision in (first, function.service_config.revision):
        name = f"{service.name}/revisions/{revision}"
        conditions = driver.revisions.get_revision(name=name, timeout=20).conditions
        states[revision] = {c.type_: (c.state.name, c.revision_reason.name) for c in conditions}
    retired = states[function.service_config.revision]
    assert retired["Ready"] == ("CONDITION_SUCCEEDED", "RETIRED")
    assert retired["Active"] == ("CONDITION_FAILED", "RETIRED")
    assert states[first]["Active"][0] == "CONDITION_SUCCEEDED"


def test_masked_field_that_is_absent_is_cleared_and_others_stay(
    driver: Driver, function_id: str
) -> None:
    driver.create(driver.function(function_id, who(), labels={"team": "a"}, COLOR="red", SIZE="1"))
    wanted = functions_v2.Function(name=f"{PARENT}/functions/{function_id}")
    function = driver.update(wanted, "service_config.environment_variables")
    assert dict(function.service_config.environment_variables) == {}
    assert dict(function.labels) == {"team": "a"}
    assert function.service_config.available_memory == "512Mi"
    assert function.build_config.entry_point == "hello"


def test_labels_reach_the_service_and_foreign_ones_stay(driver: Driver, function_id: str) -> None:
    function = driver.create(driver.function(function_id, who(), labels={"team": "a", "old": "x"}))
    name = function.service_config.service
    service = driver.service(name)
    service.labels["foreign"] = "kept"
    request = run_v2.UpdateServiceRequest(
        service=run_v2.Service(name=name, labels=service.labels), update_mask={"paths": ["labels"]}
    )
    finished_service(driver.services.update_service(request, timeout=20))
    driver.update(driver.function(function_id, labels={"team": "b"}), "labels")
    labels = dict(driver.service(name).labels)
    own = {name: value for name, value in labels.items() if not name.startswith("goog-")}
    assert own == {"team": "b", "foreign": "kept"}
    assert labels["goog-managed-by"] == "cloudfunctions"


def test_unknown_mask_path_is_refused(driver: Driver, pair: RevisionPair) -> None:
    url = f"{driver.cloud.endpoint}/v2/{PARENT}/functions/pair?updateMask=nonsense"
    answer = driver.http.patch(url, json={}, timeout=20)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_failed_build_says_why_and_leaves_what_serves(driver: Driver, function_id: str) -> None:
    service = driver.deploy(function_id, who())
    wanted = driver.function(
        function_id, zipped(main_py="def hello(request):\n  return (", requirements_txt="")
    )
    request = functions_v2.UpdateFunctionRequest(
        function=wanted, update_mask={"paths": ["build_config"]}
    )
    operation = driver.functions.update_function(request, timeout=20)
    with pytest.raises(exceptions.InvalidArgument, match=r"(?s)Build failed.*SyntaxError"):
        finished(operation)
    build = next(stage for stage in operation.metadata.stages if stage.name == _Stage.BUILD)
    assert build.state != functions_v2.Stage.State.COMPLETE
    assert "SyntaxError" in driver.get(build.resource_uri).text
    function = driver.functions.get_function(name=wanted.name, timeout=20)
    assert function.state == functions_v2.Function.State.ACTIVE
    assert "SyntaxError" in function.state_messages[0].message
    assert driver.get(service.uri).json()["version"] == 1
    assert driver.service(service.name).latest_created_revision == service.latest_created_revision


def test_requirement_that_does_not_exist_fails_the_build(driver: Driver, function_id: str) -> None:
    archive = zipped(main_py=who(), requirements_txt="./no-such-package\n")
    with pytest.raises(exceptions.InvalidArgument, match="no-such-package"):
        driver.create(driver.function(function_id, archive))
    function = driver.functions.get_function(name=f"{PARENT}/functions/{function_id}", timeout=20)
    assert function.state == functions_v2.Function.State.FAILED
    repaired = driver.update(driver.function(function_id, who()), "build_config")
    assert repaired.state == functions_v2.Function.State.ACTIVE


def test_source_without_main_fails_the_build(driver: Driver, function_id: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=r"main\.py is missing"):
        driver.create(driver.function(function_id, zipped(other_py=who())))


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("raise RuntimeError('broken at import')", "broken at import"),
        ("def other(request): return 'x'", "hello"),
    ],
)
def test_failed_start_leaves_what_serves(
    driver: Driver, function_id: str, source: str, told: str
) -> None:
    service = driver.deploy(function_id, who())
    first = short_name(service.latest_ready_revision)
    with pytest.raises(exceptions.InvalidArgument, match="Container Healthcheck failed") as raised:
        driver.update(driver.function(function_id, source), "build_config")
    assert told in str(raised.value)
    after = driver.service(service.name)
    assert (
        short_name(after.latest_ready_revision)
        == first
        != short_name(after.latest_created_revision)
    )
    assert driver.answering(service.uri) == first
    broken = driver.revisions.get_revision(name=after.latest_created_revision, timeout=20)
    ready = next(condition for condition in broken.conditions if condition.type_ == "Ready")
    assert ready.state == run_v2.Condition.State.CONDITION_FAILED
    assert ready.revision_reason == run_v2.Condition.RevisionReason.HEALTH_CHECK_CONTAINER_ERROR
    with pytest.raises(exceptions.GoogleAPICallError, match="not ready"):
        driver.traffic(service.name, to(after.latest_created_revision, 100))
    assert driver.answering(service.uri) == first


def test_secret_is_resolved_at_start_and_missing_one_fails_it(
    driver: Driver, function_id: str
) -> None:
    (driver.cloud.home / "secrets.toml").write_text(
        'known = "s3cret"\n[many]\n1 = "one"\n2 = "two"\n'
    )
    source = "import os\ndef hello(request): return [os.environ['KNOWN'], os.environ['MANY'], os.environ['OLD']]"
    wanted = driver.function(function_id, source)
    wanted.service_config.secret_environment_variables = [
        functions_v2.SecretEnvVar(key="KNOWN", project_id="p1", secret="known", version="latest"),
        functions_v2.SecretEnvVar(key="MANY", project_id="p1", secret="many", version="latest"),
        functions_v2.SecretEnvVar(key="OLD", project_id="p1", secret="many", version="1"),
    ]
    function = driver.create(wanted)
    driver.open(function.service_config.service)
    assert driver.get(function.url).json() == ["s3cret", "two", "one"]
    wanted.service_config.secret_environment_variables[0].secret = "unknown"
    with pytest.raises(
        exceptions.InvalidArgument, match="Secret unknown/versions/latest was not found"
    ):
        driver.update(wanted, "service_config.secret_environment_variables")


def test_function_gets_a_clean_environment(driver: Driver, function_id: str) -> None:
    service = driver.deploy(
        function_id, "import os\ndef hello(request): return dict(os.environ)", COLOR="red"
    )
    found = driver.get(service.uri).json()
    expected = {
        "K_SERVICE": short_name(service.name), "K_CONFIGURATION": short_name(service.name), "FUNCTION_TARGET": "hello",
        "K_REVISION": short_name(service.latest_ready_revision), "FUNCTION_SIGNATURE_TYPE": "http", "COLOR": "red",
        "LOG_EXECUTION_ID": "true", "GOOGLE_SHEETS_API_ENDPOINT": driver.cloud.endpoint,
    }  # fmt: skip
    assert found | expected == found
    assert int(found["PORT"]) > 0
    assert not any(name.startswith(("PYTEST", "DEPLOYGATE", "COVERAGE")) for name in found)


def test_delete_removes_everything(driver: Driver, function_id: str) -> None:
    service = driver.deploy(function_id, who())
    name = f"{PARENT}/functions/{function_id}"
    finished(driver.functions.delete_function(name=name, timeout=20))
    for read in (
        lambda: driver.functions.get_function(name=f"{PARENT}/functions/{function_id}", timeout=20),
        lambda: driver.service(service.name),
        lambda: driver.revisions.get_revision(name=service.latest_ready_revision, timeout=20),
    ):
        with pytest.raises(exceptions.NotFound):
            read()
    with pytest.raises(OSError, match="refused"):
        driver.get(service.uri)


def test_second_operation_on_a_busy_function_is_refused(driver: Driver, function_id: str) -> None:
    driver.deploy(function_id, who())
    driver.fault(method="PATCH", path=function_id, operation={"kind": "never_done"})
    wanted = driver.function(function_id, COLOR="blue")
    request = functions_v2.UpdateFunctionRequest(
        function=wanted, update_mask={"paths": ["service_config.environment_variables"]}
    )
    operation = driver.functions.update_function(request, timeout=20)
    with pytest.raises(exceptions.Conflict, match="unable to queue the operation"):
        driver.functions.update_function(request, timeout=20)
    driver.local("DELETE", "faults")
    with pytest.raises(exceptions.GoogleAPICallError, match="stuck"):
        finished(operation)
    assert (
        driver.update(wanted, "service_config.environment_variables").state
        == functions_v2.Function.State.ACTIVE
    )


def test_download_url_gives_the_deployed_source(driver: Driver, function_id: str) -> None:
    archive = zipped(main_py=who())
    function = driver.create(driver.function(function_id, archive))
    request = functions_v2.GenerateDownloadUrlRequest(name=function.name)
    url = driver.functions.generate_download_url(request, timeout=20).download_url
    assert driver.get(url).content == archive


def test_upload_url_refuses_credentials_other_types_and_forged_signatures(driver: Driver) -> None:
    request = functions_v2.GenerateUploadUrlRequest(parent=PARENT)
    url = driver.functions.generate_upload_url(request, timeout=20).upload_url
    zip_type = {"content-type": "application/zip"}
    assert (
        driver.http.put(
            url, data=b"x", headers={"content-type": "text/plain"}, timeout=20
        ).status_code
        == 403
    )
    assert (
        driver.http.put(url[:-1] + "g", data=b"x", headers=zip_type, timeout=20).status_code == 403
    )
    with_token = zip_type | {"Authorization": "Bearer x"}
    assert driver.http.put(url, data=b"x", headers=with_token, timeout=20).status_code == 400
    assert driver.http.put(url, data=b"x", headers=zip_type, timeout=20).status_code == 200


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"runtime": "cobol85"}, "build_config.runtime"),
        ({"memory": "much"}, "available_memory"),
        ({"timeout_s": 4000}, "timeout_seconds"),
        ({"PORT": "1"}, "'PORT' is reserved"),
        ({"labels": {"Team": "A"}}, "Team=A is not a label"),
    ],
)
def test_bad_configuration_is_refused_at_once(
    driver: Driver, function_id: str, change: dict[str, str], told: str
) -> None:
    with pytest.raises(exceptions.BadRequest, match=told):
        driver.create(driver.function(function_id, who(), **change))  # type: ignore[arg-type]


def test_unknown_things_are_not_found_and_existing_ones_conflict(
    driver: Driver, pair: RevisionPair
) -> None:
    with pytest.raises(exceptions.NotFound):
        driver.functions.get_function(name=f"{PARENT}/functions/nothing", timeout=20)
    with pytest.raises(exceptions.Conflict, match="already exists"):
        driver.create(driver.function("pair", who()))


def test_missing_source_object_is_refused(driver: Driver, function_id: str) -> None:
    wanted = driver.function(function_id)
    wanted.build_config.source = functions_v2.Source(
        storage_source=functions_v2.StorageSource(bucket="nowhere", object_="nothing.zip")
    )
    with pytest.raises(exceptions.BadRequest, match=r"there is no object nowhere/nothing\.zip"):
        driver.create(wanted)


def test_listings_show_functions_and_runtimes(driver: Driver, pair: RevisionPair) -> None:
    names = [short_name(f.name) for f in driver.functions.list_functions(parent=PARENT, timeout=20)]
    assert "pair" in names
    runtimes = driver.functions.list_runtimes({"parent": PARENT}, timeout=20).runtimes
    assert "python312" in {runtime.name for runtime in runtimes}


def test_unneeded_revision_is_scaled_to_zero_and_started_when_needed(
    driver: Driver, function_id: str
) -> None:
    service = driver.deploy(function_id, who())
    first = short_name(service.latest_ready_revision)
    second = driver.update(
        driver.function(function_id, who(2)), "build_config"
    ).service_config.revision
    until(
        lambda: driver.local("GET", f"revisions/{first}/statistics")["is_running"],
        lambda found: not found,
    )
    before = int(str(driver.local("GET", f"revisions/{first}/statistics")["cold_starts"]))
    tagged = driver.traffic(service.name, to(second, 100), to(first, tag="old"))
    assert driver.answering(tagged.traffic_statuses[1].uri) == first
    after = int(str(driver.local("GET", f"revisions/{first}/statistics")["cold_starts"]))
    assert after > before


def test_function_is_built_with_the_interpreter_that_the_runtime_names(
    driver: Driver, function_id: str
) -> None:
    source = "import sys\ndef hello(request): return '.'.join(map(str, sys.version_info[:3]))"
    function = driver.function(function_id, source, runtime="python312")
    operation = driver.functions.create_function(
        parent=PARENT, function=function, function_id=function_id, timeout=20
    )
    made = finished_function(operation)
    driver.open(made.service_config.service)
    version = driver.get(made.url).text
    build = next(stage for stage in operation.metadata.stages if stage.name == _Stage.BUILD)
    assert build.message.startswith(f"built with Python {version}")
    assert version.startswith("3.12.") or "no interpreter for python312" in build.message
    assert build.message in driver.get(build.resource_uri).text
