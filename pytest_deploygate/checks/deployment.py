"""The deployment as checks see it: settings, endpoints, services."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

from pytest_deploygate.checks.endpoint import Endpoint, Json
from pytest_deploygate.core.errors import DeployGateError
from pytest_deploygate.core.identifiers import Phase, Secret


class DeploymentDamaged(DeployGateError):
    """The JSON does not describe a deployment: a bug, or the two sides have different versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """The rollback target as found before staging; all fields are empty before the first release."""

    revision: str = ""
    is_ready: bool = False
    backup: str = ""
    """Path of the backup's source archive; empty if the platform returned only the settings."""
    sha256: str = ""
    """Digest of the archive, recorded at the backup."""
    problem: str = ""
    """Why there is no backup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One deployment as the checks of one phase see it. In the readiness phase it has no endpoint.

    Checks may write through ``verification`` and ``variants``, but not through ``candidate`` (if it is another
    revision) and ``live``. Each is None if it does not exist.
    """

    environment: str
    phase: Phase
    function: str
    step_percent: int = 0
    """Percent of the traffic that the candidate has in the step phase; 0 in all other phases."""
    region: str = ""
    project: str = ""
    source: str = ""
    """Path of the function's source, relative to the project's root or absolute."""
    candidate: Endpoint | None = None
    """The revision that will be promoted, with the production settings."""
    verification: Endpoint | None = None
    """The revision of the same build through which checks may write; the candidate itself if there is no other."""
    variants: Mapping[str, Endpoint] = field(default_factory=dict)
    """Staged verification variants by name; empty if the serving revision is judged, which has none."""
    live: Endpoint | None = None
    """The public URL."""
    before: Endpoint | None = None
    """Verification revision of the baseline's build, to compare with in this session; checks may write through it."""
    compared: Endpoint | None = None
    """In the step phase the revision that the candidate is compared with: the baseline, or a fresh one of its image."""
    verify_variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of ``verification``."""
    variant_variables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Environment variables of each verification variant of the settings, by name."""
    production_variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of ``candidate``."""
    secret_names: tuple[str, ...] = ()
    """Environment variables that the platform fills from secrets; checks do not get their values."""
    memory_mb: int = 0
    """Memory limit of the function, in MB of a million bytes; 0 if unknown."""
    timeout_s: int = 0
    """Request timeout of the platform; 0 if unknown."""
    services: Mapping[str, str] = field(default_factory=dict)
    """Base URLs of services that the function and the checks use, such as ``sheets``."""
    statistics_url: str = ""
    """URL of the emulator's statistics; empty for other targets."""
    access_token: Secret | None = None
    """Token for ``services``."""
    baseline: Mapping[str, float] = field(default_factory=dict)
    """Measurements of the last promoted rollout by name; empty before the first one."""
    traceparent: str = ""
    """Trace context of the phase; empty if it is not traced. The clients send that of the check that runs."""
    previous: Previous | None = None
    """None in a session without deployment, and after the readiness phase."""

    def to_json(self) -> str:
        """As JSON text **with tokens in clear text**: only for workers of this session, never for a record."""
        document: dict[str, Json] = {
            name: value for name in _TEXTS if isinstance(value := getattr(self, name), (str, int))
        }
        for name in _ENDPOINTS:
            document[name] = _endpoint_json(getattr(self, name))
        for name in _MAPPINGS:
            document[name] = dict(getattr(self, name))
        document["variants"] = {name: _endpoint_json(one) for name, one in self.variants.items()}
        document["variant_variables"] = {n: dict(own) for n, own in self.variant_variables.items()}
        document["phase"] = self.phase.value
        document["secret_names"] = list(self.secret_names)
        document["access_token"] = _secret_text(self.access_token)
        document["previous"] = None if self.previous is None else asdict(self.previous)
        return json.dumps(document)

    @classmethod
    def from_json(
        cls, text: str, *, counter: Callable[[str], Callable[[int], None]] | None = None
    ) -> "Deployment":
        """Read a text of :meth:`to_json`; ``counter`` returns a function that counts the answers of an endpoint.

        Raises:
            DeploymentDamaged: the text does not describe a deployment.
        """
        try:
            document = json.loads(text)
            known = {name: document[name] for name in _TEXTS}
            trace = known["traceparent"]
            known |= {
                name: _endpoint_of(
                    document[name], counter(name) if counter is not None else None, trace
                )
                for name in _ENDPOINTS
            }
            known |= {name: dict(document[name]) for name in _MAPPINGS}
            heard = counter("variants") if counter is not None else None
            variants = {
                n: _endpoint_of(one, heard, trace) for n, one in document["variants"].items()
            }
            variables = document["variant_variables"].items()
            previous = document["previous"]
            return cls(
                **known,
                variants={name: one for name, one in variants.items() if one is not None},
                variant_variables={name: dict(own) for name, own in variables},
                previous=None if previous is None else Previous(**previous),
                phase=Phase(document["phase"]),
                secret_names=tuple(map(str, document["secret_names"])),
                access_token=_secret_of(document["access_token"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            # The text may contain tokens, so neither the text nor the library's message is shown.
            raise DeploymentDamaged(
                "a worker received no readable deployment",
                hint="use one version of pytest-deploygate for the session and its workers",
            ) from None


_TEXTS = (
    *("environment", "function", "region", "project", "source", "statistics_url"),
    *("memory_mb", "timeout_s", "step_percent", "traceparent"),
)
_ENDPOINTS = ("candidate", "verification", "live", "before", "compared")
_MAPPINGS = ("verify_variables", "production_variables", "services", "baseline")


def _endpoint_json(endpoint: Endpoint | None) -> Json:
    if endpoint is None:
        return None
    return {
        "url": endpoint.url,
        "revision": endpoint.revision,
        "token": _secret_text(endpoint.token),
        "may_write": endpoint.may_write,
    }


def _endpoint_of(
    document: Mapping[str, object] | None, heard: Callable[[int], None] | None, traceparent: str
) -> Endpoint | None:
    if document is None:
        return None
    may_write = document["may_write"]
    if not isinstance(may_write, bool):
        raise TypeError(may_write)
    return Endpoint(
        url=str(document["url"]),
        revision=str(document["revision"]),
        token=_secret_of(document["token"]),
        may_write=may_write,
        heard=heard,
        traceparent=traceparent,
    )


def _secret_text(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()


def _secret_of(text: object) -> Secret | None:
    return Secret(text) if isinstance(text, str) else None
