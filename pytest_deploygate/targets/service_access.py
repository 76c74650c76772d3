"""Who may call a Cloud Run service, and who answers there."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pytest_deploygate.core.errors import OutcomeUnknown, TargetRefused, TargetUnavailable
from pytest_deploygate.core.function_spec import ConfirmRequest
from pytest_deploygate.core.identifiers import RevisionName, Secret
from pytest_deploygate.system.retry import Backoff, attempts
from pytest_deploygate.targets.api_caller import ApiCaller
from pytest_deploygate.targets.auth import CallTokens
from pytest_deploygate.targets.clients import Clients
from pytest_deploygate.targets.revision_probe import AccessDenied, RevisionProbe
from pytest_deploygate.targets.run_api import RunServices

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

logger = logging.getLogger(__name__)

_OPENING: Final = Backoff(first_s=0.05, longest_s=5.0)
_OPENING_S: Final = 480.0
"""How long an opened service may go on asking for a token (IAM: 2 minutes as a rule, 7 or more possible)."""


class ServiceAccess:
    """Opens, closes and asks one service; ``is_local`` has tokens of its own.

    Args:
        clients: connections.
        caller: makes the calls.
        services: the API of services.
        name_of: full name of the service.
        credentials: of google-auth; None for the emulator, which asks for none.
        confirm: what a URL is asked to see who answers.
        is_local: the emulator.
    """

    def __init__(
        self,
        clients: Clients,
        caller: ApiCaller,
        services: RunServices,
        name_of: Callable[[], str],
        *,
        credentials: "Credentials | None",
        confirm: ConfirmRequest,
        is_local: bool,
    ) -> None:
        self._clock = caller.clock
        self._services = services
        self._name_of = name_of
        self._tokens = CallTokens(credentials, self._clock) if credentials is not None else None
        self._is_local = is_local
        self._probe = RevisionProbe(clients.plain, confirm, timeout_s=caller.timeout_s)
        self.is_public: bool | None = None
        """Whether the policy let anyone call the service when it was seen last; None before."""

    def read_public(self, name: str) -> bool:
        """Whether the policy lets anyone call the service now, or when it was seen last."""
        try:
            self.is_public = self._services.is_open(name)
        except TargetUnavailable as error:
            if self.is_public is None:
                raise
            logger.warning("target.policy_not_read", extra={"reason": error.message})
        return self.is_public

    def token(self) -> Secret | None:
        """Bearer token for calling the service, or None where none is needed."""
        if self._tokens is None:
            return Secret("local") if self._is_local else None
        return self._tokens.token(self._services.require(self._name_of()).uri)

    def answering_revision(self, url: str, *, is_public: bool) -> RevisionName | None:
        """Which revision answered one request to ``url``, or None if the answer does not say.

        Raises:
            TargetUnavailable: nobody answered, or only the platform did.
        """
        try:
            return self._probe.ask(url, None if is_public else self._token_if_any())
        except AccessDenied:
            # one that was opened just now takes no call without a token until the policy has spread
            token = self._token_if_any() if is_public else None
            if token is None:
                logger.warning("target.not_allowed_to_call", extra={"url": url.partition("?")[0]})
                return None
            return self._probe.ask(url, token)

    def _token_if_any(self) -> Secret | None:
        try:
            return self.token()
        except TargetRefused as error:
            logger.warning("target.no_call_token", extra={"reason": error.message})
            return None

    def set_public(self, is_public: bool) -> None:
        """Let anyone call the service, or nobody without a token; returns when an opened one can be called.

        Raises:
            OutcomeUnknown: it was opened, and still asks for a token when the time is up.
        """
        name = self._name_of()
        self._services.set_public(name, is_public=is_public)
        self.is_public = is_public
        if is_public:
            self._await_open(name, self._services.require(name).uri)

    def _await_open(self, name: str, url: str) -> None:
        """Poll until nobody is asked for a token: a policy takes two minutes to spread, and sometimes seven."""
        deadline = self._clock.monotonic() + _OPENING_S
        for _ in attempts(self._clock, _OPENING, deadline=deadline):
            try:
                self._probe.ask(url, None)
            except AccessDenied:
                continue
            except TargetUnavailable as error:  # open; whether it answers well is for the gates
                logger.warning("target.opened_and_silent", extra={"reason": error.message})
            return
        raise OutcomeUnknown(
            f"{name.rpartition('/')[2]} was opened to the public, and still asks for a token after "
            f"{_OPENING_S:g} s",
            hint="does the organisation forbid public services? look at its access policy",
        )
