"""What can be found wrong in the settings alone: names, variables, and relations that the platform refuses."""

import re
from collections.abc import Iterator
from typing import Final

from pytest_deploygate.core.function_spec import FunctionSpec, Variant
from pytest_deploygate.core.identifiers import VariantName
from pytest_deploygate.core.own_tags import OWN_TAGS
from pytest_deploygate.core.preflight import PreflightFinding
from pytest_deploygate.core.service_limits import ServiceLimits, cpus_of, limit_problems
from pytest_deploygate.core.units import Memory
from pytest_deploygate.core.variant_tags import variant_tag
from pytest_deploygate.targets import converters
from pytest_deploygate.targets.preflight_findings import wrong_setting

LONGEST_HOST_LABEL: Final = 46
"""Most characters that a tag and the service's name may have together (Cloud Run tags)."""
_NAME: Final = re.compile(r"[a-z](?:[-_a-z0-9]{0,61}[a-z0-9])?")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SET_BY_PLATFORM: Final = (
    "PORT",
    "K_SERVICE",
    "K_REVISION",
    "K_CONFIGURATION",
)
"""Variables that no deployment may set (Cloud Run, "reserved environment variables").

``FUNCTION_TARGET`` is none of them: functions that firebase deployed carry it as a user variable.
"""


def settings_problems(spec: FunctionSpec) -> Iterator[PreflightFinding]:
    """Everything that is wrong with ``spec`` whatever the platform says."""
    name = spec.function
    if not _NAME.fullmatch(name):
        yield wrong_setting(
            f"{name!r} cannot be the name of a function",
            "at most 63 of a-z, 0-9, - and _, beginning with a letter",
        )
    longest = max((*OWN_TAGS, *map(variant_tag, spec.verify_variants)), key=len)
    if len(longest) + len(name) > LONGEST_HOST_LABEL:
        yield wrong_setting(
            f"the name {name!r} has {len(name)} characters; with the tag {longest} in front its "
            f"address would have more than the {LONGEST_HOST_LABEL} that Cloud Run takes",
            f"shorten it to {LONGEST_HOST_LABEL - len(longest)} characters"
            + ("" if longest in OWN_TAGS else ", or shorten the name of the variant"),
        )

    yield from _variables(spec)
    yield from _limits(spec)


def _limits(spec: FunctionSpec) -> Iterator[PreflightFinding]:
    """Relations that the platform refuses minutes into a deployment."""
    revisions: tuple[Variant | VariantName, ...] = (*Variant, *spec.verify_variants)
    for variables in map(spec.variables_of, revisions):
        wanted = ServiceLimits(
            memory_mib=Memory.parse(spec.memory).mib,
            cpu=cpus_of(spec.cpu),
            concurrency=spec.concurrency,
            min_instances=spec.min_instances,
            max_instances=spec.max_instances,
            variables=variables,
        )
        problems = list(limit_problems(wanted))
        for problem in problems:
            yield wrong_setting(problem, "correct it in the settings: Google would refuse it")
        if problems:
            return


def _variables(spec: FunctionSpec) -> Iterator[PreflightFinding]:
    """Names that the platform refuses, or that would say two things."""
    variables = {*spec.variables, *spec.verify_variables}.union(*spec.verify_variants.values())
    for key in sorted({*variables, *spec.secrets}):
        if not _VARIABLE.fullmatch(key):
            yield wrong_setting(
                f"{key!r} cannot be the name of a variable",
                "letters, digits and _, not beginning with a digit",
            )
        elif key in _SET_BY_PLATFORM or key.startswith("X_GOOGLE_"):
            yield wrong_setting(
                f"the platform itself sets the variable {key}", "take another name for yours"
            )
    for key in sorted(variables & set(spec.secrets)):
        yield wrong_setting(
            f"{key} is both a plain variable and a secret", "keep it under `secrets` alone"
        )
    for key in sorted({*spec.labels} & {*converters.OWN_LABELS}):
        yield wrong_setting(f"the label {key} is ours", "take another name for yours")
