"""What the emulator answers has the shape of what the platform is recorded to answer, field by field."""

from collections.abc import Iterator
from typing import Any

from tests.contract.recorded_google import recorded
from tests.contract.target.staged_function import StagedFunction

NEWER = {"satisfiesPzi", "functionalType", "sshEnabled"}
"""Fields that the libraries lack, of which the emulator's answers are made; ``answers = "tomorrow"`` adds them."""
OF_GCLOUD = {
    "labels.deployment-tool",
    "serviceConfig.environmentVariables.LOG_EXECUTION_ID",
    "serviceConfig.allTrafficOnLatestRevision",
    "client",
}
"""What gcloud asked for in the recordings, and nobody here."""
OF_SHARED = {
    "template.revision",  # taken out with the first revision that is added (ADR 22)
    *(f"labels.{label}" for label in recorded("service_staged")["labels"]),  # the tests set its own
}
OF_MAPS = ("labels.", "annotations.", "environmentVariables.", "limits.")


def paths(found: Any, prefix: str = "") -> Iterator[str]:
    """Every field of an answer with those above it; of lists, the fields of all their items."""
    if isinstance(found, dict):
        for key, value in found.items():
            yield from {f"{prefix}{key}": 1, **dict.fromkeys(paths(value, f"{prefix}{key}."))}
    elif isinstance(found, list):
        for value in found:
            yield from paths(value, prefix)


def lacking(recording: str, answer: object) -> set[str]:
    """Fields of a recording that the emulator's answer has not."""
    own = {p for p in paths(recorded(recording)) if not any(f"{m}SHEET" in p for m in OF_MAPS)}
    return own - set(paths(answer)) - NEWER - OF_GCLOUD


def read(shared: StagedFunction, path: str) -> dict[str, Any]:
    answer = shared.driver.http.get(f"{shared.driver.cloud.endpoint}/v2/{path}", timeout=20)
    found: dict[str, Any] = answer.json()
    return found


def test_a_function_has_every_field_that_was_recorded(shared: StagedFunction) -> None:
    name = f"projects/p1/locations/us-central1/functions/{shared.target.spec.function}"
    function = read(shared, name)
    assert lacking("function", function) == set()
    number = function["buildConfig"]["build"].split("/")[1]
    assert number.isdigit()
    assert function["buildConfig"]["source"]["storageSource"]["bucket"].startswith(
        f"gcf-v2-sources-{number}-"
    )
    assert function["url"] != function["serviceConfig"]["uri"]
    assert shared.driver.get(function["url"]).json()["K_REVISION"] == shared.baseline


def test_a_service_has_every_field_that_was_recorded(shared: StagedFunction) -> None:
    service = read(shared, shared.service)
    assert {path for path in lacking("service_staged", service) if path not in OF_SHARED} == set()
    assert len(service["urls"]) == 3
    assert service["latestReadyRevision"].endswith(shared.baseline)
    assert service["buildConfig"]["imageUri"].endswith(":version_1")
    assert service["template"]["containers"][0]["image"].count("@sha256:") == 1


def test_a_staged_revision_has_every_field_that_was_recorded(shared: StagedFunction) -> None:
    revision = read(shared, f"{shared.service}/revisions/{shared.candidate}")
    assert lacking("revision_staged", revision) == set()
    conditions = {c["type"]: c["state"] for c in revision["conditions"]}
    for condition in recorded("revision_staged")["conditions"]:
        assert conditions[condition["type"]] == condition["state"], condition["type"]


def test_a_function_does_not_tell_the_variable_of_the_platform(shared: StagedFunction) -> None:
    service = read(shared, shared.service)
    env = {one["name"] for one in service["template"]["containers"][0]["env"]}
    name = f"projects/p1/locations/us-central1/functions/{shared.target.spec.function}"
    told = read(shared, name)["serviceConfig"]["environmentVariables"]
    assert env - set(told) == {"FUNCTION_TARGET"}


def test_an_operation_tells_what_was_recorded_while_it_runs_and_when_it_is_done(
    shared: StagedFunction,
) -> None:
    all_of_them = "projects/p1/locations/us-central1/operations?pageSize=1000"
    operations = read(shared, all_of_them)["operations"]
    done = [
        one
        for one in operations
        if one["metadata"].get("target", "").endswith(f"/{shared.target.spec.function}")
        and one.get("done")
        and "response" in one
        and one["metadata"].get("verb") == "update"
    ]
    assert done
    missing = lacking("operation_done", done[0])
    of_the_request = {path for path in missing if path.startswith("metadata.requestResource.")}
    assert {path.rpartition(".")[2] for path in missing - of_the_request} <= {
        "cancelRequested",  # false, which is left out
        "customIamRoleDetected",
        "satisfiesPzi",
        *(path.rpartition(".")[2] for path in OF_GCLOUD),
    }
