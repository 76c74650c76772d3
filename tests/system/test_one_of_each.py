"""What the operating system gives is asked in one room: waiting, locks, liveness, the form of the log."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest_deploygate

PACKAGE = Path(pytest_deploygate.__file__).parent
MODULES = {
    str(path.relative_to(PACKAGE)): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.parent.name != "system"
}
WAITS = {
    "channel/judge_end.py": "gathers what is sent at once, so that it is read together",
    "emulator/api/operation_store.py": "an operation takes at least so long",
    "emulator/api/platform_calls.py": "a client waits for an operation at most as long as it asked",
    "emulator/routing/router.py": "latency that a test asked for",
    "emulator/server.py": "delay that a test asked for; looks whether its home is still there",
    "emulator/runtime/pace.py": "a build and a revision take as long as on the platform",
    "emulator/runtime/run_services.py": "a change of traffic takes as long as on the platform",
    "testing/fake_target.py": "a deployment and a fault take time by a clock that tests own",
    "emulator/runtime/source_builds.py": "a build takes as long as a test asked for",
    "emulator/lifecycle.py": "follows a log that others write",
    "judge/reporting/spinner.py": "moves a line while something is waited for",
    "emulator/runtime/runner.py": "looks at memory periodically; restarts what died",
}
"""Who sleeps without trying anything again."""
KILLS = {"os.kill", "os.killpg"}


def _calls(module: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(module) if isinstance(node, ast.Call))


def _imports(module: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def test_modules_are_looked_at() -> None:
    assert "wiring.py" in MODULES
    assert len(MODULES) > 150
    assert set(WAITS) <= set(MODULES)


def test_whoever_waits_for_something_uses_the_one_loop() -> None:
    """system/retry.py; what sleeps for another reason is listed above."""
    asleep = {
        name
        for name, module in MODULES.items()
        for call in _calls(module)
        if isinstance(call.func, ast.Attribute) and call.func.attr == "sleep"
        if [ast.unparse(argument) for argument in call.args] != ["0"]  # lets others run, no wait
    }
    assert asleep == set(WAITS)
    assert not [name for name, module in MODULES.items() if "time.sleep" in _imports(module)]


def test_whoever_locks_a_file_uses_the_one_lock() -> None:
    """system/file_lock.py."""
    locks = {"fcntl", "msvcrt", "filelock"}
    assert not [name for name, module in MODULES.items() if _imports(module) & locks]


def test_whoever_asks_whether_a_process_lives_asks_it_in_one_place() -> None:
    """system/process_identity.py."""
    asked = [
        (name, call.lineno)
        for name, module in MODULES.items()
        for call in _calls(module)
        if (ast.unparse(call.func) in KILLS and ast.unparse(call.args[1]) == "0")
        or ast.unparse(call.func) in {"psutil.pid_exists", "psutil.Process.create_time"}
    ]
    assert asked == []
    read = [
        (name, node.lineno)
        for name, module in MODULES.items()
        for node in ast.walk(module)
        if isinstance(node, ast.Constant)
        and str(node.value).startswith("/proc")
        and not str(node.value).startswith(
            "/proc/self/"
        )  # of itself no process asks whether it lives
    ]
    assert read == []


def test_logs_have_one_form() -> None:
    """system/json_log.py."""
    formatters = [
        (name, node.name)
        for name, module in MODULES.items()
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef)
        and any("Formatter" in ast.unparse(base) for base in node.bases)
    ]
    assert formatters == []
