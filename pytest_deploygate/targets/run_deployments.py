"""Creating a Cloud Run service, or giving it a new template: one write each, settled by one reading.

The revision is named by us, so whether a write whose answer was lost was applied is what the service's template says.
It carries the etag: one that comes late, or after somebody else's, changes nothing.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from pytest_deploygate.core.errors import (
    OutcomeUnknown,
    StartFailed,
    TargetError,
    TargetRefused,
    TargetUnavailable,
)
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.release import RolloutLabels
from pytest_deploygate.system.retry import Backoff, attempts
from pytest_deploygate.targets import converters
from pytest_deploygate.targets.api_caller import ApiCaller
from pytest_deploygate.targets.api_errors import Conflict, error_answer_of
from pytest_deploygate.targets.clients import Clients
from pytest_deploygate.targets.json_api import Json
from pytest_deploygate.targets.run_revisions import RunRevisions

logger = logging.getLogger(__name__)

_ATTEMPTS: Final = 5
_DELETE_S: Final = 300.0
_WRITE_BACKOFF: Final = Backoff(first_s=0.2)
_POLL: Final = Backoff(first_s=0.05, factor=1.5, longest_s=1.0)
_ALL_TO_LATEST: Final[Json] = {
    "type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST",
    "percent": 100,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedService:
    """A revision to be made of a service, and what changes of the service itself."""

    name: str
    """Full name of the service."""
    revision: RevisionName
    template_of: Callable[[Json], Json]
    """Makes the new template of the one that the service has."""
    fields: Mapping[str, object]
    """Fields of the service itself, such as ``ingress``."""
    labels: Mapping[str, str]
    """Labels that the settings name."""
    rollout_labels: RolloutLabels | None
    """What the service is to remember of the rollout; None leaves it."""
    is_new: bool
    """Whether there was no service: one that is there now is somebody else's, unless it has our revision."""


class ServiceDeployments:
    """Writes templates of services, and waits for the revisions that come of them."""

    def __init__(self, clients: Clients, caller: ApiCaller, revisions: RunRevisions) -> None:
        self._caller = caller
        self._api = clients.json_api("run", "v2", caller)
        self._revisions = revisions

    def write(self, wanted: WantedService) -> None:
        """Make the service ask for the wanted revision; not awaited.

        Raises:
            TargetRefused: the service is gone, or somebody else made one of that name meanwhile.
            OutcomeUnknown: the write may have been applied, and the service cannot be read.
            TargetUnavailable: others kept changing it.
        """
        short = converters.short_name(wanted.name)
        failed: TargetError | None = None
        for attempt in attempts(self._caller.clock, _WRITE_BACKOFF, most=_ATTEMPTS):
            service = self._read(wanted.name, was_written=isinstance(failed, OutcomeUnknown))
            if service is not None and _asks_for(service, wanted.revision):
                return
            if attempt.number > 1 and failed is not None:
                logger.warning("target.template_repeated", extra={"reason": failed.message})
            try:
                self._write_once(wanted, service)
            except (Conflict, OutcomeUnknown) as error:
                failed = error
            except TargetRefused as error:
                if not _exists_already(error):
                    raise
                failed = error  # perhaps by an earlier attempt of ours: the service tells
            else:
                return
        raise failed or TargetUnavailable(f"{short} was not changed")

    def _write_once(self, wanted: WantedService, service: Json | None) -> None:
        short = converters.short_name(wanted.name)
        if service is None and not wanted.is_new:
            raise TargetRefused(
                f"the service {short} does not exist any more",
                hint="find out who deleted it, then deploy again",
            )
        if service is None:
            self._create(wanted)
        elif wanted.is_new:
            raise TargetRefused(
                f"the service {short} was made by somebody else just now: "
                f"{converters.origin_of(converters.service_of(service))}",
                hint="nothing of it was changed; deploy again when it is yours",
            )
        else:
            self._patch(wanted, service)

    def _read(self, name: str, *, was_written: bool) -> Json | None:
        doing = f"reading the service {converters.short_name(name)}"
        try:
            return self._api.get(doing, name)
        except TargetUnavailable as error:
            if not was_written:
                raise
            raise OutcomeUnknown(
                f"a revision was asked for, and the service cannot be read: {error.message}",
                hint="when the platform answers again, run: deploygate recover",
            ) from error

    def _create(self, wanted: WantedService) -> None:
        parent, _, short = wanted.name.rpartition("/services/")
        body: Json = {
            **wanted.fields,
            "labels": _labels(wanted, {}),
            "template": wanted.template_of({}),
            "traffic": [_ALL_TO_LATEST],
        }
        self._api.write(
            f"creating the service {short}",
            "POST",
            f"{parent}/services",
            body=body,
            params={"serviceId": short},
        )

    def _patch(self, wanted: WantedService, service: Json) -> None:
        body: Json = {
            **wanted.fields,
            "etag": service.get("etag", ""),
            "labels": _labels(wanted, service.get("labels") or {}),
            "template": wanted.template_of(service.get("template") or {}),
        }
        self._api.write(
            f"deploying to {converters.short_name(wanted.name)}",
            "PATCH",
            wanted.name,
            body=body,
            params={"updateMask": ",".join(sorted(set(body) - {"etag"}))},
        )

    def await_started(self, service: str, revision: RevisionName, *, budget_s: float) -> None:
        """Poll until ``revision``, which the service asks for, is there and ready.

        Raises:
            StartFailed: it never will be.
            OutcomeUnknown: not within ``budget_s`` seconds.
        """
        clock = self._caller.clock
        deadline = clock.monotonic() + budget_s
        for _ in attempts(clock, _POLL, deadline=deadline):
            if self._revisions.revision(service, revision) is not None:
                left_s = deadline - clock.monotonic()
                self._revisions.await_revision(service, revision, budget_s=left_s)
                return
            found = self._api.require(f"reading the service {service}", service)
            if why := _gave_up(found):
                raise StartFailed(
                    f"the revision {revision} was not made: {why}",
                    hint="what served before still does",
                )
        raise OutcomeUnknown(
            f"the revision {revision} was asked for, and is not there after {max(budget_s, 0):g} s",
            hint="traffic stays where it is; when it has ended, run: deploygate recover",
        )

    def await_settled(self, service: str, *, budget_s: float) -> Json:
        """The service, once everything that it was asked for is carried out or given up.

        Raises:
            TargetRefused: it does not exist.
            OutcomeUnknown: not within ``budget_s`` seconds.
        """
        clock = self._caller.clock
        for _ in attempts(clock, _POLL, deadline=clock.monotonic() + budget_s):
            found = self._api.require(f"reading the service {service}", service)
            if not found.get("reconciling"):
                return found
        raise OutcomeUnknown(
            f"{converters.short_name(service)} is still being changed after {max(budget_s, 0):g} s",
            hint="traffic stays where it is; when it has ended, run: deploygate recover",
        )

    def delete(self, name: str, etag: str) -> None:
        """Remove the service as it was read; one that is gone is success. Returns when it is gone.

        Raises:
            OutcomeUnknown: it is still there.
        """
        short = converters.short_name(name)
        self._api.delete(f"deleting the service {short}", name, {"etag": etag})
        clock = self._caller.clock
        for _ in attempts(clock, _POLL, deadline=clock.monotonic() + _DELETE_S):
            if self._api.get(f"reading the service {short}", name) is None:
                return
        raise OutcomeUnknown(
            f"{short} is still there {_DELETE_S:g} s after it was deleted",
            hint="look at the service, then run: deploygate recover",
        )


def _exists_already(error: TargetRefused) -> bool:
    """Whether the platform refused because there is a service, or a revision, of that name."""
    answer = error_answer_of(error.__cause__) if error.__cause__ is not None else None
    return answer is not None and answer.http == HTTPStatus.CONFLICT


def _labels(wanted: WantedService, now: Mapping[str, str]) -> dict[str, str]:
    labels = {**now, **wanted.labels}
    if wanted.rollout_labels is None:
        return labels
    return converters.with_rollout_labels(labels, wanted.rollout_labels)


def _asks_for(service: Json, revision: RevisionName) -> bool:
    return bool((service.get("template") or {}).get("revision") == revision)


def _gave_up(service: Json) -> str:
    """Why the platform gave up on what the service asks for, or nothing."""
    condition = service.get("terminalCondition") or {}
    is_final = not service.get("reconciling") and (
        service.get("generation") == service.get("observedGeneration")
    )
    has_failed = condition.get("state") == "CONDITION_FAILED"
    return str(condition.get("message") or "it does not say why") if is_final and has_failed else ""
