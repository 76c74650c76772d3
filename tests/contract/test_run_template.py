"""Templates of Cloud Run in JSON: what the settings name of a template, and what stays of the one before."""

import json
from importlib.resources import files

import pytest

from pytest_deploygate.core.container_spec import ContainerSpec
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.release import RolloutLabels
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.targets.image_builds import ImageBuilder
from pytest_deploygate.targets.json_api import Json
from pytest_deploygate.targets.run_release import Release, Restoration
from pytest_deploygate.targets.run_template import (
    FIELDS_OF_REVISION,
    BuildSource,
    WantedRevision,
    template_for,
)

KEY = SecretRef(name="key", version="1")
BUILT = BuildSource("b", "o", "1", "python312", "hello")


def made(now: Json, *, build: BuildSource | None = None, **container: object) -> Json:
    """The template ``now`` as a release with these settings of the container makes it."""
    spec = FunctionSpec(
        function="f",
        runtime="python312",
        entry_point="hello",
        source="/s",
        container=ContainerSpec()._replace(**container),  # type: ignore[arg-type]
    )
    wanted = WantedRevision(
        name=RevisionName("f-dg-1"),
        image="i@sha256:0",
        variables={},
        secrets={},
        secret_files=spec.container.secret_files,
        build=build,
    )
    return template_for(spec, wanted, now, is_local=False)


NOW: Json = {"network": "n", "subnetwork": "s", "tags": ["t"]}


@pytest.mark.parametrize(
    ("named", "wanted"),
    [
        ({}, NOW),
        ({"vpc_network": "n"}, NOW),
        ({"vpc_subnetwork": "s"}, NOW),
        ({"vpc_tags": ("u",)}, {**NOW, "tags": ["u"]}),
        ({"vpc_network": "m"}, {"network": "m", "tags": ["t"]}),
        ({"vpc_subnetwork": "r"}, {"subnetwork": "r", "tags": ["t"]}),
        (
            {"vpc_network": "n", "vpc_subnetwork": "r"},
            {"network": "n", "subnetwork": "r", "tags": ["t"]},
        ),
    ],
)
def test_what_is_not_named_of_direct_vpc_stays(named: dict[str, object], wanted: Json) -> None:
    now: Json = {"vpcAccess": {"egress": "ALL_TRAFFIC", "networkInterfaces": [NOW]}}
    access = made(now, **named)["vpcAccess"]  # type: ignore[arg-type]
    assert access == {"egress": "ALL_TRAFFIC", "networkInterfaces": [wanted]}


@pytest.mark.parametrize(
    ("now", "build", "command", "stays"),
    [
        ({"args": ["--serve"]}, None, (), True),
        ({"args": ["--serve"], "command": ["sh"]}, None, (), False),
        ({"args": ["--serve"]}, None, ("python", "server.py"), False),
        ({"args": ["--serve"]}, BUILT, (), False),
    ],
)
def test_arguments_stay_with_the_program_that_takes_them(
    now: Json, build: BuildSource | None, command: tuple[str, ...], *, stays: bool
) -> None:
    [container] = made({"containers": [now]}, build=build, command=command)["containers"]
    assert ("args" in container) is stays
    assert container.get("command", []) == list(command)


def test_a_directory_shows_our_secret_in_place_of_what_it_showed() -> None:
    theirs = [
        {"name": "one", "mountPath": "/secrets/api"},
        {"name": "two", "mountPath": "/secrets/other"},
    ]
    now = {
        "containers": [{"volumeMounts": theirs}],
        "volumes": [{"name": "one"}, {"name": "two"}, {"name": "of nobody"}],
    }
    template = made(now, secret_files={"/secrets/api/key": KEY})
    [container] = template["containers"]
    assert [v["name"] for v in template["volumes"]] == ["two", "of nobody", "deploygate-secrets-0"]
    assert [(m["name"], m["mountPath"]) for m in container["volumeMounts"]] == [
        ("two", "/secrets/other"),
        ("deploygate-secrets-0", "/secrets/api"),
    ]


NOT_COPIED = {"revision", "client", "clientVersion"}
"""Fields of a template that are a revision's own."""
NOT_YET = {"ambientNetworking", "sandboxes", "workloadIdentityConfig"}
"""Fields that Google's page of the API does not explain yet."""


def test_every_field_of_a_template_is_known() -> None:
    folder = files("googleapiclient") / "discovery_cache" / "documents"
    schemas = json.loads((folder / "run.v2.json").read_text(encoding="utf-8"))["schemas"]
    fields = set(schemas["GoogleCloudRunV2RevisionTemplate"]["properties"])
    assert fields - NOT_YET == {*FIELDS_OF_REVISION, *NOT_COPIED}


def test_a_restored_revision_keeps_what_no_backup_tells() -> None:
    described = {"revision": {"timeout": "5s", "nodeSelector": {"accelerator": "l4"}}}
    restoration = Restoration(service="f", revision=RevisionName("f-dg-2"), described=described)
    now = {"timeout": "9s", "sessionAffinity": True, "ofTomorrow": {"a": 1}}
    template = restoration.with_image("i@sha256:0").template_of(now)
    assert template == {
        "timeout": "5s",
        "nodeSelector": {"accelerator": "l4"},
        "containers": [{"image": "i@sha256:0"}],
        "revision": "f-dg-2",
        "ofTomorrow": {"a": 1},
    }


@pytest.mark.parametrize(
    ("ingress", "wanted"), [("", None), ("ALLOW_ALL", "INGRESS_TRAFFIC_ALL")], ids=["kept", "named"]
)
def test_a_release_opens_no_service_unless_the_settings_say_so(
    ingress: str, wanted: str | None
) -> None:
    released = Release(
        spec=FunctionSpec(
            function="f", runtime="python312", entry_point="hello", source="/s", ingress=ingress
        ),
        service="f",
        revision=RevisionName("f-dg-1"),
        rollout_labels=RolloutLabels(),
        secrets={},
        secret_files={},
        is_new=False,
        is_local=False,
        builder=ImageBuilder(),
    )
    assert released.with_image("i@sha256:0").fields.get("ingress") == wanted
