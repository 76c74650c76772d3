"""What the platform adds by itself to functions, services and revisions, as recorded of the real one.

Names are made of the project's number where the platform does so. URLs are of loopback: whoever calls one of them must
reach the function here, and not somebody's at Google.
"""

import contextlib
import hashlib

from google.api import launch_stage_pb2
from google.cloud import functions_v2, run_v2
from google.protobuf.message import Message

from pytest_deploygate.core.service_limits import default_cpu
from pytest_deploygate.core.units import Memory

FUNCTION_TARGET = "FUNCTION_TARGET"
"""Variable that the platform gives every container of a function."""
_REGISTRY = functions_v2.BuildConfig.DockerRegistry.ARTIFACT_REGISTRY
_GA = launch_stage_pb2.LaunchStage.Value("GA")
_INGRESS = run_v2.IngressTraffic
_INGRESS_OF = {
    functions_v2.ServiceConfig.IngressSettings.ALLOW_ALL: _INGRESS.INGRESS_TRAFFIC_ALL,
    functions_v2.ServiceConfig.IngressSettings.ALLOW_INTERNAL_ONLY: _INGRESS.INGRESS_TRAFFIC_INTERNAL_ONLY,
    functions_v2.ServiceConfig.IngressSettings.ALLOW_INTERNAL_AND_GCLB: (
        _INGRESS.INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER
    ),
}
_PORT = 8080
_PROBE_S = 240


def project_number(project: str) -> str:
    """A number of twelve digits that is always the same for ``project``."""
    digest = hashlib.sha256(project.encode()).hexdigest()
    return str(10**11 + int(digest[:15], 16) % (9 * 10**11))


def compute_account(project: str) -> str:
    """The service account that builds and functions run as where none is named."""
    return f"{project_number(project)}-compute@developer.gserviceaccount.com"


def robot_of(project: str) -> str:
    """The account by which Cloud Functions writes services."""
    return f"service-{project_number(project)}@gcf-admin-robot.iam.gserviceaccount.com"


def fill_function(function: Message) -> None:
    """What the platform derives where nothing was asked for: CPU, accounts, registry, updates of the base image."""
    project = function.name.split("/")[1]
    build, service = function.build_config, function.service_config
    account = compute_account(project)
    build.docker_registry = build.docker_registry or _REGISTRY
    build.service_account = build.service_account or f"projects/{project}/serviceAccounts/{account}"
    if not build.HasField("on_deploy_update_policy"):
        build.automatic_update_policy.SetInParent()
    service.service_account_email = service.service_account_email or account
    if not service.available_cpu:
        with contextlib.suppress(ValueError):  # no memory at all, which is refused by name
            service.available_cpu = derived_cpu(service.available_memory)


def derived_cpu(memory: str) -> str:
    """The CPUs that go with ``memory``, in the platform's four digits."""
    return f"{default_cpu(Memory.parse(memory).mib):.4f}".rstrip("0").rstrip(".")


def fill_service(service: Message, function: Message) -> None:
    """What Cloud Functions writes on the service of a function: who made it, of what, and how it is reached."""
    _, project, _, region, _, short = function.name.split("/")
    build = function.build_config
    service.labels.update(_own_labels(function))
    service.annotations["cloudfunctions.googleapis.com/function-id"] = short
    service.creator = service.creator or robot_of(project)
    service.last_modifier = robot_of(project)
    service.launch_stage = _GA
    service.ingress = _INGRESS_OF[function.service_config.ingress_settings]
    made = service.build_config
    made.Clear()
    made.name = build.build
    made.function_target = build.entry_point
    made.enable_automatic_updates = build.HasField("automatic_update_policy")
    made.base_image = base_image(region, build.runtime)
    made.image_uri = service.template.containers[0].image
    source = build.source.storage_source
    made.source_location = f"gs://{source.bucket}/{source.object_}#{source.generation}"
    made.environment_variables["GOOGLE_FUNCTION_SOURCE"] = "main.py"
    made.environment_variables.update(build.environment_variables)


def fill_urls(service: Message) -> None:
    """Three URLs, as the platform has; the first and the second by another name of this machine."""
    port = service.uri.rpartition(":")[2]
    short = service.name.rpartition("/")[2]
    urls = [f"http://{short}.localhost:{port}", function_url(service.uri), service.uri]
    service.urls[:] = urls
    service.custom_audiences[:] = [function_url(service.uri)]


def function_url(uri: str) -> str:
    """URL of the function, which is another one than that of its service."""
    return uri.replace("127.0.0.1", "localhost")


def base_image(region: str, runtime: str) -> str:
    """The image below the build, which the platform may replace by itself."""
    return f"{region}-docker.pkg.dev/serverless-runtimes/google-22-full/runtimes/{runtime}"


def _own_labels(function: Message) -> dict[str, str]:
    """Labels that Cloud Functions puts on service and revisions."""
    _, _, _, region, _, short = function.name.split("/")
    return {
        "goog-managed-by": "cloudfunctions",
        "goog-cloudfunctions-runtime": function.build_config.runtime,
        "goog-drz-cloudfunctions-id": short.lower(),
        "goog-drz-cloudfunctions-location": region,
    }


def fill_template(template: Message, function: Message) -> None:
    """What every revision of a function has: labels, its target, a probe, CPU only while it is asked."""
    region = function.name.split("/")[3]
    template.labels.update(_own_labels(function))
    template.annotations["cloudfunctions.googleapis.com/trigger-type"] = "HTTP_TRIGGER"
    container = template.containers[0]
    if all(variable.name != FUNCTION_TARGET for variable in container.env):
        container.env.add(name=FUNCTION_TARGET, value=function.build_config.entry_point)
    container.base_image_uri = base_image(region, function.build_config.runtime)
    container.resources.cpu_idle = True
    container.resources.startup_cpu_boost = True
    probe = container.startup_probe
    probe.failure_threshold, probe.period_seconds, probe.timeout_seconds = 1, _PROBE_S, _PROBE_S
    probe.tcp_socket.port = _PORT
