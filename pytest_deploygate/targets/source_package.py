"""The archive that is shipped, after its source and the plain variables were searched for secrets."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pytest_deploygate.config.tables import field_of
from pytest_deploygate.core.artifacts import Package
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.function_spec import PLAIN_VARIABLES, FunctionSpec
from pytest_deploygate.targets import secret_scan, source_archive
from pytest_deploygate.targets.function_layout import FunctionLayout


def package_source(spec: FunctionSpec, home: Path) -> Package:
    """The source of ``spec`` as an archive below ``home``.

    Raises:
        ConfigError: it must not be shipped, or a plain variable looks like a secret.
    """
    allowed = check_variables(spec)
    package = source_archive.make_package(
        Path(spec.source),
        home=home,
        entry_point=spec.entry_point,
        runtime=spec.runtime,
        allowed=spec.allowed_secrets,
        source_file=_source_file(spec),
    )
    return replace(package, allowed_secrets=(*allowed, *package.allowed_secrets))


def check_source(spec: FunctionSpec, home: Path) -> None:
    """Refuse a source that could not be built, without packing it.

    Raises:
        ConfigError: what is wrong with it.
    """
    layout = FunctionLayout(
        source=Path(spec.source),
        entry_point=spec.entry_point,
        runtime=spec.runtime,
        source_file=_source_file(spec),
    )
    source_archive.survey_source(layout, home=home)


def _source_file(spec: FunctionSpec) -> str:
    return dict(spec.build_variables).get("GOOGLE_FUNCTION_SOURCE", "main.py")


def _plain_variables(spec: FunctionSpec) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Every table of variables that anybody may read, with its key in the settings."""
    for name in PLAIN_VARIABLES:
        yield field_of(FunctionSpec, name).key, getattr(spec, name)
    for variant, variables in spec.verify_variants.items():
        yield f"{field_of(FunctionSpec, 'verify_variants').key}.{variant}", variables


def check_variables(spec: FunctionSpec) -> tuple[tuple[str, str], ...]:
    """What looks like a secret in the plain variables and is allowed, with the reason.

    Raises:
        ConfigError: a plain variable looks like a secret, and is not allowed.
    """
    finds = [
        find
        for where, variables in _plain_variables(spec)
        for find in secret_scan.scan_variables(variables, where=where)
    ]
    allowed, refused = secret_scan.split_allowed(finds, spec.allowed_secrets)
    if refused:
        raise ConfigError(
            "; ".join(str(find) for find in refused),
            hint="put it into Secret Manager and name it under `secrets`; if it is harmless, say why: "
            f'allowed-secrets = {{ "{refused[0].where}" = "made up for tests" }}',
        )
    return allowed
