"""One place to deploy to."""

import json
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from pytest_deploygate.core.engine_settings import EngineSettings
from pytest_deploygate.core.freeze import FreezeWindow, parse
from pytest_deploygate.core.identifiers import Digest, EnvironmentName
from pytest_deploygate.core.policy import GateOverride
from pytest_deploygate.core.release import ConfirmRequest, FunctionSpec
from pytest_deploygate.core.setting import NAME, Place, Setting

GOOGLE_LAG_S = 240
"""Figures are sampled each minute and not visible for up to four more (Cloud Monitoring, "Latency of metric data")."""
_SECRETS_FILE = Setting(
    "TOML file with the secrets of the local cloud, relative to the project; not to be committed",
    example='"local.secrets.toml"',
    is_filled=True,
)


class StatisticsWindow(NamedTuple):
    """Which of its figures the platform is asked for."""

    window_s: Annotated[
        int,
        Setting(
            "of how long a time",
            example="900",
            unit="seconds",
            at_least=60,
            at_most=86400,
        ),
    ] = 600
    lag_s: Annotated[
        int | None,
        Setting(
            "how long ago that time ended, since figures come late",
            example="300",
            unit="seconds",
            at_least=0,
            at_most=3600,
            default=f"{GOOGLE_LAG_S} on Google, 0 on the local cloud",
        ),
    ] = None
    least_requests: Annotated[
        int,
        Setting(
            "of fewer requests no rate and no percentile is told",
            example="50",
            unit="requests",
            at_least=1,
        ),
    ] = 10


class Rehearsal(NamedTuple):
    """What is otherwise where the environment is rehearsed on the local cloud."""

    variables: Annotated[
        Mapping[str, str],
        Setting(
            "environment variables that are added or replaced",
            key="environment-variables",
            example='{ FILE_HOST = "127.0.0.1" }',
            is_a="a text",
        ),
    ] = {}
    secrets_file: Annotated[str, _SECRETS_FILE] = ""


class Environment(NamedTuple):
    """One place to deploy to."""

    name: Annotated[EnvironmentName, Place.NAME]
    target: Annotated[
        str,
        Setting(
            "`local`, `google`, the name of an entry point of another package, or `module:callable`",
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
            "what a URL is asked to see which revision answers",
            example='{ method = "POST", body = "{}", expect = [200, 400] }',
        ),
    ] = ConfirmRequest()
    endpoint: Annotated[
        str,
        Setting(
            "another endpoint of Google's APIs",
            example='"http://127.0.0.1:8080"',
            is_a="an address that begins with http:// or https://",
            pattern="https?://.*",
            default="Google's own",
        ),
    ] = ""
    port: Annotated[
        int,
        Setting(
            "port of the local cloud",
            example="8080",
            at_least=1,
            at_most=65535,
            default="any that is free",
        ),
    ] = 0
    rolls_back: Annotated[
        bool,
        Setting(
            "what failing rollback-checks do: go back, or only report",
            key="on-failure",
            example='"report"',
            choices={"roll-back": True, "report": False},
        ),
    ] = True
    secrets_file: Annotated[str, _SECRETS_FILE] = ""
    services: Annotated[
        Mapping[str, str],
        Setting(
            "base URLs that checks are given, by name; `documents` is where the function reaches this machine",
            example='{ documents = "https://files.example.org" }',
            is_a="a text",
            default="`sheets`",
        ),
    ] = {}
    freeze: Annotated[
        tuple[FreezeWindow, ...],
        Setting(
            "times in which nothing is promoted; going back is never frozen",
            example='["fri 15:00 - mon 07:00 Europe/Berlin"]',
            is_a="a freeze window",
            parse=parse,
        ),
    ] = ()
    approval: Annotated[
        Literal["none", "required"],
        Setting(
            "`required`: a promotion needs `--deploy-approval=DIGEST` of its plan",
            example='"required"',
        ),
    ] = "none"
    statistics: Annotated[
        StatisticsWindow,
        Setting("which of its figures the platform is asked for", example="{ window-s = 900 }"),
    ] = StatisticsWindow()
    rehearsal: Annotated[
        Rehearsal,
        Setting(
            "what is otherwise with `--deploy-endpoint=local`",
            example='{ secrets-file = "rehearsal.secrets.toml" }',
        ),
    ] = Rehearsal()
    gates: Annotated[
        Mapping[str, GateOverride],
        Setting(
            "what is otherwise about a gate here",
            example='{ performance = { skips = "allow", least-checks = 8 } }',
            key_pattern=NAME,
        ),
    ] = {}

    @property
    def config_digest(self) -> Digest:
        """Digest of everything that makes a revision apart from its source."""
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
