"""The target: one Cloud Functions (2nd gen) function, at Google or in the emulator.

Both run this code through the official clients over REST; only endpoint and credentials differ. The
platform's libraries are loaded when a target is made, not when this module is.
"""

import logging
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_deploygate.core.artifacts import Backup, Package
from pytest_deploygate.core.errors import (
    OutcomeUnknown,
    StartFailed,
    TargetRefused,
    TargetUnavailable,
)
from pytest_deploygate.core.function_spec import Variant
from pytest_deploygate.core.identifiers import RevisionName
from pytest_deploygate.core.preflight import PreflightFinding
from pytest_deploygate.core.release import RolloutLabels, Snapshot
from pytest_deploygate.targets import gcloud_commands
from pytest_deploygate.targets.service_target import ServiceTarget

if TYPE_CHECKING:
    from google.cloud import functions_v2, run_v2

    from pytest_deploygate.targets.functions_api import CloudFunctions

logger = logging.getLogger(__name__)

_DELETE_S: Final = 300.0


class CloudFunctionsTarget(ServiceTarget):
    """Implements :class:`pytest_deploygate.ports.Target` by the Cloud Functions API."""

    _last: "functions_v2.Function | None" = None
    _known_service = ""

    @cached_property
    def _functions(self) -> "CloudFunctions":
        from pytest_deploygate.targets.functions_api import CloudFunctions

        return CloudFunctions(self._clients, self._caller, self._spec, is_local=self._is_local)

    # -- looking ---------------------------------------------------------------------------------

    def preflight(self) -> tuple[PreflightFinding, ...]:
        """Everything that can be found wrong without changing anything."""
        from pytest_deploygate.targets.api_errors import NEEDED_APIS
        from pytest_deploygate.targets.preflight_checks import Preflight

        return Preflight(
            spec=self._spec,
            functions=self._functions,
            on_project=self._preflight_of_project(NEEDED_APIS),
            on_service=self._preflight_of_service(is_function=True),
        ).run()

    def snapshot(self) -> Snapshot:
        """The service as it is now."""
        from pytest_deploygate.targets import converters, function_config

        function = self._last_known_function()
        if function is None:
            return Snapshot(exists=False)
        name = self._name_by(function)
        service = self._services.get(name)
        if service is None:
            return Snapshot(exists=False, rollout_labels=converters.labels_of(function.labels))
        is_public = self._access.read_public(name)
        return function_config.function_snapshot(function, service, is_public=is_public)

    def _snapshot_of(self, service: "run_v2.Service", *, is_public: bool) -> Snapshot:
        from pytest_deploygate.targets import function_config

        function = self._last or self._functions.require()
        return function_config.function_snapshot(function, service, is_public=is_public)

    def _last_known_function(self) -> "functions_v2.Function | None":
        """The function as it is, or as it was seen last when its API does not answer.

        Returning traffic needs Cloud Run alone, and must not fail for the other API.
        """
        try:
            self._last = self._functions.get()
        except TargetUnavailable as error:
            if self._last is None:
                raise
            logger.warning("target.function_not_read", extra={"reason": error.message})
        return self._last

    def _service_name(self) -> str:
        """Full name of the service, asked for once: a function never changes it."""
        if not self._known_service:
            self._known_service = self._name_by(
                self._last_known_function() or self._functions.require()
            )
        return self._known_service

    def _name_by(self, function: "functions_v2.Function") -> str:
        """Full name of the service: as the function says, or by the platform's rule before it does."""
        return function.service_config.service or self._services.name_of(self._spec)

    def find_operation(self) -> str | None:
        """Name of an unfinished deployment operation of the function, or None."""
        for operation in self._functions.operations():
            if not operation.is_done:
                return operation.name
        return None

    def gcloud_commands(self, snapshot: Snapshot | None, steps: tuple[int, ...]) -> tuple[str, ...]:
        """The same rollout in gcloud's words, ready to paste into a shell."""
        return gcloud_commands.commands(self._spec, snapshot, steps=steps, cwd=Path.cwd())

    # -- before staging --------------------------------------------------------------------------

    def _fetch_backup(self, snapshot: Snapshot) -> Backup:
        """Fetch source and settings of what serves to this side."""
        from pytest_deploygate.targets import source_backups

        if snapshot.baseline is None:
            raise TargetRefused(
                "traffic is split or nothing serves, so there is no one revision to back up",
                hint="give one revision all the traffic first",
            )
        function = self._functions.require()
        service = self._services.require(self._name_by(function))
        is_built_last = self._is_built_last(function, snapshot.baseline)
        return source_backups.make(
            self._functions.download if is_built_last else None,
            source_backups.settings_of_function(function, service),
            snapshot.baseline,
            self._home / "backups",
        )

    def _is_built_last(self, function: "functions_v2.Function", revision: RevisionName) -> bool:
        """Whether ``revision`` runs what the function was built to last, by digest where the names differ."""
        from pytest_deploygate.targets import converters

        named = converters.short_name(function.service_config.revision)
        if named == revision:
            return True
        last, found = self.revision(named) if named else None, self.revision(revision)
        return (
            last is not None
            and found is not None
            and bool(last.digest)
            and last.digest == found.digest
        )

    def upload(self, package: Package) -> str:
        """Hand the archive to the platform; returns the place for :meth:`begin_release`."""
        return self._functions.upload(Path(package.path))

    # -- releasing -------------------------------------------------------------------------------

    def begin_release(self, source: str, rollout_labels: RolloutLabels) -> str:
        """Ask for one build and a revision of it; returns the operation's name without waiting."""
        from pytest_deploygate.targets import converters, function_config
        from pytest_deploygate.targets.deploy_requests import begin, release

        function = self._functions.get()
        if function is None:
            self._refuse_foreign_service()
        known = dict(function.labels) if function is not None else {}
        variables = dict(self._spec.variables_of(Variant.CANDIDATE))
        wanted, paths = release(
            self._spec,
            variables=function_config.kept_variables(function) | variables,
            secrets=self._secrets.resolve(self._spec),
            labels=converters.with_rollout_labels(known | dict(self._spec.labels), rollout_labels),
            source=function_config.storage_source(source),
        )
        is_new = function is None
        return begin(self._functions, wanted, None if is_new else paths, self._clock)

    def _refuse_foreign_service(self) -> None:
        """A service without a function is no first release: it may serve, and must not be created over."""
        from pytest_deploygate.targets import converters

        name = self._services.name_of(self._spec)
        service = self._services.get(name)
        if service is not None:
            raise TargetRefused(
                f"the Cloud Run service {converters.short_name(name)} exists and has no function: "
                f"{converters.origin_of(service)}",
                hint='deploy to it with `target = "cloud-run"`, or take another name',
            )

    def begin_restore(self, backup: Backup) -> str:
        """Ask for a new revision made of ``backup``; returns the operation's name without waiting."""
        from pytest_deploygate.targets import function_config, source_backups
        from pytest_deploygate.targets.deploy_requests import begin, restoration

        path, before = source_backups.read(backup)
        labels = self._functions.require().labels
        source = function_config.storage_source(self._functions.upload(path))
        return begin(self._functions, *restoration(before, source, labels), self._clock)

    def await_release(
        self, operation: str, *, progress: Callable[[str], None], budget_s: float
    ) -> RevisionName:
        """Wait for what was begun; may be called again after a crash."""
        from pytest_deploygate.targets import converters, deployment_wait

        ended = deployment_wait.wait(
            self._functions, operation, clock=self._clock, progress=progress, budget_s=budget_s
        )
        config = ended.function.service_config
        if not config.revision:
            raise OutcomeUnknown(
                f"the operation {operation} has ended and names no revision",
                hint="look at the function: deploygate status",
            )
        name = converters.short_name(config.revision)
        info = self._revisions.describe(self._name_by(ended.function), name)
        if info is None or not info.is_ready:
            note = "it is gone" if info is None else info.note or "it is not ready"
            raise StartFailed(
                f"the deployment succeeded, but its revision {name} cannot serve: {note}",
                hint="what served before still does",
            )
        return name

    def delete_function(self) -> None:
        """Remove a function whose first release was not promoted. Refuses when the service is public."""
        from pytest_deploygate.targets import deployment_wait

        function = self._functions.get()
        if function is None:
            return
        service = self._services.get(self._name_by(function))
        if service is not None and self._services.is_public(service):
            raise TargetRefused(
                f"{self._functions.name} is open to the public and was not deleted",
                hint="close it first, if nobody uses it",
            )
        operation = self._functions.delete()
        if operation is not None:
            deployment_wait.wait(
                self._functions,
                operation,
                clock=self._clock,
                progress=lambda _: None,
                budget_s=_DELETE_S,
            )
