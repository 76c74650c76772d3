"""Answers as the platform may give them tomorrow: with fields, types and enum values that no client library has.

Mode of an emulator (``answers = "tomorrow"`` in its settings). Whoever passes in it does not break on the day when the
platform learns something new. Added is what Google's discovery documents have and the libraries lack, and inventions.
"""

from typing import Any, Final

from aiohttp import web

TOMORROW: Final = web.AppKey("tomorrow", bool)
"""Whether the emulator answers so."""
_INVENTED: Final = "inventedTomorrow"
_INVENTION: Final = {"@type": "type.googleapis.com/google.cloud.tomorrow.v9.Thing", "value": 9}
_TEXT_MAPS: Final = frozenset(
    (
        "labels",
        "annotations",
        "environmentVariables",
        "buildEnvironmentVariables",
        "limits",
        "userLabels",
    )
)
"""Fields whose keys are the user's own: nothing can be added there."""
_OF_REVISIONS: Final[dict[str, object]] = {
    "client": "cli-tomorrow",
    "clientVersion": "9.9",
    "ambientNetworking": {},
    "sandboxes": [{"name": "s"}],
    "workloadIdentityConfig": {},
}
_ADDED: Final[dict[str, dict[str, object]]] = {
    "function": {
        "satisfiesPzi": True,
        "upgradeInfo": {"upgradeState": "TRAFFIC_REDIRECTED_TOMORROW"},
    },
    "serviceConfig": {
        "directVpcEgress": "VPC_EGRESS_ALL_TRAFFIC",
        "directVpcNetworkInterface": [{"network": "default"}],
    },
    "buildConfig": {"sourceToken": "AB-tomorrow"},
    "metadata": {"customIamRoleDetected": False},
    "service": {"functionalType": "FUNCTION", "sshEnabled": False, "launchStage": "TOMORROW"},
    "revision": {**_OF_REVISIONS, "containerStatuses": [{"name": "of-tomorrow"}]},
    "template": _OF_REVISIONS,
    "container": {"sandboxLauncher": {"mode": "TOMORROW"}, "buildConfig": {"imageUri": "i"}},
    "condition": {"instanceReason": "TOMORROW"},
    "scaling": {"cpuUtilization": 0.6, "concurrencyUtilization": 0.6},
    "sourceCode": {"inlinedSource": {"sources": []}},
}
"""By kind of object: fields of cloudfunctions v2 (20261029) and run v2 (20261031) that the libraries lack."""
_INSIDE: Final[dict[str, tuple[str, ...]]] = {
    "function": ("serviceConfig", "buildConfig"),
    "revision": ("scaling",),
    "template": ("scaling",),
    "container": ("sourceCode",),
}
"""By kind of object: the objects in it that have fields of their own to add."""
_VOLUMES: Final[list[object]] = [
    {"name": "tomorrow-1", "filestore": {"server": "s"}},
    {"name": "tomorrow-2", "emptyDir": {"medium": "DISK"}},
]
"""Volumes that somebody else gave a service."""
_MADE: Final = frozenset(("volumes", *(key for keys in _INSIDE.values() for key in keys)))
"""What an answer may have only because something was added to it."""
_OPERATION_TYPES: Final = (
    "ABORT_FUNCTION_UPGRADE",
    "COMMIT_FUNCTION_UPGRADE",
    "COMMIT_FUNCTION_UPGRADE_AS_GEN2",
    "DETACH_FUNCTION",
    "REDIRECT_FUNCTION_UPGRADE_TRAFFIC",
    "ROLLBACK_FUNCTION_UPGRADE_TRAFFIC",
    "SETUP_FUNCTION_UPGRADE_CONFIG",
)
_FOREIGN_FUNCTIONS: Final[list[object]] = [
    {"name": f"projects/p/locations/l/functions/{state.lower()}", "state": state}
    for state in ("DETACHING", "DETACH_FAILED", "TOMORROW")
]
"""Functions of others, which a list has as well."""
_FOREIGN: Final[list[object]] = [
    {
        "name": "projects/p/locations/l/operations/operation-1-first-generation",
        "metadata": {
            "@type": "type.googleapis.com/google.cloud.functions.v1.OperationMetadataV1",
            "target": "projects/p/locations/l/functions/old",
            "type": "UPDATE_FUNCTION",
        },
        "done": True,
    },
    *(
        {
            "name": f"projects/p/locations/l/operations/operation-2-{kind.lower()}",
            "metadata": {
                "@type": "type.googleapis.com/google.cloud.functions.v2.OperationMetadata",
                "target": "projects/p/locations/l/functions/another",
                "operationType": kind,
            },
        }
        for kind in _OPERATION_TYPES
    ),
    {"name": "projects/p/locations/l/operations/3", "metadata": _INVENTION},
]
"""Operations of others in the same region, which a list has as well."""


def add_future(answer: object) -> object:
    """``answer`` with everything that is not known today."""
    if isinstance(answer, list):
        return [add_future(one) for one in answer]
    if not isinstance(answer, dict):
        return answer
    found: dict[str, Any] = {
        key: value if key in _TEXT_MAPS else add_future(value) for key, value in answer.items()
    }
    if _INVENTED in found:
        return found
    if "code" in found and "message" in found:
        found["details"] = [_INVENTION]
    for kind in _kinds_of(found):
        found = {**_ADDED[kind], **found}
        for key in _INSIDE.get(kind, ()):
            found[key] = {**_ADDED[key], **found.get(key, {})}
        if kind in {"revision", "template"}:
            found["volumes"] = [*found.get("volumes", []), *_VOLUMES]
    if isinstance(operations := found.get("operations"), list):
        found["operations"] = [*_FOREIGN, *operations]
    if isinstance(functions := found.get("functions"), list):
        found["functions"] = [*_FOREIGN_FUNCTIONS, *functions]
    if isinstance(conditions := found.get("conditions"), list):
        more = {
            "type": "ReadyTomorrow",
            "state": "CONDITION_TOMORROW",
            "severity": "TOMORROW",
            "executionReason": "DELAYED_EXECUTION_EXCEEDING_DURATION_LIMIT",
        }
        found["conditions"] = [*conditions, more]
    return {**found, _INVENTED: _INVENTION}


def _kinds_of(found: dict[str, object]) -> list[str]:
    kinds = {
        "function": "buildConfig" in found and "environment" in found,
        "metadata": "target" in found and "apiVersion" in found,
        "service": "trafficStatuses" in found,
        "revision": "containers" in found and "service" in found,
        "template": "containers" in found and "service" not in found,
        "container": "image" in found and "name" in found,
        "condition": "lastTransitionTime" in found,
    }
    return [kind for kind, is_one in kinds.items() if is_one]


def without_future(body: object) -> object:
    """A request's ``body`` without what was added to the answer that it was made from."""
    if isinstance(body, list):
        return [without_future(one) for one in body if one not in _VOLUMES]
    if not isinstance(body, dict):
        return body
    names = {name for fields in _ADDED.values() for name in fields}
    added = {_INVENTED, *names} - {"launchStage", "client", "buildConfig"}
    if "image" in body:  # a container, of which this field is new, as of others it is not
        added.add("buildConfig")
    if "containers" in body:  # a template, likewise
        added.add("client")
    left = {key: without_future(value) for key, value in body.items() if key not in added}
    return {key: value for key, value in left.items() if value or key not in _MADE}
