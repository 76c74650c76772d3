"""The parts of an emulator, put together."""

from dataclasses import dataclass, replace
from pathlib import Path

from aiohttp import web

from pytest_deploygate.emulator.api.fault_rules import FaultRules
from pytest_deploygate.emulator.api.operation_store import Operations
from pytest_deploygate.emulator.emulator_settings import EmulatorSettings
from pytest_deploygate.emulator.routing.router import Router
from pytest_deploygate.emulator.runtime.builder import Builder
from pytest_deploygate.emulator.runtime.deployments import Deployments
from pytest_deploygate.emulator.runtime.instance_launch import LaunchSpec
from pytest_deploygate.emulator.runtime.pace import pace_of
from pytest_deploygate.emulator.runtime.revisions import launch_spec
from pytest_deploygate.emulator.runtime.run_services import EmulatedServices
from pytest_deploygate.emulator.runtime.runner import ImageMissing, Runner
from pytest_deploygate.emulator.runtime.source_builds import SourceBuilds
from pytest_deploygate.emulator.runtime.usage_statistics import UsageStatistics
from pytest_deploygate.emulator.services.service_interface import ServiceContext, StandInService
from pytest_deploygate.emulator.services.service_list import open_services
from pytest_deploygate.emulator.storage.source_uploads import Sources
from pytest_deploygate.emulator.storage.state import EmulatorState


@dataclass(slots=True, kw_only=True)
class EmulatedCloud:
    """Everything that handlers need."""

    home: Path
    settings: EmulatorSettings
    state: EmulatorState
    statistics: UsageStatistics
    operations: Operations
    runner: Runner
    router: Router
    services: EmulatedServices
    sources: Sources
    deployments: Deployments
    source_builds: SourceBuilds
    faults: FaultRules
    stand_ins: list[StandInService]
    function_variables: dict[str, str]
    """Environment variables that every function gets."""

    @property
    def base_url(self) -> str:
        """Where the admin API listens."""
        return self.deployments.base_url

    def listens_at(self, url: str) -> None:
        """Note where the admin API listens; functions find the stand-in services there."""
        self.deployments.base_url = self.source_builds.base_url = url
        for service in self.stand_ins:
            self.function_variables.update(service.variables(url))


CLOUD = web.AppKey("cloud", EmulatedCloud)


def make_cloud(home: Path, settings: EmulatorSettings) -> EmulatedCloud:
    """The parts for ``home``, with what was stored there; nothing runs or listens yet."""
    pace = pace_of(settings.pace, settings.pace_factor)
    lag_s = max(settings.monitoring_lag_s, pace.monitoring_lag_s)
    settings = replace(settings, monitoring_lag_s=lag_s)
    state = EmulatorState(home)
    statistics = UsageStatistics()
    faults = FaultRules()
    operations = Operations(state, least_s=settings.operation_s)
    variables: dict[str, str] = {}

    def spec_of(revision: str) -> LaunchSpec:
        spec = launch_spec(state, home, revision, variables)
        if spec.revision in faults.missing_images:
            raise ImageMissing(f"Image of '{spec.revision}' not found.")
        return spec

    def ballast_mb(revision: str) -> float:
        return router.ballast_mb(revision)

    runner = Runner(state, statistics, settings, spec_of=spec_of, ballast_mb=ballast_mb)
    router = Router(state, runner, statistics)
    services = EmulatedServices(state, runner, router, pace)
    sources = Sources(home, state)
    cache = Path(settings.build_cache) if settings.build_cache else home / "environments"
    builder = Builder(home, cache)
    deployments = Deployments(home, state, operations, services, builder, sources, pace)
    source_builds = SourceBuilds(home, state, builder, sources, pace)
    return EmulatedCloud(
        home=home,
        settings=settings,
        state=state,
        statistics=statistics,
        operations=operations,
        runner=runner,
        router=router,
        services=services,
        sources=sources,
        deployments=deployments,
        source_builds=source_builds,
        faults=faults,
        stand_ins=open_services(ServiceContext(home=home, settings=settings)),
        function_variables=variables,
    )
