"""Tags of images in Artifact Registry, so that clean-up policies leave an image alone that a rollback may need.

Each build of a function overwrites one tag; the image before has none then, and policies that delete untagged images
take it (firebase-tools #8421).
"""

import re
from typing import Final
from urllib.parse import quote

from pytest_deploygate.targets.api_caller import ApiCaller
from pytest_deploygate.targets.clients import Clients

_IMAGE: Final = re.compile(
    r"(?P<location>[a-z0-9-]+)-docker\.pkg\.dev/(?P<project>[^/]+)/(?P<repository>[^/]+)/"
    r"(?P<package>[^@:]+)@(?P<digest>sha256:[0-9a-f]{64})"
)


class ImageTags:
    """Calls of the Artifact Registry API."""

    def __init__(self, clients: Clients, caller: ApiCaller) -> None:
        self._api = clients.json_api("artifactregistry", "v1", caller)

    def point(self, tag: str, image: str) -> None:
        """Let ``tag`` lead to ``image`` (by digest); an image in another registry is left alone."""
        found = _IMAGE.fullmatch(image)
        if found is None:
            return
        place = f"projects/{found['project']}/locations/{found['location']}"
        repository = f"{place}/repositories/{found['repository']}"
        package = f"{repository}/packages/{quote(found['package'], safe='')}"
        name = f"{package}/tags/{tag}"
        wanted = {"name": name, "version": f"{package}/versions/{found['digest']}"}
        doing = f"tagging the image of the revision before with {tag}"
        known = self._api.get(doing, name)
        if known is None:
            self._api.write(doing, "POST", f"{package}/tags", body=wanted, params={"tagId": tag})
        elif known.get("version") != wanted["version"]:
            self._api.write(doing, "PATCH", name, body=wanted, params={"updateMask": "version"})
