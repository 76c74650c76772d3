"""Revisions of a Cloud Run service: reading them, adding one of an image that runs already, removing them."""

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from pytest_deploygate.core.errors import (
    OutcomeUnknown,
    StartFailed,
    TargetError,
    TargetRefused,
    TargetUnavailable,
)
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.release import RevisionInfo
from pytest_deploygate.system.retry import Backoff, attempts
from pytest_deploygate.targets import container_images, converters
from pytest_deploygate.targets.api_caller import ApiCaller
from pytest_deploygate.targets.api_errors import Conflict
from pytest_deploygate.targets.clients import Clients
from pytest_deploygate.targets.json_api import Json
from pytest_deploygate.targets.run_template import (
    FIELDS_OF_REVISION,
    copy_of_revision,
    is_copy,
)

logger = logging.getLogger(__name__)

_ATTEMPTS: Final = 5
_SETTLE_S: Final = 90.0
_WRITE_BACKOFF: Final = Backoff(first_s=0.2)
_POLL: Final = Backoff(first_s=0.05, factor=1.05, longest_s=1.0)
"""Each pause is a twentieth of the time waited so far."""


class RunRevisions:
    """Calls of the Cloud Run Admin API about revisions; answers stay JSON, as the library lacks fields."""

    def __init__(self, clients: Clients, caller: ApiCaller) -> None:
        self._caller = caller
        self._api = clients.json_api("run", "v2", caller)
        self._v1 = clients.json_api("run", "v1", caller)

    def describe(self, service: str, name: RevisionName) -> RevisionInfo | None:
        """One revision of ``service`` as a value, its digest from the older API where the newer shows only a tag."""
        found = self.revision(service, name)
        if found is None:
            return None
        info = converters.revision_info(found)
        return info if info.digest else info._replace(digest=self.status_digest(service, name))

    def revision(self, service: str, name: RevisionName) -> Json | None:
        """One revision of ``service`` in JSON, as the library lacks fields; None if the platform does not have it."""
        return self._api.get(f"reading the revision {name}", f"{service}/revisions/{name}")

    def delete_revision(self, service: str, name: RevisionName) -> None:
        """Remove a revision; one that is gone is success. The platform never removes the newest."""
        found = self._api.delete(f"deleting the revision {name}", f"{service}/revisions/{name}")
        if found is None:
            logger.debug("target.revision_gone", extra={"revision": name})

    def status_digest(self, service: str, name: RevisionName) -> str:
        """Digest of the image that a revision runs by the API v1 (``status.imageDigest``), or nothing."""
        place = service.partition("/services/")[0]
        try:
            found = self._v1.get(f"reading the image of {name}", f"{place}/revisions/{name}") or {}
        except TargetError as error:
            logger.warning("target.digest_not_read", extra={"reason": error.message})
            return ""
        status = found.get("status")
        return container_images.digest_in(
            status.get("imageDigest") if isinstance(status, dict) else ""
        )

    def image_by_digest(self, service: str, name: RevisionName) -> str:
        """The image that a revision runs, by digest; empty where the revision is gone or the digest is not told."""
        found = self.revision(service, name)
        if found is None:
            return ""
        digest = container_images.digest_of(found) or self.status_digest(service, name)
        return container_images.pinned_image(found, digest) if digest else ""

    def add_revision(
        self,
        name: str,
        of: RevisionName,
        changes_of: Callable[[Mapping[str, str]], Mapping[str, str | None]],
        chosen: Callable[[], RevisionName] | None = None,
    ) -> RevisionName:
        """A new revision of the image that ``of`` runs; not awaited.

        It gets the variables of ``of`` with the changes that ``changes_of`` them gives; None removes one.

        The template is read, changed and written with its etag: all that others put there stays. Its own name is taken
        out, since one that exists is answered with 409 (google-cloud-python #14259), or replaced by the one that
        ``chosen`` gives: then the service itself tells whether a write whose answer was lost was applied.

        Raises:
            TargetRefused: ``of`` is gone, or the platform tells no digest of its image.
            OutcomeUnknown: it was asked for, and the service does not show it.
        """
        base, image = self._image_of(name, of)
        changes = changes_of(converters.revision_info(base).variables)

        def want(template: Json) -> tuple[Json, Callable[[Json], bool]]:
            wanted = container_images.containers_with(template, base, image, changes)
            return {"containers": wanted}, partial(_runs, wanted[0])

        return self._add(name, of, want, ("containers",), chosen)

    def copy_revision(
        self,
        name: str,
        of: RevisionName,
        mark: str,
        chosen: Callable[[], RevisionName] | None = None,
    ) -> RevisionName:
        """A new revision that equals ``of`` in every field that we know, labelled with ``mark``; not awaited.

        The other fields of the template stay. See :meth:`add_revision` for ``chosen`` and what is raised.
        """
        base, image = self._image_of(name, of)
        wanted = copy_of_revision(base, image, mark)
        is_wanted = partial(is_copy, mark=mark)
        return self._add(name, of, lambda _: (wanted, is_wanted), FIELDS_OF_REVISION, chosen)

    def _add(
        self,
        name: str,
        of: RevisionName,
        want: Callable[[Json], tuple[Json, Callable[[Json], bool]]],
        fields: Iterable[str],
        chosen: Callable[[], RevisionName] | None,
    ) -> RevisionName:
        """Write ``fields`` of the template that ``want`` makes of the present one, unless that is as wanted already.

        ``want`` also says how a template or a revision is recognised as wanted.
        """
        failed: TargetError | None = None
        revision = None
        for _ in attempts(self._caller.clock, _WRITE_BACKOFF, most=_ATTEMPTS):
            service = self._api.require(f"reading the service {converters.short_name(name)}", name)
            wanted, is_wanted = want(service["template"])
            if not is_wanted(service["template"]):
                revision = chosen() if chosen is not None and revision is None else revision
                try:
                    self._write_template(service, wanted, fields, revision)
                except (Conflict, OutcomeUnknown) as error:
                    failed = error
                    continue
            return self._await_created(name, of, is_wanted)
        raise failed or TargetUnavailable(f"no revision was made of {of}")

    def _image_of(self, name: str, of: RevisionName) -> tuple[Json, str]:
        """The revision ``of``, and its image by digest."""
        base = self.revision(name, of)
        if base is None:
            raise TargetRefused(
                f"the revision {of} is gone, so nothing more can be made of its image",
                hint="find out who deleted it, then deploy again",
            )
        digest = container_images.digest_of(base) or self.status_digest(name, of)
        image = container_images.pinned_image(base, digest)
        if not digest:
            raise TargetRefused(
                f"the platform does not tell which image {of} runs: it shows {image.rstrip('@')} by a "
                "tag, and a tag is no identity",
                hint="nothing was promoted. Only `verify-environment` and `baseline` need another revision of an image",
            )
        return base, image

    def _write_template(
        self,
        service: Json,
        template: Json,
        fields: Iterable[str],
        revision: RevisionName | None,
    ) -> None:
        """Write ``fields`` of the template; all others stay."""
        if revision is not None:
            template = {**template, "revision": revision}
        self._api.write(
            f"adding a revision to {converters.short_name(service['name'])}",
            "PATCH",
            service["name"],
            body={"etag": service.get("etag", ""), "template": template},
            params={"updateMask": ",".join(f"template.{field}" for field in ("revision", *fields))},
        )

    def _await_created(
        self, name: str, of: RevisionName, is_wanted: Callable[[Json], bool]
    ) -> RevisionName:
        """Name of the newest revision, once it is the one that was asked for."""
        clock, newest = self._caller.clock, RevisionName("")
        for _ in attempts(clock, _POLL, deadline=clock.monotonic() + _SETTLE_S):
            service = self._api.require(f"reading the service {converters.short_name(name)}", name)
            newest = converters.short_name(str(service.get("latestCreatedRevision", "")))
            found = self.revision(name, newest) if newest and newest != of else None
            if found is not None and is_wanted(found):
                return newest
        raise OutcomeUnknown(
            f"a revision of the image of {of} was asked for, and the newest one is {newest}",
            hint="does somebody else deploy the same service? deploygate status",
        )

    def await_revision(self, name: str, revision: RevisionName, *, budget_s: float) -> None:
        """Poll until ``revision`` is ready.

        Raises:
            StartFailed: the platform says that it never will be, or it is gone.
            OutcomeUnknown: not within ``budget_s`` seconds.
        """
        clock, problem = self._caller.clock, ""
        for _ in attempts(clock, _POLL, deadline=clock.monotonic() + budget_s):
            try:
                found = self.revision(name, revision)
            except TargetUnavailable as error:
                problem = f" (last request failed: {error.message})"
                continue
            info = None if found is None else converters.revision_info(found)
            if info is not None and info.is_ready:
                return
            if info is None or info.has_failed:
                why = "it is gone" if info is None else info.note or "it does not say why"
                raise StartFailed(
                    f"the revision {revision} did not start: {why}",
                    hint="what served before still does",
                )
        raise OutcomeUnknown(
            f"the revision {revision} is not ready after {max(budget_s, 0):g} s{problem}",
            hint="traffic stays where it is; look at the revision's log",
        )


def _runs(container: Json, revision: Json) -> bool:
    """Whether ``revision`` runs what ``container`` says."""
    return container_images.is_alike(revision["containers"][0], container)
