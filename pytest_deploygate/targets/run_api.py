"""The Cloud Run service behind the function: traffic by compare-and-set, revisions, access.

A traffic write carries name, etag, traffic and labels only. Sending the whole service back is
answered with 409 "Revision named ... with different configuration already exists"
(google-cloud-python #11870, #14259).
"""

import logging
from typing import Final

from google.cloud import run_v2

from pytest_deploygate.core.errors import (
    Drifted,
    NotCarriedOut,
    OutcomeUnknown,
    TargetError,
    TargetRefused,
    TargetUnavailable,
)
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.release import RolloutLabels
from pytest_deploygate.core.traffic import Traffic
from pytest_deploygate.system.retry import Backoff, attempts
from pytest_deploygate.targets import converters
from pytest_deploygate.targets.api_caller import ApiCaller
from pytest_deploygate.targets.api_errors import Conflict
from pytest_deploygate.targets.clients import Clients
from pytest_deploygate.targets.json_api import Json

logger = logging.getLogger(__name__)

INVOKER: Final = "roles/run.invoker"
EVERYONE: Final = "allUsers"
_ATTEMPTS: Final = 5
_SETTLE_S: Final = 90.0
_STALE_S: Final = 10.0
"""How long a service is read again that is older than what this process wrote: reads may come from a cache."""
_WRITE_BACKOFF: Final = Backoff(first_s=0.2)
_POLL: Final = Backoff(first_s=0.05, factor=1.05, longest_s=1.0)
"""Each pause is a twentieth of the time waited so far: a rollout waits for four writes of two seconds."""
_LOCATION: Final = "cloud.googleapis.com/location"
"""Label by which the API v1 says in which region a service is."""
_POLICY_VERSION: Final = 3
"""Reads and keeps conditional bindings; a lower version would drop their conditions."""


class RunServices:
    """Calls of the Cloud Run Admin API v2."""

    def __init__(self, clients: Clients, caller: ApiCaller) -> None:
        self._caller = caller
        self._api = clients.json_api("run", "v2", caller)
        self._knative = clients.json_api("run", "apis/serving.knative.dev/v1", caller)
        self._newest: dict[str, int] = {}
        """The latest generation of each service that was read, or is known to have been written."""

    def get(self, name: str) -> run_v2.Service | None:
        """The service, or None if there is none of that name.

        An answer that is older than what this process has read or written is read past, for a while.
        """
        clock = self._caller.clock
        service: run_v2.Service | None = None
        for _ in attempts(clock, _POLL, deadline=clock.monotonic() + _STALE_S):
            found = self._api.get(f"reading the service {converters.short_name(name)}", name)
            if found is None:
                self._newest.pop(name, None)
                return None
            service = converters.service_of(found)
            if not self._is_stale(service):
                self._newest[name] = int(service.generation)
                break
            logger.info("target.stale_answer", extra={"service": name})
        return service

    def _is_stale(self, service: run_v2.Service) -> bool:
        """Whether the platform answered with an earlier state of the service; without a generation nobody knows."""
        return 0 < int(service.generation) < self._newest.get(service.name, 0)

    def name_of(self, spec: FunctionSpec) -> str:
        """Full name of the service of a function by the platform's rule, before the function says it."""
        slug = spec.function.lower().replace("_", "-")
        return f"projects/{spec.project}/locations/{spec.region}/services/{slug}"

    def require(self, name: str) -> run_v2.Service:
        """The service.

        Raises:
            TargetRefused: it does not exist.
        """
        service = self.get(name)
        if service is None:
            raise TargetRefused(
                f"the service {name} does not exist",
                hint="somebody deleted it: deploy the function again",
            )
        return service

    def regions_of_same_name(self, spec: FunctionSpec) -> tuple[str, ...]:
        """Other regions of the project that have a service of the same name.

        Asked of the API v1, as the API v2 lists one region at a time.
        """
        slug = self.name_of(spec).rpartition("/")[2]
        found: set[str] = set()
        params: dict[str, str] = {}
        while True:
            answer = self._knative.require(
                "looking for the service in other regions",
                f"namespaces/{spec.project}/services",
                params,
            )
            for item in answer.get("items", []):
                metadata = item.get("metadata", {})
                if metadata.get("name") == slug:
                    found.add(str(metadata.get("labels", {}).get(_LOCATION, "")))
            token = str(answer.get("metadata", {}).get("continue", ""))
            if not token:
                return tuple(sorted(found - {spec.region, ""}))
            params = {"continue": token}

    # -- traffic ---------------------------------------------------------------------------------

    def shift(
        self,
        name: str,
        to: Traffic,
        *,
        expect: Traffic | None,
        rollout_labels: RolloutLabels | None,
    ) -> run_v2.Service:
        """Make ``to`` the traffic plan if ``expect`` serves (None: whatever does); foreign tags are kept.

        Each attempt writes with the etag just read, so that repeating one whose answer was lost
        cannot undo what somebody else did in between.

        Raises:
            Drifted: something else than ``expect`` and ``to`` serves.
            OutcomeUnknown: a write may have been applied, and the service does not show it.
            TargetUnavailable: others kept changing the service, or it cannot be read.
        """
        failed: TargetError | None = None
        service = self.require(name)
        for attempt in attempts(self._caller.clock, _WRITE_BACKOFF, most=_ATTEMPTS):
            if attempt.number > 1:
                service = self._reread(name)
            wanted = converters.wanted_plan(to, converters.plan_of(service))
            labels = (
                None
                if rollout_labels is None
                else converters.with_rollout_labels(service.labels, rollout_labels)
            )
            _refuse_if_drifted(service, wanted, expect)
            try:
                if not _shows(service, wanted, labels) or _failure_of(service):
                    self._write(service, wanted, labels)
                    service = self._reread(name)
            except (Conflict, OutcomeUnknown) as error:
                failed = error
            else:
                try:
                    return self._await_carried_out(service, wanted)
                except NotCarriedOut as error:
                    failed = error
            logger.warning("target.traffic_repeated", extra={"reason": failed.message})
        raise failed or TargetUnavailable("traffic was not moved")

    def _reread(self, name: str) -> run_v2.Service:
        """The service after something was written: what cannot be read now may have been applied."""
        try:
            return self.require(name)
        except TargetUnavailable as error:
            raise OutcomeUnknown(
                f"traffic was written, and the service cannot be read back: {error.message}",
                hint="look at what serves when the platform answers again: deploygate status",
            ) from error

    def _write(
        self, service: run_v2.Service, wanted: Traffic, labels: dict[str, str] | None
    ) -> None:
        body: Json = {"etag": service.etag, "traffic": converters.targets_of(wanted)}
        if labels is not None:
            body["labels"] = labels
        self._api.write(
            f"giving traffic to {wanted}",
            "PATCH",
            service.name,
            body=body,
            params={"updateMask": "traffic" if labels is None else "traffic,labels"},
        )
        if service.generation and converters.plan_of(service) != wanted:
            self._newest[service.name] = int(service.generation) + 1

    def _await_carried_out(self, service: run_v2.Service, wanted: Traffic) -> run_v2.Service:
        """Poll until the platform shows ``wanted``: what it was told is not yet what it does."""
        clock = self._caller.clock
        for attempt in attempts(clock, _POLL, deadline=clock.monotonic() + _SETTLE_S):
            if attempt.number > 1:
                service = self._reread(service.name)
            plan = converters.plan_of(service)
            if plan != wanted:
                if self._is_stale(service):
                    continue
                raise Drifted(
                    f"somebody else changed the traffic of {service.name} just now: {plan}",
                    found=str(plan),
                    hint="nothing more was changed; find out who deploys it at the same time",
                )
            if converters.is_carried_out(service):
                self._newest[service.name] = int(
                    service.generation
                )  # as it is, not as was expected
                return service
            if reason := _failure_of(service):
                raise NotCarriedOut(
                    f"the platform cannot give traffic to {wanted}: {reason}",
                    hint="look at the revisions named there: are they ready, is their image there?",
                )
        raise OutcomeUnknown(
            f"traffic was given to {wanted}, but {service.name} does not show it after "
            f"{_SETTLE_S:g} s",
            hint="look at the service, then run: deploygate recover",
        )

    # -- access ----------------------------------------------------------------------------------

    def is_public(self, service: run_v2.Service) -> bool:
        """Whether anyone may call the service without a token."""
        return bool(service.invoker_iam_disabled) or self.is_open(service.name)

    def is_open(self, name: str) -> bool:
        """Whether the access policy lets anyone call the service; one that was deleted meanwhile lets nobody."""
        policy = self._api.get(*_policy_request(name))
        return policy is not None and _is_open(policy)

    def set_public(self, name: str, *, is_public: bool) -> None:
        """Add or remove everyone as invoker; all else of the policy stays.

        Raises:
            TargetRefused: also when the organisation forbids public services.
        """
        failed: TargetError | None = None
        for _ in attempts(self._caller.clock, _WRITE_BACKOFF, most=_ATTEMPTS):
            try:
                policy = self._policy(name)
            except TargetUnavailable as error:
                raise failed or error from None
            if _is_open(policy) == is_public:
                return
            _change(policy, is_public=is_public)
            try:
                self._set_policy(name, policy)
            except (Conflict, OutcomeUnknown) as error:
                failed = error
            else:
                failed = OutcomeUnknown(
                    f"who may call {converters.short_name(name)} was changed, and does not read so",
                    hint="look at the service's access policy",
                )
        raise failed or TargetUnavailable("the access policy was not changed")

    def _policy(self, name: str) -> Json:
        return self._api.require(*_policy_request(name))

    def _set_policy(self, name: str, policy: Json) -> None:
        self._api.write(
            f"changing who may call {converters.short_name(name)}",
            "POST",
            f"{name}:setIamPolicy",
            body={"policy": {**policy, "version": _POLICY_VERSION}},
        )

    def missing_permissions(self, name: str, permissions: tuple[str, ...]) -> tuple[str, ...]:
        """Those of ``permissions`` that we do not have on the service."""
        answer = self._api.ask(
            f"reading our permissions on {converters.short_name(name)}",
            f"{name}:testIamPermissions",
            {"permissions": list(permissions)},
        )
        return tuple(p for p in permissions if p not in answer.get("permissions", []))


def _policy_request(name: str) -> tuple[str, str, dict[str, str]]:
    return (
        f"reading who may call {converters.short_name(name)}",
        f"{name}:getIamPolicy",
        {"options.requestedPolicyVersion": str(_POLICY_VERSION)},
    )


def _shows(service: run_v2.Service, wanted: Traffic, labels: dict[str, str] | None) -> bool:
    return converters.plan_of(service) == wanted and labels in (None, dict(service.labels))


def _refuse_if_drifted(service: run_v2.Service, to: Traffic, expect: Traffic | None) -> None:
    """Compare who serves, LATEST resolved; and let ``to`` follow LATEST only to where ``expect`` led.

    A revision without traffic is not yet the latest that is ready, and may become it as soon as traffic follows LATEST.
    """
    if expect is None:
        return
    latest, newest = converters.latest_ready(service), converters.latest_created(service)
    plan = converters.plan_of(service)
    now = converters.resolve_latest(plan, latest).shares
    before, after = (
        converters.resolve_latest(expect, latest).shares,
        converters.resolve_latest(to, latest).shares,
    )
    is_overtaken = plan.is_pinned and newest != latest
    if now not in (before, after) or (not to.is_pinned and (after != before or is_overtaken)):
        found = Traffic(shares=now)
        raise Drifted(
            f"somebody else changed {converters.short_name(service.name)}: {str(found) or 'nothing'} serves, and "
            f"the newest revision is {newest}; expected {expect}",
            found=str(found),
            hint="nothing was overwritten. Find out who deploys it at the same time",
        )


def _failure_of(service: run_v2.Service) -> str:
    """Why the platform gave up on the traffic that the service asks for, or nothing."""
    condition = service.terminal_condition
    is_final = not service.reconciling and service.observed_generation == service.generation
    has_failed = condition.state == run_v2.Condition.State.CONDITION_FAILED
    if is_final and has_failed and not converters.is_carried_out(service):
        return condition.message or "it does not say why"
    return ""


def _is_open(policy: Json) -> bool:
    return any(_opens(binding) for binding in policy.get("bindings", []))


def _opens(binding: Json) -> bool:
    is_conditional = bool(binding.get("condition"))
    is_for_all = EVERYONE in binding.get("members", [])
    return binding.get("role") == INVOKER and is_for_all and not is_conditional


def _change(policy: Json, *, is_public: bool) -> None:
    """Add or remove everyone; all else stays, also what nobody here knows."""
    bindings: list[Json] = policy.setdefault("bindings", [])
    if is_public:
        for binding in bindings:
            if binding.get("role") == INVOKER and not binding.get("condition"):
                binding.setdefault("members", []).append(EVERYONE)
                return
        bindings.append({"role": INVOKER, "members": [EVERYONE]})
        return
    for binding in bindings:
        if _opens(binding):
            binding["members"].remove(EVERYONE)
    policy["bindings"] = [binding for binding in bindings if binding.get("members")]
