"""Cloud Run services: which revisions there are, which of them serve, and what became of each traffic list.

As on the platform, ``traffic`` is what was asked for and ``traffic_statuses`` is what holds. A service follows the
latest *ready* revision where its traffic says LATEST, and nothing else moves traffic.
"""

import asyncio
import logging
import secrets
from typing import NoReturn

from google.cloud import run_v2
from google.iam.v1 import policy_pb2
from google.protobuf.message import Message

from pytest_deploygate.emulator.api.operation_store import (
    FAILED_PRECONDITION,
    INTERNAL,
    INVALID_ARGUMENT,
    NOT_FOUND,
    OperationFailed,
)
from pytest_deploygate.emulator.routing.balancer import Balancer
from pytest_deploygate.emulator.routing.router import Router, Routes
from pytest_deploygate.emulator.runtime.new_revision import NewRevision
from pytest_deploygate.emulator.runtime.pace import Pace, lasting
from pytest_deploygate.emulator.runtime.platform_fields import fill_urls
from pytest_deploygate.emulator.runtime.revisions import (
    image_to_run,
    is_ready,
    revision_name,
    revision_of,
    set_condition,
)
from pytest_deploygate.emulator.runtime.runner import ImageMissing, Runner, StartError
from pytest_deploygate.emulator.runtime.service_status import (
    LATEST,
    bump,
    follows_any_latest,
    half_way,
    resolve_targets,
    terminal,
)
from pytest_deploygate.emulator.storage.state import EmulatorState

logger = logging.getLogger(__name__)

Service = run_v2.Service.pb()
_States = run_v2.Condition.State
INVOKER = "roles/run.invoker"


class EmulatedServices:
    """Changes services and revisions, and keeps the router and the runner in step with them."""

    def __init__(self, state: EmulatorState, runner: Runner, router: Router, pace: Pace) -> None:
        self._state = state
        self._runner = runner
        self._router = router
        self._pace = pace

    async def restore(self) -> None:
        """After a restart: listen where each service listened, route as before, drop what was half made."""
        for name in self._state.revisions.names():
            if self._state.revisions[name].reconciling:
                self._mark(name, "The emulator was stopped while this revision was starting.")
        for name in self._state.services.names():
            service = self._state.services[name]
            service.reconciling = False
            service.uri = await self._router.listen(name)
            fill_urls(service)
            for status in service.traffic_statuses:
                if status.tag:
                    status.uri = await self._router.listen(name, status.tag)
            self._state.services.put(name, service)
            self._route(name)

    async def create(self, wanted: NewRevision) -> str:
        """A new service with its first revision, not started; returns the full name of the revision."""
        service = Service(client="cloudfunctions")
        if wanted.described is not None:
            service.CopyFrom(wanted.described)
        service.name, service.uid = wanted.service, secrets.token_hex(16)
        service.creator = "local"
        service.create_time.GetCurrentTime()
        if not service.traffic:
            service.traffic.add(type_=LATEST, percent=100)
        service.uri = await self._router.listen(wanted.service)
        fill_urls(service)
        self._state.services.put(wanted.service, service)
        self._state.policies.put(
            wanted.service, policy_pb2.Policy(version=1, etag=secrets.token_bytes(6))
        )
        return self.declare(wanted)

    def declare(self, wanted: NewRevision) -> str:
        """A new revision of an existing service, not started; returns its full name. Traffic stays."""
        service = self._state.services[wanted.service]
        try:
            image = image_to_run(self._state, wanted.template.containers[0])
        except ImageMissing as error:
            raise OperationFailed(NOT_FOUND, str(error)) from error
        bump(service)
        chosen = wanted.template.revision
        name = (
            f"{wanted.service}/revisions/{chosen}"
            if chosen
            else revision_name(wanted.service, service.generation)
        )
        service.template.CopyFrom(wanted.template)
        if wanted.is_named:
            service.template.revision = name.rsplit("/", 1)[-1]
        service.labels.clear()
        service.labels.update(wanted.labels)
        service.latest_created_revision = name
        service.reconciling = True
        wanted.describe(service)
        if wanted.follow_latest:
            tagged = [target for target in service.traffic if target.tag]
            del service.traffic[:]
            service.traffic.add(type_=LATEST, percent=100)
            for target in tagged:
                target.percent = 0
                service.traffic.append(target)
        service.terminal_condition.type_ = "Ready"
        service.terminal_condition.state = _States.CONDITION_RECONCILING
        with self._state.transaction():
            self._state.revisions.put(name, revision_of(name, wanted.template, service.generation))
            self._state.running_images.put(name, {"image": image})
            self._state.services.put(wanted.service, service)
        return name

    async def start(self, name: str, *, fail: str | None = None) -> None:
        """Start a declared revision; when it is ready, traffic that follows LATEST moves to it.

        Args:
            name: full name of the revision.
            fail: end as if the container had not started, with this message (a fault).

        Raises:
            OperationFailed: it did not start; what served before still does.
        """
        short = name.rsplit("/", 1)[-1]
        parent = name.rsplit("/", 2)[0]
        try:
            async with lasting(self._pace.revision_s):
                await (self._runner.start(name) if fail is None else _refuse_start(fail))
        except StartError as error:
            message = (
                f"Revision '{short}' is not ready and cannot serve traffic. The user-provided container failed to "
                f"start and listen on the port defined provided by the PORT=8080 environment variable within the "
                f"allocated timeout. {error}"
            )
            self._mark(name, message)
            raise OperationFailed(INVALID_ARGUMENT, message) from error
        self._mark(name, None)
        await self.apply_traffic(parent, reason="deploy")

    def _mark(self, name: str, failure: str | None) -> None:
        """Write down whether a revision is ready, in itself and in its service."""
        revision = self._state.revisions[name]
        service = self._state.services[name.rsplit("/", 2)[0]]
        revision.reconciling = False
        state = _States.CONDITION_SUCCEEDED if failure is None else _States.CONDITION_FAILED
        for kind in ("Ready", "ContainerHealthy"):
            set_condition(
                revision, kind, state, failure or "", health_check_failed=failure is not None
            )
        if service.latest_created_revision == name:
            service.reconciling = False
            service.observed_generation = service.generation
            terminal(service, state, failure or "")
            if failure is None and follows_any_latest(service):
                service.latest_ready_revision = name
        with self._state.transaction():
            self._state.revisions.put(name, revision)
            self._state.services.put(service.name, service)

    async def apply_traffic(self, name: str, *, reason: str, half: bool = False) -> None:
        """Make the traffic that the service asks for hold, in one step once all its revisions run.

        Args:
            name: full name of the service.
            reason: what is written to the change log.
            half: apply only half of the change and fail (a fault).

        Raises:
            OperationFailed: a revision is not ready or cannot start; what held before still does.
        """
        self._advance_latest(name)
        await asyncio.sleep(self._pace.traffic_s)
        generation = self._state.services[name].generation
        targets = resolve_targets(self._state.services[name])
        try:
            for revision in dict.fromkeys(revision for revision, _ in targets):
                await self._ensure(revision)
            uris = {t.tag: await self._router.listen(name, t.tag) for _, t in targets if t.tag}
        except OperationFailed as error:
            service = self._state.services[name]
            if service.generation == generation:
                service.reconciling = False
                service.observed_generation = generation
                terminal(service, _States.CONDITION_FAILED, error.message)
                self._state.services.put(name, service)
            raise
        service = self._state.services.get(name)
        if service is None or service.generation != generation:
            return  # somebody asked for something newer meanwhile; that request makes its own traffic hold
        if half:
            targets = half_way(self._traffic_of(service), targets)
        self._show_traffic(service, targets, uris, reason=reason, is_half=half)
        if half:
            raise OperationFailed(INTERNAL, "The traffic could not be applied completely.")

    def _advance_latest(self, name: str) -> None:
        """Let the latest ready revision be the newest one, if traffic leads there: one without traffic is retired."""
        service = self._state.services[name]
        ready = (
            one
            for one in reversed(self.revisions_by_age(name))
            if is_ready(self._state.revisions[one])
        )
        newest = next(ready, "")
        named = {f"{name}/revisions/{t.revision}" for t in service.traffic if t.percent}
        if newest and (follows_any_latest(service) or newest in named):
            service.latest_ready_revision = newest
            self._state.services.put(name, service)

    def revisions_by_age(self, name: str) -> list[str]:
        """Full names of the revisions of the service ``name``, the oldest first; names tell nothing of that."""
        known = self._state.revisions
        return sorted(known.names(f"{name}/revisions/"), key=lambda one: known[one].generation)

    def give_up(self, name: str, text: str) -> None:
        """Write down that what was asked for last did not come about, where nobody has yet."""
        service = self._state.services.get(name)
        if service is not None and service.reconciling:
            service.reconciling = False
            service.observed_generation = service.generation
            terminal(service, _States.CONDITION_FAILED, text)
            self._state.services.put(name, service)

    async def _ensure(self, name: str) -> None:
        short = name.rsplit("/", 1)[-1]
        revision = self._state.revisions.get(name)
        if revision is None:
            raise OperationFailed(NOT_FOUND, f"Revision '{short}' was not found.")
        if not is_ready(revision):
            raise OperationFailed(
                FAILED_PRECONDITION, f"Revision '{short}' is not ready and cannot serve traffic."
            )
        try:
            await self._runner.start(name)
        except ImageMissing as error:
            message = f"Revision '{short}' is not ready and cannot serve traffic. {error}"
            raise OperationFailed(NOT_FOUND, message) from error
        except StartError as error:
            message = f"Revision '{short}' is not ready and cannot serve traffic. {error}"
            raise OperationFailed(FAILED_PRECONDITION, message) from error

    def _show_traffic(
        self,
        service: Message,
        targets: list[tuple[str, Message]],
        uris: dict[str, str],
        *,
        reason: str,
        is_half: bool,
    ) -> None:
        """Write down and route ``targets``, whose tags have the URLs ``uris``."""
        del service.traffic_statuses[:]
        for revision, target in targets:
            status = service.traffic_statuses.add(
                type_=target.type_, percent=target.percent, tag=target.tag
            )
            if target.type_ != LATEST:
                status.revision = revision.rsplit("/", 1)[-1]
            status.uri = uris.get(target.tag, "")
        service.reconciling = False
        service.observed_generation = service.generation
        if not is_half:
            terminal(service, _States.CONDITION_SUCCEEDED)
        else:
            terminal(
                service, _States.CONDITION_FAILED, "The traffic could not be applied completely."
            )
        entry: dict[str, object] = {
            "at": service.update_time.ToJsonString(),
            "generation": service.generation,
            "reason": reason,
            "traffic": [
                {
                    "revision": revision.rsplit("/", 1)[-1],
                    "percent": t.percent,
                    "tag": t.tag,
                    "latest": t.type_ == LATEST,
                }
                for revision, t in targets
            ],
        }
        with self._state.transaction():
            self._state.services.put(service.name, service)
            self._state.log_traffic(service.name, entry)
        self._route(service.name)

    def _traffic_of(self, service: Message) -> list[tuple[str, int]]:
        return [
            (self.status_revision(service, s), s.percent)
            for s in service.traffic_statuses
            if s.percent
        ]

    def status_revision(self, service: Message, status: Message) -> str:
        """Full name of the revision that a traffic status leads to."""
        if status.type_ == LATEST:
            return str(service.latest_ready_revision)
        return f"{service.name}/revisions/{status.revision}"

    def _route(self, name: str) -> None:
        """Bring the router and the runner in step with the statuses of a service."""
        service = self._state.services[name]
        shares: dict[str, int] = {}
        tags: dict[str, str] = {}
        for status in service.traffic_statuses:
            revision = self.status_revision(service, status)
            shares[revision] = shares.get(revision, 0) + status.percent
            if status.tag:
                tags[status.tag] = revision
        before = self._router.routes(name)
        routes = Routes(
            shares=Balancer(shares.items()), tags=tags, is_public=self.is_public(service)
        )
        routes.stale_tags = {tag: stale for tag, stale in before.stale_tags.items() if tag in tags}
        self._router.replace(name, routes)
        self._runner.keep(self.needed_revisions())

    def needed_revisions(self) -> set[str]:
        """Full names of all revisions that have traffic or a tag, in any service."""
        services = [self._state.services[name] for name in self._state.services.names()]
        return {self.status_revision(s, status) for s in services for status in s.traffic_statuses}

    def with_traffic(self, name: str) -> set[str]:
        """Full names of the revisions of the service ``name`` that get requests at its own URL."""
        return {revision for revision, _ in self._traffic_of(self._state.services[name])}

    def is_public(self, service: Message) -> bool:
        """Whether anybody may call the service without a token."""
        policy = self._state.policies.get(service.name)
        bindings = policy.bindings if policy is not None else []
        return bool(service.invoker_iam_disabled) or any(
            binding.role == INVOKER and "allUsers" in binding.members for binding in bindings
        )

    def policy_changed(self, name: str) -> None:
        """Let the router know who may call a service, when the policy has spread."""
        if self._pace.access_s:
            loop = asyncio.get_running_loop()
            loop.call_later(self._pace.access_s, self._apply_policy, name)
        else:
            self._apply_policy(name)

    def _apply_policy(self, name: str) -> None:
        if name not in self._state.services:
            return
        self._router.routes(name).is_public = self.is_public(self._state.services[name])

    async def delete_revision(self, name: str) -> None:
        """Stop a revision after its requests in flight and forget it."""
        self._state.revisions.delete(name)
        self._state.running_images.delete(name)
        await self._runner.stop(name)

    async def delete(self, name: str) -> None:
        """Close a service and remove it with everything that belongs to it."""
        await self._router.forget(name)
        revisions = self._state.revisions.names(f"{name}/revisions/")
        with (
            self._state.transaction()
        ):  # all at once: a new service of that name must find none of them
            self._state.services.delete(name)
            self._state.policies.delete(name)
            for revision in revisions:
                self._state.revisions.delete(revision)
                self._state.running_images.delete(revision)
        self._runner.keep(self.needed_revisions())
        for revision in revisions:
            await self._runner.stop(revision)


async def _refuse_start(text: str) -> NoReturn:
    raise StartError(text)
