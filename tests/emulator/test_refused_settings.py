"""Settings that exclude each other: refused when they are sent, by functions and services alike, not minutes later."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

from tests.emulator.emulator_driver import Driver, RevisionPair, to, who


class RefusedSettings(NamedTuple):
    """What a function and a Cloud Run service both have."""

    memory: str = "512Mi"
    cpu: str = "1"
    concurrency: int = 1
    min_instances: int = 0
    max_instances: int = 5
    variables: Mapping[str, str] = MappingProxyType({})


_REFUSED = {
    "concurrency above 1 with less than one cpu": (
        RefusedSettings(cpu="0.5", concurrency=2),
        "concurrency 2 needs at least 1 cpu",
    ),
    "concurrency above 1 with thousandths of a cpu": (
        RefusedSettings(cpu="500m", concurrency=2),
        "concurrency 2 needs at least 1 cpu",
    ),
    "much memory with little cpu": (
        RefusedSettings(memory="2Gi", cpu="0.5"),
        "needs at least 1 cpu",
    ),
    "much cpu with little memory": (RefusedSettings(cpu="4"), "needs at least 2048 MiB"),
    "a cpu that is none": (RefusedSettings(cpu="1.5"), "cpu 1.5 is neither"),
    "min above max instances": (
        RefusedSettings(min_instances=3, max_instances=2),
        "min-instances 3 is above max-instances 2",
    ),
    "variables above 32 KiB together": (
        RefusedSettings(variables={f"V{n}": "x" * 11_000 for n in range(3)}),
        "32768 are allowed",
    ),
    "a null character": (RefusedSettings(variables={"A": "a\0b"}), "null character|NUL byte"),
}


@pytest.mark.parametrize(("settings", "words"), _REFUSED.values(), ids=_REFUSED)
def test_function_with_settings_that_exclude_each_other_is_refused(
    driver: Driver, function_id: str, settings: RefusedSettings, words: str
) -> None:
    wanted = driver.function(function_id, who(), memory=settings.memory)
    wanted.service_config.environment_variables = dict(settings.variables)
    wanted.service_config.available_cpu = settings.cpu
    wanted.service_config.max_instance_request_concurrency = settings.concurrency
    wanted.service_config.min_instance_count = settings.min_instances
    wanted.service_config.max_instance_count = settings.max_instances
    with pytest.raises(exceptions.BadRequest, match=words):
        driver.create(wanted)
    with pytest.raises(exceptions.NotFound):
        driver.functions.get_function(name=wanted.name, timeout=20)


@pytest.mark.parametrize(("settings", "words"), _REFUSED.values(), ids=_REFUSED)
def test_service_with_settings_that_exclude_each_other_is_refused(
    driver: Driver, pair: RevisionPair, settings: RefusedSettings, words: str
) -> None:
    template = pair.service.template
    template.revision = ""
    template.max_instance_request_concurrency = settings.concurrency
    template.scaling.min_instance_count = settings.min_instances
    template.scaling.max_instance_count = settings.max_instances
    limits = {"memory": settings.memory, "cpu": settings.cpu}
    template.containers[0].resources.limits = limits
    template.containers[0].env = [
        run_v2.EnvVar(name=name, value=value) for name, value in settings.variables.items()
    ]
    message = run_v2.Service(name=pair.service.name, template=template)
    with pytest.raises(exceptions.BadRequest, match=words):
        driver.services.update_service(
            run_v2.UpdateServiceRequest(service=message, update_mask={"paths": ["template"]}),
            timeout=20,
        )
    assert driver.service(pair.service.name).generation == pair.service.generation


@pytest.mark.parametrize("tag", ["ab", "1st", "Green", "dg_cand", "a-", "a.b"])
def test_name_that_cannot_be_a_tag_is_refused(driver: Driver, pair: RevisionPair, tag: str) -> None:
    service, first, second = pair
    with pytest.raises(exceptions.BadRequest, match="cannot be a tag"):
        driver.traffic(service.name, to(first, 100), to(second, tag=tag))


def test_function_target_as_a_variable_is_accepted(driver: Driver, function_id: str) -> None:
    service = driver.deploy(function_id, who(), FUNCTION_TARGET="hello")
    assert driver.get(service.uri).status_code == 200
