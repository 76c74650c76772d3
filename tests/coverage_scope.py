"""Which tests run without coverage."""

from pathlib import Path

UNMEASURED = (
    "channel/test_server.py",
    "cli/test_drill_command.py",
    "cli/test_notify.py",
    "cli/test_rollback_command.py",
    "cli/test_rules.py",
    "cli/test_step_control.py",
    "cli/test_traces.py",
    "contract/target/test_deployment_wait.py",
    "contract/target/test_google_assumptions.py",
    "contract/target/test_recorded_behaviour.py",
    "contract/target/test_recorded_rollout.py",
    "contract/target/test_rollout.py",
    "contract/target/test_traffic.py",
    "contract/test_lease_contention.py",
    "core/test_mean_test.py",
    "core/test_message_style.py",
    "core/test_sequential_test.py",
    "core/test_vocabulary.py",
    "emulator/test_instance_files.py",
    "emulator/test_service_process.py",
    "engine/test_grid.py",
    "store/test_threads.py",
    "suites",
    "system/test_one_of_each.py",
    "watchdog",
)
"""Files and folders that run without coverage: they reach next to nothing that others do not, and take up to twice as
long with it."""


def is_unmeasured(path: Path) -> bool:
    """Whether the tests in ``path`` run without coverage, with all that they start."""
    return any(path.is_relative_to(Path(__file__).parent / name) for name in UNMEASURED)
