"""Calls of google-api-python-client."""

from googleapiclient.errors import HttpError

from tests.emulator.emulator_driver import INVOKER, PARENT
from tests.emulator.foreign_calls.stage import NAME, Call, DifferentCall, Given, Stage, raises


def _has_second_page(s: Stage) -> bool:
    s.wait(_create(s, "second-page"))
    functions = s.functions.functions()
    first = functions.list(parent=PARENT, pageSize=1)
    return bool(functions.list_next(first, first.execute()).execute()["functions"])


def _finished(s: Stage) -> Given:
    operations = s.functions.operations()
    return operations.list(name=PARENT, filter="done:true").execute()["operations"]


def _create(s: Stage, name: str) -> Given:
    body = {"buildConfig": s.build()}
    return s.functions.functions().create(parent=PARENT, functionId=name, body=body).execute()


def _deleted(s: Stage, name: str) -> bool:
    s.wait(_create(s, name))
    s.wait(s.functions.functions().delete(name=f"{PARENT}/functions/{name}").execute())
    listed = s.functions.functions().list(parent=PARENT).execute()["functions"]
    return name not in [one["name"].rpartition("/")[2] for one in listed]


def _create_service(s: Stage, name: str) -> Given:
    image = s.run.services().get(name=s.service).execute()["template"]["containers"][0]["image"]
    body = {"template": {"containers": [{"image": image}]}}
    return s.wait(s.run.services().create(parent=PARENT, serviceId=name, body=body).execute())


def _service_is_deleted(s: Stage) -> bool:
    name = _create_service(s, "service-gone")["name"]
    s.wait(s.run.services().delete(name=name).execute())
    listed = s.run.services().list(parent=PARENT).execute()["services"]
    return name not in [one["name"] for one in listed]


def functions_calls() -> list[Call]:
    """Those that end as on Google."""
    return [
        ("functions.list", lambda s: s.functions.functions().list(parent=PARENT).execute()["functions"]),
        ("functions.list, all locations", lambda s: s.functions.functions().list(
            parent="projects/p1/locations/-", pageSize=1).execute()["functions"]),
        ("functions.list, filter", lambda s: s.functions.functions().list(
            parent=PARENT, filter='environment="GEN_2"').execute()["functions"]),
        ("functions.list, orderBy", lambda s: s.functions.functions().list(
            parent=PARENT, orderBy="name desc").execute()["functions"]),
        ("functions.list_next", _has_second_page),
        ("functions.get", lambda s: s.functions.functions().get(name=NAME).execute()["state"] == "ACTIVE"),
        ("functions.create", lambda s: s.wait(_create(s, "made-by-python"))["state"] == "ACTIVE"),
        ("functions.patch", lambda s: s.wait(s.functions.functions().patch(
            name=NAME, updateMask="labels", body={"labels": {"a": "b"}}).execute())["labels"] == {"a": "b"}),
        ("functions.delete", lambda s: _deleted(s, "gone-by-python")),
        ("functions.generateUploadUrl", lambda s: s.functions.functions().generateUploadUrl(
            parent=PARENT, body={"environment": "GEN_2"}).execute()["uploadUrl"]),
        ("functions.generateDownloadUrl", lambda s: s.driver.http.get(
            s.functions.functions().generateDownloadUrl(name=NAME, body={}).execute()["downloadUrl"],
            timeout=20).content[:2] == b"PK"),
        ("functions.getIamPolicy", lambda s: s.functions.functions().getIamPolicy(resource=NAME).execute()["etag"]),
        ("functions.setIamPolicy", lambda s: s.functions.functions().setIamPolicy(
            resource=NAME, body={"policy": {"bindings": []}}).execute()["etag"]),
        ("functions.testIamPermissions", lambda s: s.functions.functions().testIamPermissions(
            resource=NAME, body={"permissions": ["a.b"]}).execute() == {"permissions": ["a.b"]}),
        ("operations.list", _finished),
        ("operations.get", lambda s: s.functions.operations().get(name=_finished(s)[0]["name"]).execute()["done"]),
        ("runtimes.list", lambda s: s.functions.runtimes().list(parent=PARENT).execute()["runtimes"]),
        ("locations.list", lambda s: s.functions.list(name="projects/p1").execute()["locations"]),
    ]  # fmt: skip


def run_calls() -> list[Call]:
    """Those that end as on Google."""
    return [
        ("services.list", lambda s: s.run.services().list(parent=PARENT).execute()["services"]),
        ("services.create", lambda s: _create_service(s, "service-by-python")["latestReadyRevision"]),
        ("services.delete", _service_is_deleted),
        ("builds.submit", lambda s: s.run.builds().submit(parent=PARENT, body={
            "storageSource": s.build()["source"]["storageSource"], "imageUri": "us-central1-docker.pkg.dev/p1/a/b",
            "buildpackBuild": {"runtime": "python311", "functionTarget": "hello"}}).execute()["buildOperation"]),
        ("services.get", lambda s: s.run.services().get(name=s.service).execute()["uri"]),
        ("services.patch, labels", lambda s: s.wait(s.run.services().patch(
            name=s.service, updateMask="labels", body={"labels": {"a": "b"}}).execute())["labels"] == {"a": "b"}),
        ("services.patch, traffic", lambda s: s.wait(s.run.services().patch(
            name=s.service, updateMask="traffic", body={"traffic": [
                {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}]}).execute())["trafficStatuses"]),
        ("services.patch, validateOnly", lambda s: s.run.services().patch(
            name=s.service, updateMask="labels", validateOnly=True, body={"labels": {"c": "d"}}).execute()["done"]),
        ("services.getIamPolicy", lambda s: s.run.services().getIamPolicy(resource=s.service).execute()["etag"]),
        ("services.setIamPolicy", lambda s: s.run.services().setIamPolicy(resource=s.service, body={"policy": {
            "bindings": [{"role": INVOKER, "members": ["allUsers"]}]}}).execute()["bindings"]),
        ("services.testIamPermissions", lambda s: s.run.services().testIamPermissions(
            resource=s.service, body={"permissions": ["a.b"]}).execute() == {"permissions": ["a.b"]}),
        ("services.revisions.list", lambda s: len(
            s.run.services().revisions().list(parent=s.service, pageSize=1).execute()["revisions"]) == 1),
        ("services.revisions.get", lambda s: s.run.services().revisions().get(
            name=f"{s.service}/revisions/{s.pair.second}").execute()["service"] == "foreign"),
        ("services.revisions.delete, of the latest", lambda s: raises(
            HttpError, lambda: s.run.services().revisions().delete(
                name=s.run.services().get(name=s.service).execute()["latestCreatedRevision"]).execute())),
        ("operations.list", lambda s: s.run.operations().list(name=PARENT).execute()["operations"]),
        ("operations.wait", lambda s: s.wait(s.run.services().patch(name=s.service, updateMask="annotations", body={
            "annotations": {"a": "b"}}).execute())["name"] == s.service),
    ]  # fmt: skip


def sheets_calls() -> list[Call]:
    """Those that end as on Google."""

    def values(s: Stage, method: str, **options: object) -> Given:
        made = s.new_sheet()
        return getattr(s.sheets.values(), method)(spreadsheetId=made, **options).execute()

    return [
        ("spreadsheets.create", lambda s: s.new_sheet()),
        ("spreadsheets.get", lambda s: s.sheets.get(
            spreadsheetId=s.new_sheet()).execute()["properties"]["title"] == "T"),
        ("spreadsheets.batchUpdate", lambda s: s.sheets.batchUpdate(spreadsheetId=s.new_sheet(), body={
            "requests": [{"addSheet": {"properties": {"title": "More"}}}]}).execute()["replies"]),
        ("values.get", lambda s: values(s, "get", range="Sheet1")["values"] == [["a", "1/2/2025"], ["b", "$3.50"]]),
        ("values.get, unformatted", lambda s: values(
            s, "get", range="Sheet1", valueRenderOption="UNFORMATTED_VALUE")["values"] == [["a", 45659], ["b", 3.5]]),
        ("values.update", lambda s: values(s, "update", range="Sheet1!C1", valueInputOption="RAW", body={
            "values": [[1, True], ["x", None]]})["updatedCells"] == 3),
        ("values.append", lambda s: values(s, "append", range="Sheet1!A:B", valueInputOption="RAW", body={
            "values": [["c"]]})["updates"]["updatedRange"] == "Sheet1!A3"),
        ("values.clear", lambda s: values(s, "clear", range="Sheet1!A1", body={})["clearedRange"] == "Sheet1!A1"),
        ("values.batchGet", lambda s: len(values(
            s, "batchGet", ranges=["Sheet1!A1", "Sheet1!B2"])["valueRanges"]) == 2),
        ("values.batchUpdate", lambda s: values(s, "batchUpdate", body={"valueInputOption": "RAW", "data": [
            {"range": "Sheet1!D1", "values": [["z"]]}]})["totalUpdatedCells"] == 1),
        ("values.batchClear", lambda s: values(
            s, "batchClear", body={"ranges": ["Sheet1!A1"]})["clearedRanges"] == ["Sheet1!A1"]),
        ("values.update beyond the grid", lambda s: raises(HttpError, lambda: values(
            s, "update", range="Sheet1!A5000", valueInputOption="RAW", body={"values": [["x"]]}))),
    ]  # fmt: skip


def different_functions_calls() -> list[DifferentCall]:
    """Those that are refused."""
    why = "upgrades of functions: 501"
    return [
        ("functions.detachFunction", why, lambda s: s.functions.functions().detachFunction(
            name=NAME, body={}).execute()),
        ("functions.setupFunctionUpgradeConfig", why, lambda s: s.functions.functions().setupFunctionUpgradeConfig(
            name=NAME, body={}).execute()),
    ]  # fmt: skip


def different_run_calls() -> list[DifferentCall]:
    """Those that are refused."""
    return [("jobs.list", "jobs: 501", lambda s: s.run.jobs().list(parent=PARENT).execute())]


def different_sheets_calls() -> list[DifferentCall]:
    """Those that are refused."""
    return [("sheets.copyTo", "copies between spreadsheets: 501", lambda s: s.sheets.sheets().copyTo(
        spreadsheetId=s.new_sheet(), sheetId=0, body={"destinationSpreadsheetId": "x"}).execute())]  # fmt: skip
