"""gcloud's commands for a rollout, and their pieces, as both ways of deploying have them.

Quoted for a POSIX shell. Values that hold a comma use another delimiter (``gcloud topic
escaping``).
"""

import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pytest_deploygate.core.function_spec import FunctionSpec, Variant
from pytest_deploygate.core.identifiers import RevisionName, VariantName
from pytest_deploygate.core.own_tags import TAG_CANDIDATE, TAG_VERIFY
from pytest_deploygate.core.release import Snapshot
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.core.traffic import steps_to
from pytest_deploygate.core.variant_tags import variant_tag

_DELIMITERS: Final = ("##", "@@", "%%", "~~", "||", "::", ";;", "++", "#@#@#")
LINE: Final = " \\\n    "
"""Between the flags of a long command."""


def rollout_commands(
    spec: FunctionSpec,
    snapshot: Snapshot | None,
    *,
    steps: tuple[int, ...],
    build: str,
    is_tagged: bool,
    delete: str,
) -> tuple[str, ...]:
    """The rollout from pin to roll back; each command may begin with a comment line.

    Args:
        spec: what is deployed.
        snapshot: the service as it is, or None if it was not looked at.
        steps: percentages of the traffic that the candidate gets one after the other; ends with 100.
        build: the command that builds and deploys without traffic.
        is_tagged: whether ``build`` tags the candidate.
        delete: the command that takes a first release back.
    """
    exists = snapshot is not None and snapshot.exists
    is_first = snapshot is not None and not snapshot.exists
    baseline = snapshot.baseline if snapshot is not None else None
    service = service_of(spec, snapshot)
    result = [f"export CLOUDSDK_CORE_PROJECT={shlex.quote(spec.project)}"]
    if exists and baseline is not None:
        result.append(says("keep the traffic where it is", move(spec, service, baseline)))
    result.append(says("build once, without traffic", build))
    if spec.has_verification:
        result += two_revisions(spec, service)
    else:
        result.append(read_newest(spec, service, "CANDIDATE"))
    if not is_tagged:
        result.append(set_tag(spec, service, TAG_CANDIDATE, "CANDIDATE"))
    result += promote(spec, service, baseline, steps)
    if is_first and spec.public:
        result.append(open_to_all(spec, service))
    if exists and snapshot is not None and not snapshot.traffic.is_pinned:
        latest = update_traffic(spec, service, "--to-latest")
        result.append(says("afterwards: follow the latest revision again, as before", latest))
    if baseline is not None:
        result.append(says("roll back", move(spec, service, baseline)))
    elif is_first:
        result.append(says("roll back", delete))
    return tuple(result)


def two_revisions(spec: FunctionSpec, service: str) -> Iterator[str]:
    """The verification revision, its variants and the candidate, all of the image that was built, by digest."""
    region = flag("region", spec.region)
    yield read_newest(spec, service, "BUILT")
    yield (
        f'IMAGE=$(gcloud run revisions describe "$BUILT" {region} '
        "--format='value(status.imageDigest)')"
    )
    update = f'gcloud run services update {shlex.quote(service)} {region} --image="$IMAGE"'
    now = spec.variables
    revisions: list[tuple[str, Variant | VariantName, str]] = [
        ("the verification revision", Variant.VERIFICATION, TAG_VERIFY),
        *((f"the verification variant {n}", n, variant_tag(n)) for n in spec.verify_variants),
    ]
    for what, variant, tag in revisions:
        wanted = spec.variables_of(variant)
        yield says(f"{what}, of the same image", " ".join([update, *_changes(now, wanted)]))
        yield read_newest(spec, service, "VERIFY")
        yield set_tag(spec, service, tag, "VERIFY")
        now = wanted
    changes = _changes(now, spec.variables)
    yield says("the candidate, of the same image", " ".join([update, *changes]))
    yield read_newest(spec, service, "CANDIDATE")


def _changes(now: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Flags that turn the variables of the template from what they are ``now`` into the ``wanted`` ones."""
    changed = {key: value for key, value in wanted.items() if now.get(key) != value}
    gone = [key for key in now if key not in wanted]
    flags = [flag("update-env-vars", join_pairs(changed))] if changed else []
    return flags + ([flag("remove-env-vars", ",".join(gone))] if gone else [])


def promote(
    spec: FunctionSpec, service: str, baseline: RevisionName | None, steps: tuple[int, ...]
) -> Iterator[str]:
    """One write of traffic for each step, as the rollout does it."""
    candidate = RevisionName("$CANDIDATE")
    plans = steps_to(candidate, baseline, steps)
    for plan in plans:
        percent = plan.percent(candidate)
        comment = "promote" if len(plans) == 1 else f"promote: {percent} % to the candidate"
        rest = "" if percent == 100 else f",{baseline}={100 - percent}"
        yield says(
            comment,
            update_traffic(spec, service, f'--to-revisions="{candidate}={percent}{rest}"'),
        )


def join_pairs(values: Mapping[str, str]) -> str:
    """``KEY=VALUE`` pairs as gcloud reads them; empty for none.

    Raises:
        ValueError: no delimiter is left that the values do not hold.
    """
    pairs = [f"{key}={value}" for key, value in values.items()]
    plain = ",".join(pairs)
    if not any("," in pair for pair in pairs) and not plain.startswith("^"):
        return plain
    for delimiter in _DELIMITERS:
        # a value that ends as the delimiter begins would be cut one character too early
        if not any(delimiter in f"{pair}{delimiter[:-1]}" for pair in pairs):
            return f"^{delimiter}^{delimiter.join(pairs)}"
    raise ValueError("the values hold every delimiter known here")


def flag(name: str, value: str) -> str:
    """A flag with its value, quoted."""
    return f"--{name}={shlex.quote(value)}"


def source(source: str, cwd: Path) -> str:
    """The source as ``--source`` takes it, relative to ``cwd`` where it lies below."""
    path = Path(source)
    if not path.is_absolute():
        return source
    return os.path.relpath(path, cwd) if path.is_relative_to(cwd) else source


def secret(ref: SecretRef, spec: FunctionSpec) -> str:
    """A secret as ``--set-secrets`` takes it."""
    is_elsewhere = ref.project and ref.project != spec.project
    name = f"projects/{ref.project}/secrets/{ref.name}" if is_elsewhere else ref.name
    return f"{name}:{ref.version or 'latest'}"


def service_of(spec: FunctionSpec, snapshot: Snapshot | None) -> str:
    """Short name of the service."""
    if snapshot is not None and snapshot.service:
        return snapshot.service.rpartition("/")[2]
    return spec.function.lower().replace("_", "-")


def says(comment: str, command: str) -> str:
    """A command with a comment line above it."""
    return f"# {comment}\n{command}"


def update_traffic(spec: FunctionSpec, service: str, what: str) -> str:
    """``gcloud run services update-traffic``."""
    region = flag("region", spec.region)
    return f"gcloud run services update-traffic {shlex.quote(service)} {region} {what}"


def move(spec: FunctionSpec, service: str, revision: RevisionName) -> str:
    """All traffic to one revision."""
    return update_traffic(spec, service, flag("to-revisions", f"{revision}=100"))


def set_tag(spec: FunctionSpec, service: str, tag: str, variable: str) -> str:
    """A tag to the revision that a shell variable names."""
    return update_traffic(spec, service, f'--update-tags="{tag}=${variable}"')


def read_newest(spec: FunctionSpec, service: str, variable: str) -> str:
    """Put the name of the newest revision into a shell variable."""
    region = flag("region", spec.region)
    field = "'value(status.latestCreatedRevisionName)'"
    return (
        f"{variable}=$(gcloud run services describe {shlex.quote(service)} {region} "
        f"--format={field})"
    )


def open_to_all(spec: FunctionSpec, service: str) -> str:
    """Let anyone call the service."""
    region = flag("region", spec.region)
    return (
        f"gcloud run services add-iam-policy-binding {shlex.quote(service)} {region} "
        "--member=allUsers --role=roles/run.invoker"
    )
