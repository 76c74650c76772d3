"""A rollout to Cloud Run in gcloud's words: ``gcloud run deploy --no-traffic --tag`` and moves of traffic."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from pytest_deploygate.core.engine_settings import EngineSettings
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.own_tags import TAG_CANDIDATE
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.units import Memory
from pytest_deploygate.targets import gcloud_words as words

_INGRESS = {
    "ALLOW_ALL": "all",
    "ALLOW_INTERNAL_ONLY": "internal",
    "ALLOW_INTERNAL_AND_GCLB": "internal-and-cloud-load-balancing",
}


def commands(
    spec: FunctionSpec,
    snapshot: Snapshot | None,
    *,
    steps: tuple[int, ...] = EngineSettings().percents,
    cwd: Path,
) -> tuple[str, ...]:
    """The rollout from pin to roll back, see :func:`gcloud_words.rollout_commands`.

    ``cwd`` is the directory in which the commands will be pasted, for ``--source``.
    """
    is_first = snapshot is not None and not snapshot.exists
    tag = "" if spec.has_verification else TAG_CANDIDATE
    build = deploy(spec, cwd=cwd, is_first=is_first, tag=tag)
    service = shlex.quote(words.service_of(spec, snapshot))
    delete = f"gcloud run services delete {service} {words.flag('region', spec.region)}"
    return words.rollout_commands(
        spec, snapshot, steps=steps, build=build, is_tagged=bool(tag), delete=delete
    )


def deploy(spec: FunctionSpec, *, cwd: Path, is_first: bool, tag: str) -> str:
    """``gcloud run deploy`` of the source or image with the production variables.

    A first release cannot be without traffic: it is closed instead.
    """
    service = spec.function.lower().replace("_", "-")
    parts = [f"gcloud run deploy {shlex.quote(service)}", *_source_or_image(spec, cwd)]
    if not is_first:
        parts.append("--no-traffic")
    if tag:
        parts.append(words.flag("tag", tag))
    parts += [
        "--no-allow-unauthenticated" if is_first or not spec.public else "--allow-unauthenticated",
        words.flag("memory", Memory.parse(spec.memory).api_text),
        words.flag("timeout", f"{spec.timeout_s}s"),
        words.flag("region", spec.region),
    ]
    if spec.ingress:
        parts.append(words.flag("ingress", _INGRESS[spec.ingress]))
    if spec.variables:
        parts.append(words.flag("set-env-vars", words.join_pairs(spec.variables)))
    refs = {**spec.secrets, **spec.container.secret_files}
    if refs:
        texts = {key: words.secret(ref, spec) for key, ref in refs.items()}
        parts.append(words.flag("set-secrets", words.join_pairs(texts)))
    return words.LINE.join([*parts, *_optional(spec)])


def _source_or_image(spec: FunctionSpec, cwd: Path) -> Iterator[str]:
    """What is deployed: an image, or a function that is built of its source."""
    if spec.container.image:
        yield words.flag("image", spec.container.image)
    else:
        yield words.flag("source", words.source(spec.source, cwd))
        yield words.flag("function", spec.entry_point)
        yield words.flag("base-image", spec.runtime)
    if spec.container.command:
        yield words.flag("command", ",".join(spec.container.command))


def _optional(spec: FunctionSpec) -> list[str]:
    """Flags for what the settings name and gcloud would otherwise leave as it is."""
    container = spec.container
    probe = container.startup_probe
    values: dict[str, str | int | None] = {
        "cpu": spec.cpu,
        "service-account": spec.service_account,
        "min-instances": spec.min_instances,
        "max-instances": spec.max_instances,
        "concurrency": spec.concurrency,
        "vpc-connector": spec.vpc_connector,
        "network": container.vpc_network,
        "subnet": container.vpc_subnetwork,
        "network-tags": ",".join(container.vpc_tags),
        "vpc-egress": spec.vpc_egress.lower().replace("_", "-"),
        "update-labels": words.join_pairs(spec.labels),
        "startup-probe": f"httpGet.path={probe.path},periodSeconds={probe.period_s},"
        f"timeoutSeconds={probe.period_s},failureThreshold={probe.failures}"
        if probe.path
        else "",
    }
    if not container.image:
        values |= {
            "set-build-env-vars": words.join_pairs(spec.build_variables),
            "build-service-account": spec.build_account,
            "build-worker-pool": spec.build_worker_pool,
        }
    flags = [
        words.flag(name, str(value)) for name, value in values.items() if value not in ("", None)
    ]
    if spec.base_image_updates == "automatic" and not container.image:
        flags.append("--automatic-updates")
    return flags
