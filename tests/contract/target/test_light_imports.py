"""Loading the target's modules must not load Google's libraries: an idle plugin pays nothing for them."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    ["source_archive", "gcloud_commands", "cloud_functions", "cloud_run", "gcloud_run_commands"],
)
def test_a_light_module_loads_no_heavy_library(module: str) -> None:
    code = (
        f"import sys, pytest_deploygate.targets.{module}\n"
        "heavy = {'google.cloud.functions_v2', 'google.auth', 'google.api_core', 'grpc', 'requests'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout.strip() == "[]"
