"""Settings of one environment."""

import json
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from pytest_deploygate.core.engine_settings import EngineSettings
from pytest_deploygate.core.freeze import FreezeWindow, parse
from pytest_deploygate.core.function_spec import ConfirmRequest, FunctionSpec
from pytest_deploygate.core.identifiers import Digest, EnvironmentName
from pytest_deploygate.core.policy import GateOverride
from pytest_deploygate.core.setting import NAME, Place, Setting

LOCAL, GOOGLE, CLOUD_RUN = "local", "google", "cloud-run"
"""Targets that this package brings."""
REHEARSAL = "-rehearsal"
"""End of the name under which an environment is rehearsed on the emulator."""
GOOGLE_LAG_S = 240
"""Google samples each minute and shows a figure up to 4 minutes later (Cloud Monitoring, "Latency of metric data")."""
_NO_PROJECT = FunctionSpec._field_defaults["project"]
_SECRETS_FILE = Setting(
    "TOML file with the secrets of the emulator, relative to the project; do not commit it",
    example='"local.secrets.toml"',
    is_filled=True,
)


class StatisticsWindow(NamedTuple):
    """Time window of the platform's statistics."""

    window_s: Annotated[
        int,
        Setting(
            "length of the window",
            example="900",
            unit="seconds",
            at_least=60,
            at_most=86400,
        ),
    ] = 600
    lag_s: Annotated[
        int | None,
        Setting(
            "how long ago the window ends, because figures arrive late",
            example="300",
            unit="seconds",
            at_least=0,
            at_most=3600,
            default=f"{GOOGLE_LAG_S} on Google, 0 on the emulator",
        ),
    ] = None
    least_requests: Annotated[
        int,
        Setting(
            "with fewer requests in the window there is no rate and no percentile",
            example="50",
            unit="requests",
            at_least=1,
        ),
    ] = 10


class Rehearsal(NamedTuple):
    """Overrides for a rehearsal of the environment on the emulator."""

    variables: Annotated[
        Mapping[str, str],
        Setting(
            "environment variables to add or replace",
            key="environment-variables",
            example='{ FILE_HOST = "127.0.0.1" }',
            is_a="a text",
        ),
    ] = {}
    secrets_file: Annotated[str, _SECRETS_FILE] = ""
    command: Annotated[
        tuple[str, ...],
        Setting(
            "program of this machine that stands in for `image`",
            example='["python", "server.py"]',
            default="`command` of the environment",
        ),
    ] = ()


class Environment(NamedTuple):
    """One environment: a target, a function, and how to deploy it there."""

    name: Annotated[EnvironmentName, Place.NAME]
    target: Annotated[
        str,
        Setting(
            "`local`, `google` (Cloud Functions), `cloud-run`, the name of an entry point of another package, or "
            "`module:callable`",
            example='"google"',
            is_a="the name of a target",
            pattern="[a-z][a-z0-9_.-]*(:[A-Za-z_][A-Za-z0-9_]*)?",
        ),
    ]
    spec: Annotated[FunctionSpec, Place.INLINE]
    engine: Annotated[EngineSettings, Place.INLINE] = EngineSettings()
    confirm: Annotated[
        ConfirmRequest,
        Setting(
            "request that shows which revision answers a URL",
            example='{ method = "POST", body = "{}", expect = [200, 400] }',
        ),
    ] = ConfirmRequest()
    emulates: Annotated[
        Literal["google", "cloud-run"],
        Setting("which target the emulator stands in for", example='"cloud-run"'),
    ] = "google"
    endpoint: Annotated[
        str,
        Setting(
            "alternative endpoint of Google's APIs",
            example='"http://127.0.0.1:8080"',
            is_a="an address that begins with http:// or https://",
            pattern="https?://.*",
            default="Google's own",
        ),
    ] = ""
    port: Annotated[
        int,
        Setting(
            "port of the emulator",
            example="8080",
            at_least=1,
            at_most=65535,
            default="any free port",
        ),
    ] = 0
    rolls_back: Annotated[
        bool,
        Setting(
            "what failing rollback-checks do: roll back, or only report",
            key="on-failure",
            example='"report"',
            choices={"roll-back": True, "report": False},
        ),
    ] = True
    secrets_file: Annotated[str, _SECRETS_FILE] = ""
    services: Annotated[
        Mapping[str, str],
        Setting(
            "base URLs for checks, by name; at `documents` the function reaches this machine",
            example='{ documents = "https://files.example.org" }',
            is_a="a text",
            default="`sheets`",
        ),
    ] = {}
    freeze: Annotated[
        tuple[FreezeWindow, ...],
        Setting(
            "times in which nothing is promoted; rollbacks are never frozen",
            example='["fri 15:00 - mon 07:00 Europe/Berlin"]',
            is_a="a freeze window",
            parse=parse,
        ),
    ] = ()
    approval: Annotated[
        Literal["none", "required", "step"],
        Setting(
            "`required`: a promotion needs `--deploy-approval=DIGEST` of its plan; `step`: also each step that waits "
            "needs `deploygate approve` before the next one",
            example='"required"',
        ),
    ] = "none"
    statistics: Annotated[
        StatisticsWindow,
        Setting("time window of the platform's statistics", example="{ window-s = 900 }"),
    ] = StatisticsWindow()
    rehearsal: Annotated[
        Rehearsal,
        Setting(
            "overrides for `--deploy-endpoint=local`",
            example='{ secrets-file = "rehearsal.secrets.toml" }',
        ),
    ] = Rehearsal()
    gates: Annotated[
        Mapping[str, GateOverride],
        Setting(
            "per-environment gate overrides",
            example='{ performance = { skips = "allow", least-checks = 8 } }',
            key_pattern=NAME,
        ),
    ] = {}

    @property
    def needs_approval(self) -> bool:
        """Whether a promotion needs the approval of its plan."""
        return self.approval != "none"

    @property
    def is_known_to_gcloud(self) -> bool:
        """Whether commands of gcloud could work: not on the emulator, unless a project of Google is rehearsed."""
        return self.target != LOCAL or self.spec.project != _NO_PROJECT

    @property
    def platform(self) -> str:
        """The target that is deployed to, or that the emulator stands in for."""
        return self.emulates if self.target == LOCAL else self.target

    @property
    def is_remote(self) -> bool:
        """Whether it is at Google, by whichever API."""
        return self.target in (GOOGLE, CLOUD_RUN)

    @property
    def config_digest(self) -> Digest:
        """Digest of everything but the source that makes up a revision."""
        import hashlib

        spec = self.spec
        facts = {
            name: getattr(spec, name)
            for name in FunctionSpec._fields
            if name not in ("source", "secrets", "allowed_secrets")
        }
        facts["secrets"] = {k: [s.project, s.name, s.version] for k, s in spec.secrets.items()}
        text = json.dumps(facts, sort_keys=True, default=dict)
        return Digest(hashlib.sha256(text.encode()).hexdigest())
