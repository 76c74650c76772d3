"""Everything that can be found wrong with a deployment of a function without changing anything.

What the platform would refuse later, minutes into a build, is found here in seconds; and what it
would not refuse but nobody wants: a name too long for its tags, a split that would be lost,
variables that would vanish.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from google.cloud import functions_v2

from pytest_deploygate.core.errors import DeployGateError, TargetRefused
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.preflight import PreflightFinding
from pytest_deploygate.core.service_limits import cpus_of, default_cpu
from pytest_deploygate.core.units import Memory
from pytest_deploygate.targets import converters
from pytest_deploygate.targets.function_config import PLATFORM_VARIABLES
from pytest_deploygate.targets.functions_api import CloudFunctions
from pytest_deploygate.targets.preflight_findings import (
    ask,
    blocking_finding,
    missing_permissions,
    note,
    wrong_setting,
)
from pytest_deploygate.targets.preflight_project import ProjectPreflight
from pytest_deploygate.targets.preflight_service import ServicePreflight
from pytest_deploygate.targets.preflight_settings import settings_problems

_ON_FUNCTION: Final = (
    "cloudfunctions.functions.get",
    "cloudfunctions.functions.update",
    "cloudfunctions.functions.sourceCodeGet",
)
_State = functions_v2.Function.State


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What is asked about a function, its project and its service."""

    spec: FunctionSpec
    functions: CloudFunctions
    on_project: ProjectPreflight
    on_service: ServicePreflight

    def run(self) -> tuple[PreflightFinding, ...]:
        """All findings, the blocking ones first; ends early when the platform cannot even be asked."""
        found = [*settings_problems(self.spec)]
        try:
            function = self.functions.get()
        except DeployGateError as error:
            found.append(blocking_finding(error.message, error.hint))
            return tuple(found)
        found += ask(lambda: self._concurrency(function))
        found += self.on_project.apis()
        found += ask(self._runtime)
        found += ask(self.on_project.secret_versions)
        found += ask(lambda: self.on_project.account(self._account_of(function)))
        if function is None:
            found += ask(lambda: self.on_service.ingress(None))
            found += ask(self._service_alone)
            found += ask(self._other_regions)
        else:
            found += ask(lambda: self._function(function))
            found += ask(lambda: self._service(function))
        return tuple(sorted(found, key=lambda f: not f.is_blocking))

    def _account_of(self, function: functions_v2.Function | None) -> str:
        """The service account that the function will run as, where that is known."""
        known = function.service_config.service_account_email if function is not None else ""
        return self.spec.service_account or known

    def _concurrency(self, function: functions_v2.Function | None) -> Iterator[PreflightFinding]:
        """Several requests at a time need a whole CPU; where the settings name none, it goes with the memory."""
        spec = self.spec
        if spec.cpu or (spec.concurrency or 1) == 1:
            return
        known = function.service_config.available_cpu if function is not None else ""
        cpu = cpus_of(known) or default_cpu(Memory.parse(spec.memory).mib)
        if cpu < 1:
            yield wrong_setting(
                f"concurrency {spec.concurrency} needs at least 1 cpu, and {spec.memory} of memory "
                f"come with {cpu:g}",
                'add `cpu = "1"` to the settings: Google would refuse it',
            )

    def _service_alone(self) -> Iterator[PreflightFinding]:
        """A Cloud Run service of the function's name is no first release, and not ours to create over."""
        name = self.on_service.services.name_of(self.spec)
        service = self.on_service.services.get(name)
        if service is not None:
            yield blocking_finding(
                f"the Cloud Run service {converters.short_name(name)} exists and has no function: "
                f"{converters.origin_of(service)}",
                'deploy to it with `target = "cloud-run"`, or take another name',
            )

    def _other_regions(self) -> Iterator[PreflightFinding]:
        """Functions and services of that name elsewhere: the region may be a mistake. Who may not ask is told that."""
        name = self.spec.function
        services = self.on_service.services
        slug = converters.short_name(services.name_of(self.spec))
        kinds: dict[str, Callable[[], tuple[str, ...]]] = {
            name: self.functions.regions_of_same_name,
            f"the Cloud Run service {slug}": lambda: services.regions_of_same_name(self.spec),
        }
        said: set[str] = set()
        for what, regions_of in kinds.items():
            try:
                regions = sorted(set(regions_of()) - said)
            except TargetRefused as error:
                yield note(error.message, "look at them yourself: gcloud run services list")
                continue
            said |= set(regions)
            if regions:
                yield note(
                    f"{what} exists in {', '.join(regions)} and not in {self.spec.region}: "
                    "this would be a first release there",
                    "correct `region` in the settings if that is not meant",
                )

    def _runtime(self) -> Iterator[PreflightFinding]:
        offered = self.functions.runtimes()
        if offered and self.spec.runtime not in offered:
            python = ", ".join(r for r in offered if r.startswith("python"))
            yield wrong_setting(
                f"the region {self.spec.region} does not offer the runtime {self.spec.runtime}",
                f"it offers {python}",
            )

    def _function(self, function: functions_v2.Function) -> Iterator[PreflightFinding]:
        name = self.spec.function
        if function.environment == functions_v2.Environment.GEN_1:
            yield blocking_finding(
                f"{name} is a function of the 1st generation", "upgrade it, or take another name"
            )
        if "event_trigger" in function:
            yield blocking_finding(
                f"{name} is triggered by events, not by HTTP", "take another name"
            )
        if function.state == _State.DELETING:
            yield blocking_finding(
                f"{name} is being deleted right now", "wait until that has ended"
            )
        if function.state == _State.DEPLOYING:
            yield note(
                f"{name} is being deployed right now by somebody else",
                "the rollout waits until that has ended, and asks once more",
            )
        yield from missing_permissions(
            lambda: self.functions.missing_permissions(_ON_FUNCTION),
            lambda _: "roles/cloudfunctions.developer",
        )
        gone = set(function.service_config.environment_variables) - set(self.spec.variables)
        gone -= {*PLATFORM_VARIABLES, *self.spec.verify_variables}
        gone -= set().union(*self.spec.verify_variants.values())
        if gone:
            yield note(
                f"{name} has variables that the settings do not name, and the new "
                f"revision will not have: {', '.join(sorted(gone))}",
                "name them under `environment-variables` if they are needed",
            )

    def _service(self, function: functions_v2.Function) -> Iterator[PreflightFinding]:
        name = function.service_config.service
        service = self.on_service.services.get(name) if name else None
        if service is not None:
            yield from self.on_service.run(service, function.labels)
