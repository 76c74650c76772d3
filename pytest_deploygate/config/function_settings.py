"""Reads what the settings say of the function that is deployed, in gcloud's words, into the platform's."""

from pathlib import Path

from pytest_deploygate.config.toml_access import Table, integer, optional_integer, texts_of
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.release import FunctionSpec, SecretRef


def spec_of(root: Path, where: str, own: Table) -> FunctionSpec:
    """What ``own`` says of the function, checked by the schema; ``where`` names the table for messages.

    Raises:
        ConfigError: a key is missing.
    """
    for key in ("function", "entry-point", "source", "runtime"):
        if key not in own:
            raise ConfigError(
                f"{where}: the key {key} is missing (here or in [tool.deploygate.function])"
            )
    for key in ("project", "region"):
        if key not in own and own["target"] == "google":
            raise ConfigError(
                f"{where}: the key {key} is missing (here or in [tool.deploygate.function])"
            )
    return FunctionSpec(
        function=str(own["function"]),
        project=str(own.get("project", "local-project")),
        region=str(own.get("region", "us-central1")),
        runtime=str(own["runtime"]),
        entry_point=str(own["entry-point"]),
        source=str((root / str(own["source"])).resolve()),
        memory=_memory(str(own.get("memory", "256Mi"))),
        cpu=str(own.get("cpu", "")),
        timeout_s=integer(own.get("timeout-s"), 60),
        public=bool(own.get("public", False)),
        variables=texts_of(own, "environment-variables"),
        secrets={k: _secret(v) for k, v in texts_of(own, "secrets").items()},
        verify_variables=texts_of(own, "verify-environment"),
        labels=texts_of(own, "labels"),
        build_variables=texts_of(own, "build-environment-variables"),
        service_account=str(own.get("service-account", "")),
        build_service_account=str(own.get("build-service-account", "")),
        build_worker_pool=str(own.get("build-worker-pool", "")),
        docker_repository=str(own.get("docker-repository", "")),
        ingress={"all": "ALLOW_ALL", "internal-only": "ALLOW_INTERNAL_ONLY"}.get(
            str(own.get("ingress", "all")), "ALLOW_INTERNAL_AND_GCLB"
        ),
        min_instances=optional_integer(own.get("min-instances")),
        max_instances=optional_integer(own.get("max-instances")),
        concurrency=optional_integer(own.get("concurrency")),
        vpc_connector=str(own.get("vpc-connector", "")),
        vpc_egress={"private-ranges-only": "PRIVATE_RANGES_ONLY", "all-traffic": "ALL_TRAFFIC"}.get(
            str(own.get("vpc-egress", "")), ""
        ),
    )


def _memory(text: str) -> str:
    """Turn gcloud's ``1GiB`` into the API's word, ``1Gi``."""
    return text.removesuffix("B") if text.endswith(("iB", "MB", "GB")) else text


def _secret(text: str) -> SecretRef:
    name, _, version = text.replace("/versions/", ":").rpartition(":")
    project, _, short = name.removeprefix("projects/").rpartition("/secrets/")
    return SecretRef(name=short, version=version, project=project)
