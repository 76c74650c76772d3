"""Calls of google-cloud-functions and google-cloud-run."""

from google.api_core import exceptions
from google.cloud import functions_v2, run_v2

from tests.emulator.emulator_driver import (
    LATEST,
    PARENT,
    finished,
    finished_service,
    to,
    who,
)
from tests.emulator.foreign_calls.stage import NAME, Call, Stage, raises


def cloud_functions_calls() -> list[Call]:
    """Those of google-cloud-functions."""
    return [
        ("list_functions", lambda s: any(f.name == NAME for f in s.driver.functions.list_functions(parent=PARENT))),
        ("list_functions, page by page", lambda s: len(list(s.driver.functions.list_functions(
            functions_v2.ListFunctionsRequest(parent=PARENT, page_size=1)).pages)) > 0),
        ("get_function", lambda s: s.driver.functions.get_function(name=NAME).state.name == "ACTIVE"),
        ("get_function, of none", lambda s: raises(
            exceptions.NotFound, lambda: s.driver.functions.get_function(name=f"{NAME}-not"))),
        ("create_function", lambda s: s.driver.create(
            s.driver.function("made-by-cloud", who())).state.name == "ACTIVE"),
        ("create_function, of one that exists", lambda s: raises(
            exceptions.Conflict, lambda: s.driver.create(s.driver.function("foreign", who())))),
        ("update_function", lambda s: s.driver.update(
            s.driver.function("foreign", labels={"c": "d"}), "labels").labels["c"] == "d"),
        ("delete_function", lambda s: [
            s.driver.create(s.driver.function("gone-by-cloud", who())),
            finished(s.driver.functions.delete_function(name=f"{PARENT}/functions/gone-by-cloud")),
            raises(exceptions.NotFound, lambda: s.driver.functions.get_function(
                name=f"{PARENT}/functions/gone-by-cloud"))][2]),
        ("generate_upload_url", lambda s: s.driver.functions.generate_upload_url({"parent": PARENT}).upload_url),
        ("generate_download_url", lambda s: s.driver.functions.generate_download_url({"name": NAME}).download_url),
        ("list_runtimes", lambda s: s.driver.functions.list_runtimes(parent=PARENT).runtimes),
        ("list_operations", lambda s: s.driver.functions.list_operations({"name": PARENT}).operations),
        ("list_locations", lambda s: s.driver.functions.list_locations({"name": "projects/p1"}).locations),
    ]  # fmt: skip


def cloud_run_calls() -> list[Call]:
    """Those of google-cloud-run."""

    def create(s: Stage, name: str) -> run_v2.Service:
        image = s.driver.service(s.service).template.containers[0].image
        template = run_v2.RevisionTemplate(containers=[run_v2.Container(image=image)])
        operation = s.driver.services.create_service(
            parent=PARENT, service=run_v2.Service(template=template), service_id=name
        )
        return finished_service(operation)

    def stale(s: Stage) -> object:
        service = s.driver.service(s.service)
        service.etag = '"stale"'
        mask = {"paths": ["labels"]}
        return s.driver.services.update_service({"service": service, "update_mask": mask})

    return [
        ("list_services", lambda s: any(f.name == s.service for f in s.driver.services.list_services(parent=PARENT))),
        ("create_service, of one that exists", lambda s: raises(exceptions.Conflict, lambda: create(s, "foreign"))),
        ("create_service", lambda s: create(s, "service-by-cloud").uri),
        ("get_service", lambda s: s.driver.service(s.service).uri),
        ("update_service, traffic", lambda s: s.driver.traffic(
            s.service, to(s.pair.first, 100)).traffic_statuses[0].percent == 100),
        ("update_service, tag", lambda s: s.driver.traffic(
            s.service, to(s.pair.first, 100), to(s.pair.second, 0, "tag")).traffic_statuses[1].uri),
        ("update_service, latest", lambda s: s.driver.traffic(
            s.service, run_v2.TrafficTarget(type_=LATEST, percent=100)).traffic_statuses[0].type_ == LATEST),
        ("update_service, stale etag", lambda s: raises(exceptions.Conflict, lambda: stale(s))),
        ("get_iam_policy", lambda s: s.driver.services.get_iam_policy({"resource": s.service}).etag),
        ("set_iam_policy", lambda s: [s.driver.open(s.service), s.driver.services.get_iam_policy(
            {"resource": s.service}).bindings][1]),
        ("test_iam_permissions", lambda s: s.driver.services.test_iam_permissions(
            {"resource": s.service, "permissions": ["a.b"]}).permissions == ["a.b"]),
        ("list_revisions", lambda s: len(list(s.driver.revisions.list_revisions(parent=s.service))) >= 2),
        ("get_revision", lambda s: s.driver.revisions.get_revision(name=f"{s.service}/revisions/{s.pair.first}").uid),
        ("delete_revision, of the latest", lambda s: raises(
            exceptions.BadRequest, lambda: s.driver.revisions.delete_revision(
                name=s.driver.service(s.service).latest_created_revision))),
        ("get_operation", lambda s: s.driver.services.get_operation({"name": s.driver.functions.list_operations(
            {"name": PARENT, "filter": "done:true"}).operations[0].name}).done),
    ]  # fmt: skip
