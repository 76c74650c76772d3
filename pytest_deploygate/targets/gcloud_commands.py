"""The rollout in gcloud's words, for people who know them, and for a night without this tool."""

import shlex
from pathlib import Path

from pytest_deploygate.core.engine_settings import EngineSettings
from pytest_deploygate.core.function_spec import INGRESS, FunctionSpec
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.units import Memory
from pytest_deploygate.targets import gcloud_words as words


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
    build = deploy(spec, cwd=cwd, is_private=is_first)
    return words.rollout_commands(
        spec, snapshot, steps=steps, build=build, is_tagged=False, delete=_delete(spec)
    )


def pinned_notes(spec: FunctionSpec, now: Snapshot) -> tuple[str, ...]:
    """What to know of traffic that is ``now`` pinned by name, as after a rollback; nothing where it follows LATEST."""
    if not now.exists or not now.traffic.is_pinned:
        return ()
    project = words.flag("project", spec.project)
    undo = words.update_traffic(spec, words.service_of(spec, now), f"{project} --to-latest")
    to = now.serving.sole or now.serving
    note = (
        f"traffic is pinned to {to}: what is deployed by other means gets none until the next "
        f"promotion; by hand, once the newest revision is a good one: {undo}"
    )
    return (note,)


def read_log(spec: FunctionSpec, revision: str) -> str:
    """Show the end of the log of ``revision``."""
    wanted = shlex.quote(f'resource.labels.revision_name="{revision}"')
    return f"gcloud logging read {wanted} {words.flag('project', spec.project)} --limit=50"


def deploy(spec: FunctionSpec, *, cwd: Path, is_private: bool = False) -> str:
    """``gcloud functions deploy`` with the production variables; ``is_private`` keeps the public out."""
    access = "--allow-unauthenticated"
    if is_private or not spec.public:
        access = "--no-allow-unauthenticated"
    parts = [
        f"gcloud functions deploy {shlex.quote(spec.function)}",
        "--gen2",
        f"--runtime {shlex.quote(spec.runtime)}",
        "--trigger-http",
        access,
        words.flag("memory", Memory.parse(spec.memory).gcloud_text),
        words.flag("timeout", f"{spec.timeout_s}s"),
        words.flag("region", spec.region),
        words.flag("entry-point", spec.entry_point),
        words.flag("source", words.source(spec.source, cwd)),
    ]
    if spec.variables:
        parts.append(words.flag("set-env-vars", words.join_pairs(spec.variables)))
    if spec.secrets:
        refs = {key: words.secret(ref, spec) for key, ref in spec.secrets.items()}
        parts.append(words.flag("set-secrets", words.join_pairs(refs)))
    return words.LINE.join([*parts, *_optional(spec)])


def _optional(spec: FunctionSpec) -> list[str]:
    """Flags for what the settings name and gcloud would otherwise leave as it is."""
    values: dict[str, str | int | None] = {
        "cpu": spec.cpu,
        "service-account": spec.service_account,
        "ingress-settings": _ingress(spec),
        "min-instances": spec.min_instances,
        "max-instances": spec.max_instances,
        "concurrency": spec.concurrency,
        "vpc-connector": spec.vpc_connector,
        "egress-settings": spec.vpc_egress.lower().replace("_", "-").replace("-traffic", ""),
        "update-labels": words.join_pairs(spec.labels),
        "set-build-env-vars": words.join_pairs(spec.build_variables),
        "build-service-account": spec.build_account,
        "build-worker-pool": spec.build_worker_pool,
        "docker-repository": spec.docker_repository,
    }
    return [
        words.flag(name, str(value)) for name, value in values.items() if value not in ("", None)
    ]


def _ingress(spec: FunctionSpec) -> str:
    """Gcloud's word; empty where the settings name none."""
    words = {platform: word for word, platform in INGRESS.items()}
    return words.get(spec.ingress, "")


def _delete(spec: FunctionSpec) -> str:
    region = words.flag("region", spec.region)
    return f"gcloud functions delete {shlex.quote(spec.function)} --gen2 {region}"
