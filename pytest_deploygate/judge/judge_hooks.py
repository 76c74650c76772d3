"""Hooks that act: of this package and of installed plugins that the settings name, never of a conftest file."""

import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from types import ModuleType

import pluggy

from pytest_deploygate import hookspecs
from pytest_deploygate.core.errors import ConfigError
from pytest_deploygate.core.evidence import Evidence
from pytest_deploygate.core.policy import Policy
from pytest_deploygate.core.record import RolloutRecord
from pytest_deploygate.core.verdict import PhaseVerdict
from pytest_deploygate.engine.rollout import Rollout
from pytest_deploygate.judge import action
from pytest_deploygate.judge.plugin_identity import identity_of
from pytest_deploygate.system.own_program import import_named

_PREFIX = "pytest_deploygate_"


class _HookManager(pluggy.PluginManager):
    """Takes functions by their name, as pytest does."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        found = super().parse_hookimpl_opts(plugin, name)
        if found is None and name.startswith(_PREFIX) and callable(getattr(plugin, name)):
            return pluggy.HookimplOpts(
                wrapper=False,
                hookwrapper=False,
                optionalhook=False,
                tryfirst=False,
                trylast=False,
                specname=None,
            )
        return found

    def parse_hookspec_opts(
        self, module_or_class: "ModuleType | type", name: str
    ) -> pluggy.HookspecOpts | None:
        found = super().parse_hookspec_opts(module_or_class, name)
        if found is None and name.startswith(_PREFIX):
            return pluggy.HookspecOpts(
                firstresult=False, historic=False, warn_on_impl=None, warn_on_impl_args=None
            )
        return found


class JudgeHooks:
    """The hooks of the judge; ``plugins`` are names of modules, installed or below ``root``.

    Raises:
        ConfigError: one cannot be loaded.
    """

    def __init__(self, plugins: Collection[str], root: Path) -> None:
        self._manager = _HookManager("pytest")
        self._manager.add_hookspecs(hookspecs)
        if plugins and str(root) not in sys.path:
            sys.path.append(str(root))  # last: nothing there takes the place of a library
        identities: dict[str, str] = {}
        for name in plugins:
            try:
                module = import_named(name)
                self._manager.register(module, name)
                identities[name] = identity_of(module)
            except (ImportError, pluggy.PluginValidationError) as error:
                raise ConfigError(
                    f"tool.deploygate.plugins: {name} cannot be loaded: {error}",
                    hint="install the package that brings it, or take it out of the list",
                ) from error
        self.identities: Mapping[str, str] = identities
        """Version and digest of each plugin, by its name in the settings."""

    def decide(self, policy: Policy, evidence: Evidence) -> PhaseVerdict | None:
        """What a plugin thinks of the evidence; None for no opinion."""
        verdict: PhaseVerdict | None = self._manager.hook.pytest_deploygate_decide(
            config=None, policy=policy, evidence=evidence
        )
        return verdict

    def act(self, rollout: Rollout, verdict: PhaseVerdict) -> None:
        """Turn the verdict of a phase into an action."""
        if not self._manager.hook.pytest_deploygate_act(rollout=rollout, verdict=verdict):
            action.act(rollout, verdict)

    def verdict(self, record: RolloutRecord, verdict: PhaseVerdict) -> None:
        """Tell plugins of a verdict."""
        self._manager.hook.pytest_deploygate_verdict(config=None, rollout=record, verdict=verdict)

    def tell_finished(self, record: RolloutRecord) -> None:
        """Tell plugins of an end."""
        self._manager.hook.pytest_deploygate_finished(config=None, rollout=record)
