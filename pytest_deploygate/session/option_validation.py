"""Options that narrow or falsify a run: refused before anything is touched.

A deployment is decided by all checks of all gates, run once, as written. Each rule names the option and what to do
instead. ``--deploy-plan`` and sessions without ``--deploy-to`` may use all of them.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pytest_deploygate import ROLLBACK_CHECKS

_HARMLESS_INI = (
    "log_", "junit_", "console_output_style", "cache_dir", "tmp_path_retention", "faulthandler_timeout",
    "truncation_limit", "verbosity_",
)  # fmt: skip
"""Prefixes of ini options that ``-o`` may set: they change what is printed or kept, never what runs."""
_STRICTER_INI = ("strict", "strict_markers", "strict_config", "xfail_strict", "strict_xfail")
"""Ini options that can only make more fail; pytest 9 turns ``--strict-markers`` into ``-o strict_markers=true``."""

_SWITCHES = {
    "collectonly": ("--collect-only", "it runs no check"),
    "setuponly": ("--setup-only", "it runs no check"),
    "setupplan": ("--setup-plan", "it runs no check"),
    "setupshow": ("--setup-show", "it is for debugging fixtures"),
    "showfixtures": ("--fixtures", "it runs no check"),
    "show_fixtures_per_test": ("--fixtures-per-test", "it runs no check"),
    "cacheshow": ("--cache-show", "it runs no check"),
    "runxfail": ("--runxfail", "it turns an expected failure into a pass"),
    "keepduplicates": ("--keep-duplicates", "it counts a check twice"),
    "noconftest": ("--noconftest", "it leaves out the conftest files that belong to the checks"),
    "continue_on_collection_errors": (
        "--continue-on-collection-errors",
        "a module that cannot be collected is missing evidence",
    ),
    "lf": ("--lf", "it leaves out the checks that passed last time"),
    "failedfirst": ("--ff", "it reorders checks by an earlier run"),
    "newfirst": ("--nf", "it reorders checks by an earlier run"),
    "stepwise": ("--sw", "it stops at the first failure"),
    "stepwise_skip": ("--sw-skip", "it passes over a failure"),
    "looponfail": ("-f", "a deployment runs once"),
    "usepdb": ("--pdb", "a deployment cannot wait at a prompt"),
    "trace": ("--trace", "a deployment cannot wait at a prompt"),
    "doctestmodules": ("--doctest-modules", "doctests are no checks"),
    "pyargs": ("--pyargs", "the gates of the policy say what is collected"),
    "update_snapshots": ("--snapshot-update", "it makes what is expected of what was found"),
    "snapshot_update": ("--snapshot-update", "it makes what is expected of what was found"),
    "force_regen": ("--force-regen", "it makes what is expected of what was found"),
    "regen_all": ("--regen-all", "it makes what is expected of what was found"),
    "update_goldens": ("--update-goldens", "it makes what is expected of what was found"),
    "inline_snapshot": ("--inline-snapshot", "it makes what is expected of what was found"),
}
_LISTS = {
    "keyword": ("-k", "it leaves out checks"),
    "markexpr": ("-m", "it leaves out checks"),
    "deselect": ("--deselect", "it leaves out checks"),
    "ignore": ("--ignore", "it leaves out checks"),
    "ignore_glob": ("--ignore-glob", "it leaves out checks"),
    "confcutdir": ("--confcutdir", "it leaves out the conftest files that belong to the checks"),
}

_BEFORE_PYPROJECT = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini")
"""Files of a project that pytest takes instead of its pyproject.toml."""
_FOR_PEOPLE = ("usepdb", "trace", "setupshow", "looponfail")
"""Switches that change neither what runs nor how it is judged."""

_NEEDED_PLUGINS = {
    "skipping": "it lets an expected failure that passes count as a pass",
    "warnings": "it hides checks that return instead of asserting",
    "threadexception": "it hides exceptions in threads",
    "unraisableexception": "it hides exceptions in finalisers",
}


def invalid_options(config: pytest.Config, root: Path) -> Iterator[str]:
    """A sentence for each option of this session that a deployment cannot use, with what to do instead."""
    yield from _switches(config, _SWITCHES)
    yield from _lists(config, _LISTS, ", or judge without deploying: --deploy-env")
    yield from _collection(config, root)
    yield from _interpreter(config)
    yield from _parts(config)
    yield from _runners(config)


def narrowing_options(config: pytest.Config, root: Path) -> Iterator[str]:
    """A sentence for each option with which a session that only judges does not know what it has to know."""
    yield from _switches(config, {k: v for k, v in _SWITCHES.items() if k not in _FOR_PEOPLE})
    yield from _lists(config, {k: v for k, v in _LISTS.items() if k != "markexpr"}, "")
    if config.getoption("markexpr", "").strip(" ()") not in ("", ROLLBACK_CHECKS):
        yield f"-m: {_LISTS['markexpr'][1]}"
    yield from _collection(config, root)
    yield from _interpreter(config)
    yield from _parts(config)


def _switches(config: pytest.Config, options: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    for dest, (option, why) in options.items():
        if config.getoption(dest, False):
            yield f"{option}: {why}; leave it out"


def _lists(
    config: pytest.Config, options: Mapping[str, tuple[str, str]], instead: str
) -> Iterator[str]:
    for dest, (option, why) in options.items():
        if config.getoption(dest, None) and not _is_default_confcutdir(config, dest):
            yield f"{option}: {why}; leave it out{instead}"
    if config.getoption("maxfail", 0):
        yield "-x or --maxfail: it leaves out the checks behind the first failures; leave it out"


def _is_default_confcutdir(config: pytest.Config, dest: str) -> bool:
    """Pytest sets confcutdir itself to the directory of its configuration file."""
    if dest != "confcutdir":
        return False
    value = Path(str(config.getoption("confcutdir"))).resolve()
    return config.rootpath.resolve().is_relative_to(value)


def _collection(config: pytest.Config, root: Path) -> Iterator[str]:
    if config.args_source is pytest.Config.ArgsSource.ARGS:
        paths = " ".join(config.args)
        yield f"{paths}: the gates of the policy say what is collected; leave paths and node ids out"
    for override in config.getoption("override_ini") or ():
        key, _, value = (part.strip() for part in override.partition("="))
        is_stricter = key in _STRICTER_INI and value.lower() in ("true", "1", "yes", "on")
        if not key.startswith(_HARMLESS_INI) and not is_stricter:
            yield f"-o {key}: it may change what is collected or how it is judged; set it in pyproject.toml"
    if config.getoption("inifilename", None) and not _is_own_file(config.inipath, root):
        yield "-c: the settings of the project decide; run without it"


def _is_own_file(file: Path | None, root: Path) -> bool:
    """Whether ``file`` is the one that pytest takes in ``root`` by itself."""
    if file is None or any((root / name).exists() for name in _BEFORE_PYPROJECT):
        return False
    return file.resolve() == (root / "pyproject.toml").resolve()


def _interpreter(config: pytest.Config) -> Iterator[str]:
    if sys.flags.optimize:
        yield "PYTHONOPTIMIZE or -O: assert statements do not run; unset it"
    if config.getoption("assertmode", "rewrite") == "plain":
        yield "--assert=plain: assertions in helper modules lose their meaning; leave it out"
    for warning in config.getoption("pythonwarnings", None) or ():
        if not warning.startswith(("error", "e")):
            yield f"-W {warning}: it may hide a check that returns instead of asserting; leave it out"
    for plugin, why in _NEEDED_PLUGINS.items():
        if not config.pluginmanager.hasplugin(plugin):
            yield f"-p no:{plugin}: {why}; leave it out"


def _parts(config: pytest.Config) -> Iterator[str]:
    for name in config.getoption("plugins", None) or ():
        if name.startswith("no:deploygate-"):
            yield f"-p {name}: it takes out a part of this plugin; leave it out"


def _runners(config: pytest.Config) -> Iterator[str]:
    if config.getoption("numprocesses", None):
        dist = config.getoption("dist", "no")
        if dist not in ("no", "load", "worksteal"):
            yield f"--dist={dist}: with it a crash can hang or repeat checks; use load or worksteal"
        if any(
            not str(tx).split("*")[-1].startswith("popen")
            for tx in config.getoption("tx", None) or ()
        ):
            yield "--tx: workers must run on this machine; use -n"
    elif config.getoption("tx", None) or config.getoption("dist", "no") not in ("no", "load"):
        yield "--dist and --tx need -n N; use -n"
    is_in_process = not config.getoption("numprocesses", None)
    if is_in_process and config.getoption("timeout_method", None) == "thread":
        yield "--timeout-method=thread: it ends pytest without a verdict; use signal, or run with -n 1"
    if config.getoption("forked", False):
        yield "--forked: nobody hears what a copy of a process sees; run checks in processes of their own with -n"
    if config.getoption("reruns", None):
        yield "--reruns: a check that passes the second time is flaky, not passed; leave it out"
    if config.getoption("force_flaky", False):
        yield "--force-flaky: a check that passes the second time is flaky, not passed; leave it out"
