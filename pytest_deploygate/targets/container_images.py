"""Images and variables of containers in JSON: which build a revision runs, and the same build with other variables."""

import re
from collections.abc import Mapping
from typing import Final

from pytest_deploygate.targets.json_api import Json

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_DIGEST_OR_TAG: Final = re.compile(r"(@.*|:[^/:]*)$")


def digest_of(revision: Json) -> str:
    """Digest of the image that a revision runs (``sha256:...``), or nothing where it shows only a tag.

    ``containerStatuses`` has it whatever was deployed (Run v2; newer than the library); the image only where it was
    deployed by digest. A tag is no identity: the platform gives each build of a function the same one.
    """
    statuses = [s for s in _objects(revision.get("containerStatuses")) if s.get("imageDigest")]
    images = [s["imageDigest"] for s in statuses[:1]]
    images += [c.get("image") for c in _objects(revision.get("containers"))[:1]]
    return next(filter(None, map(digest_in, images)), "")


def digest_in(image: object) -> str:
    """``sha256:...`` of an image that is named by digest, or nothing."""
    match = _DIGEST.search(str(image))
    return match[0] if match is not None else ""


def pinned_image(revision: Json, digest: str) -> str:
    """Image of a revision's first container by ``digest`` (``sha256:...``), which no later build can change."""
    image = str(_objects(revision.get("containers"))[0].get("image", ""))
    repository = _DIGEST_OR_TAG.sub("", image)
    return f"{repository}@{digest}"


def containers_with(
    template: Json, base: Json, image: str, changes: Mapping[str, str | None]
) -> list[Json]:
    """The containers of ``template``, the first one running ``image`` with the variables of ``base`` and ``changes``.

    All else of the template stays, also fields that nobody here knows.
    """
    containers = _objects(template.get("containers"))
    known = _objects(_objects(base.get("containers"))[0].get("env"))
    kept = [variable for variable in known if variable.get("name") not in changes]
    added: list[Json] = [{"name": k, "value": v} for k, v in changes.items() if v is not None]
    first = {**containers[0], "image": image, "env": [*kept, *added]}
    return [first, *containers[1:]]


def is_alike(one: Json, other: Json) -> bool:
    """Whether two containers run the same image with the same variables, in whatever order."""
    return one.get("image") == other.get("image") and _variables(one) == _variables(other)


def _variables(container: Json) -> dict[str, object]:
    """Variables by name; a value that is empty may be left out."""
    found = _objects(container.get("env"))
    return {str(v.get("name")): v.get("valueSource") or v.get("value", "") for v in found}


def _objects(found: object) -> list[Json]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
