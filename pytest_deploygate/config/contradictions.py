"""Finds contradictions between settings that are each valid."""

from collections.abc import Mapping

from pytest_deploygate.config.document import TABLE, SettingsTable
from pytest_deploygate.config.environment import GOOGLE, LOCAL
from pytest_deploygate.config.kinds import SettingFaults, Toml
from pytest_deploygate.config.tables import fields_of
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.identifiers import Phase
from pytest_deploygate.core.objective import ERRORS, LATENCY, Objective
from pytest_deploygate.core.policy import Gate, Trigger


def find(
    document: SettingsTable,
    environments: Mapping[str, Mapping[str, object]],
    faults: SettingFaults,
    table: Mapping[str, Toml],
) -> None:
    """Note every contradiction; ``environments`` has the keys of each environment, ``table`` the whole file."""
    _check_shared_paths(document, faults)
    _check_budgets(document, faults, environments)
    _check_gate_environments(document, faults, environments)
    default = document.default_environment
    if "default-environment" in table and default not in environments:
        cause = f"{default!r} is not an environment"
        faults.note(f"{TABLE}.default-environment", cause, _join_names(environments))
    _check_objectives(document, faults)
    _check_step_triggers(document, faults)
    for name, own in environments.items():
        where = f"{TABLE}.environments.{name}"
        gates = own.get("gates")
        for gate in gates if isinstance(gates, Mapping) else ():
            if gate not in document.gates:
                cause = f"there is no gate {gate!r}"
                faults.note(f"{where}.gates", cause, _join_names(document.gates))
        steps = own.get("steps")
        waits = isinstance(steps, tuple) and any(step.wait for step in steps)
        if waits and not document.objectives:
            cause = "a step with for needs an objective to be judged by, and there is none"
            hint = 'add [tool.deploygate.objectives.errors] with metric = "error_rate", worse-by = "1pp"'
            faults.note(f"{where}.steps", cause, hint)
        if own.get("approval") == "step" and not waits:
            cause = "each step that waits is approved, and there is none"
            hint = 'give a step a for, for example { percent = 5, for = "10m" }, or write approval = "required"'
            faults.note(f"{where}.approval", cause, hint)
        if own.get("baseline") == "fresh" and not waits:
            cause = "a fresh baseline is what a step that waits compares with, and there is none"
            hint = 'give a step a for, for example { percent = 5, for = "10m" }, or remove baseline'
            faults.note(f"{where}.baseline", cause, hint)
        watches = isinstance(steps, tuple) and any(step.watch for step in steps)
        if watches and not document.triggers:
            cause = "a step with watch needs a trigger that could end it, and there is none"
            hint = 'add [tool.deploygate.triggers.errors] with fires-when = ["error_rate > 0.10"], severity = "high"'
            faults.note(f"{where}.steps", cause, hint)
        _check_verify_variants(own, where, faults)
        _check_target(own, where, faults)


def _check_target(own: Mapping[str, object], where: str, faults: SettingFaults) -> None:
    """What the target of an environment needs, and what it does not have."""
    target = own.get("target")
    stood_for = own.get("emulates", GOOGLE) if target == LOCAL else target
    for field in fields_of(FunctionSpec):
        only_for = field.setting.only_for
        if field.key not in own and target in field.setting.needed_by:
            faults.note_missing(where, field.setting)
        elif field.key in own and only_for and stood_for == GOOGLE:
            key = "emulates" if target == LOCAL else "target"
            cause = f"a function of Cloud Functions does not have {field.key}"
            faults.note(f"{where}.{field.key}", cause, f'take it out, or set {key} = "{only_for}"')


def _check_objectives(document: SettingsTable, faults: SettingFaults) -> None:
    objectives: Mapping[str, object] = (
        document.objectives
    )  # one that could not be read is no Objective
    for one in (one for one in objectives.values() if isinstance(one, Objective)):
        where = f"{TABLE}.objectives.{one.name}"
        if one.metric == LATENCY and one.quantile is None:
            faults.note(where, "the key quantile is missing", "add it: quantile = 0.95")
        if one.metric == ERRORS and one.quantile is not None:
            faults.note(f"{where}.quantile", "an error rate has no quantiles", "remove it")
        if one.is_measured:
            _check_measured_objective(one, where, document, faults)
        elif one.better == "higher" or one.up_to != 1:
            key = "better" if one.better == "higher" else "up-to"
            faults.note(f"{where}.{key}", "it belongs to what checks measure", "remove it")
        if one.metric == LATENCY and not one.worse_by.is_ratio:
            cause = f"{one.worse_by} is a difference of shares, and a latency is no share"
            faults.note(f"{where}.worse-by", cause, 'for example: worse-by = "x1.25"')


def _check_measured_objective(
    one: Objective, where: str, document: SettingsTable, faults: SettingFaults
) -> None:
    """What an objective on measurements of checks needs."""
    gates: Mapping[str, object] = document.gates
    if not any(isinstance(g, Gate) and g.phase is Phase.STEP for g in gates.values()):
        cause = f"no gate of the step phase could measure {one.metric}"
        hint = 'add a gate with phase = "step", or name "error_rate" or "processing_time_s" of the platform'
        faults.note(f"{where}.metric", cause, hint)
    if one.quantile is not None:
        faults.note(f"{where}.quantile", "what checks measure is compared by its mean", "remove it")
    if not one.worse_by.is_ratio and one.up_to != 1:
        cause = f"{one.worse_by} is a difference of shares, and a value up to {float(one.up_to):g} is no share"
        faults.note(f"{where}.worse-by", cause, 'for example: worse-by = "x1.25"')


def _check_step_triggers(document: SettingsTable, faults: SettingFaults) -> None:
    triggers: Mapping[str, object] = document.triggers
    for one in (one for one in triggers.values() if isinstance(one, Trigger)):
        if Phase.STEP in one.needed_in:
            cause = "a step that waits holds in any case until the platform's figures are there"
            hint = 'remove "step": triggers are evaluated at each step that waits'
            faults.note(f"{TABLE}.triggers.{one.name}.needed-in", cause, hint)


def _check_verify_variants(own: Mapping[str, object], where: str, faults: SettingFaults) -> None:
    """A variant differs from the verification revision, and writes nowhere where production does."""
    production = _variables(own, "environment-variables")
    verify = _variables(own, "verify-environment")
    for name, variables in _variables(own, "verify-variants").items():
        at = f"{where}.verify-variants.{name}"
        if not isinstance(variables, Mapping):
            continue  # it could not be read
        if not verify:
            cause = "there is no verify-environment of which it could be a variant"
            faults.note(at, cause, "name under verify-environment where checks may write")
            continue
        shared = [n for n in verify if n in variables and variables[n] == production.get(n)]
        for variable in shared:
            cause = "this is the value that production has"
            hint = "verify-environment keeps checks away from it, and so must a variant"
            faults.note(f"{at}.{variable}", cause, hint)
        if all({**production, **verify}.get(n) == value for n, value in variables.items()):
            cause = "it has the variables of verify-environment and no others"
            faults.note(at, cause, "name a variable that is to be otherwise, or take it out")


def _variables(own: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = own.get(key)
    return found if isinstance(found, Mapping) else {}


def _check_shared_paths(document: SettingsTable, faults: SettingFaults) -> None:
    owners: dict[str, list[Gate]] = {}
    gates: Mapping[str, object] = document.gates  # a gate that could not be read is INVALID
    for gate in (gate for gate in gates.values() if isinstance(gate, Gate)):
        for path in gate.paths:
            for owner in owners.setdefault(path, []):
                both = set(owner.environments) & set(gate.environments)
                if both or not (owner.environments and gate.environments):
                    cause = f"{path} already belongs to gate {owner.name}"
                    hint = "a check belongs to one gate"
                    faults.note(f"{TABLE}.gates.{gate.name}.paths", cause, hint)
                    break
            owners[path].append(gate)


def _check_gate_environments(
    document: SettingsTable, faults: SettingFaults, environments: Mapping[str, object]
) -> None:
    gates: Mapping[str, object] = document.gates
    for gate in (gate for gate in gates.values() if isinstance(gate, Gate)):
        for name in gate.environments:
            if name not in environments:
                where = f"{TABLE}.gates.{gate.name}.environments"
                faults.note(where, f"{name!r} is not an environment", _join_names(environments))


def _check_budgets(
    document: SettingsTable, faults: SettingFaults, environments: Mapping[str, object]
) -> None:
    """Refuse a budget that ends its phase before the gates reach their own limits: none of these could then fail."""
    gates: Mapping[str, object] = document.gates
    for phase in Phase:
        budget_s = getattr(document.phases, phase.value).budget_s
        of_phase = [g for g in gates.values() if isinstance(g, Gate) and g.phase is phase]
        longest = (
            {g.name: g.needs_at_most_s for g in of_phase if g.needs_at_most_s and g.judges(name)}
            for name in environments
        )
        needs = max(longest, key=lambda one: sum(one.values()), default={})
        needed_s = sum(needs.values())
        if needed_s > budget_s:
            cause = f"{budget_s} s are less than the {needed_s} s that its gates need at most"
            told = ", ".join(f"{name} {seconds}" for name, seconds in needs.items())
            hint = (
                f"give it {needed_s} s, or lower needs-at-most-s and the limits behind it ({told})"
            )
            faults.note(f"{TABLE}.phases.{phase.value}.budget-s", cause, hint)


def _join_names(names: Mapping[str, object]) -> str:
    return f"there are: {', '.join(names)}"
