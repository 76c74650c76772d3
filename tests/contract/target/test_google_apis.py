"""What only Google has: credentials, Secret Manager, disabled APIs; with samples of its documentation."""

import base64
import json
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from google.oauth2.credentials import Credentials as UserCredentials

from pytest_deploygate.core.errors import (
    ConfigError,
    DeployGateError,
    TargetRefused,
    TargetUnavailable,
)
from pytest_deploygate.core.function_spec import FunctionSpec
from pytest_deploygate.core.secret_ref import SecretRef
from pytest_deploygate.targets.api_caller import ApiCaller
from pytest_deploygate.targets.auth import (
    SCOPE,
    SHEETS,
    CallTokens,
    access_token,
    credentials_for,
)
from pytest_deploygate.targets.cloud_functions import CloudFunctionsTarget
from pytest_deploygate.targets.json_api import JsonApi
from pytest_deploygate.targets.secret_versions import SecretVersions
from tests.contract.target.google_replies import error, reply
from tests.contract.target.keys import service_account
from tests.contract.target.staged_function import HurriedClock
from tests.fakes import FakeClock
from tests.loopback_server import Asked, Reply, ServerMaker

SPEC = FunctionSpec(
    function="process_invoice",
    project="p1",
    region="us-central1",
    runtime="python312",
    entry_point="process_invoice",
    source="/src",
    memory="1Gi",
)


# -- secrets ---------------------------------------------------------------------------------------


def secret_versions(url: str) -> SecretVersions:
    caller = ApiCaller(HurriedClock(), timeout_s=5)
    return SecretVersions(requests.Session(), caller, base_url=url)


def with_secrets(**secrets: SecretRef) -> FunctionSpec:
    return FunctionSpec(
        function="f",
        project="p1",
        region="r",
        runtime="python312",
        entry_point="f",
        source="/src",
        secrets=secrets,
    )


def test_latest_becomes_the_number_that_it_stands_for(http_server: ServerMaker) -> None:
    # sample: Secret Manager, projects.secrets.versions.get
    server = http_server(
        lambda asked: reply(
            {
                "name": f"projects/1/secrets/s/versions/{3 if asked.path.endswith('/3') else 7}",
                "createTime": "2025-01-17T10:00:00.123456Z",
                "state": "ENABLED",
                "replicationStatus": {"automatic": {}},
                "etag": '"1612"',
            }
        )
    )
    versions = secret_versions(server.url)
    spec = with_secrets(
        A=SecretRef(name="gemini-api-key"),
        B=SecretRef(name="gemini-api-key"),
        C=SecretRef(name="other", version="3"),
        D=SecretRef(name="far", project="p2"),
    )
    resolved = versions.resolve(spec)
    assert {key: ref.version for key, ref in resolved.items()} == {
        "A": "7",
        "B": "7",
        "C": "3",
        "D": "7",
    }
    versions.resolve(spec)
    # one question for each version, and none for its content
    assert [asked.path for asked in server.asked] == [
        "/projects/p1/secrets/gemini-api-key/versions/latest",
        "/projects/p1/secrets/other/versions/3",
        "/projects/p2/secrets/far/versions/latest",
    ]


DENIED = "Permission 'run.services.update' denied on resource 'projects/p1/locations/l/services/s'"


@pytest.mark.parametrize(
    ("message", "metadata", "role"),
    [
        ("no", {"permission": "cloudfunctions.functions.update"}, "cloudfunctions.developer"),
        ("no", {"permission": "run.services.setIamPolicy"}, "run.admin"),
        ("no", {"permission": "iam.serviceAccounts.actAs"}, "iam.serviceAccountUser"),
        (DENIED, {}, "run.developer"),
    ],
)
def test_a_missing_permission_is_named_with_its_role(
    http_server: ServerMaker, message: str, metadata: dict[str, str], role: str
) -> None:
    refused = error(
        403, "PERMISSION_DENIED", message, reason="IAM_PERMISSION_DENIED", metadata=metadata
    )
    server = http_server(lambda asked: refused)
    api = JsonApi(requests.Session(), server.url, ApiCaller(HurriedClock(), timeout_s=5))
    with pytest.raises(TargetRefused) as caught:
        api.require("reading the service s", "s")
    permission = metadata.get("permission", "run.services.update")
    assert caught.value.hint.startswith(
        f"the deploying account lacks {permission}: ask for roles/{role}"
    )


@pytest.mark.parametrize(
    ("answer", "words", "hint"),
    [
        (
            error(404, "NOT_FOUND", "Secret [projects/1/secrets/key] not found."),
            "not found",
            "gcloud secrets create key --project=p1 --data-file=-",
        ),
        (
            error(403, "PERMISSION_DENIED", "Permission denied.", reason="IAM_PERMISSION_DENIED"),
            "403",
            "roles/secretmanager.viewer",
        ),
        (
            error(
                403,
                "PERMISSION_DENIED",
                "Secret Manager API has not been used.",
                reason="SERVICE_DISABLED",
                domain="googleapis.com",
                metadata={"service": "secretmanager.googleapis.com"},
            ),
            "403",
            "gcloud services enable secretmanager.googleapis.com",
        ),
        (
            reply({"name": "projects/1/secrets/key/versions/2", "state": "DISABLED"}),
            "DISABLED",
            "key:NUMBER",
        ),
    ],
)
def test_a_secret_that_cannot_be_used_is_named(
    http_server: ServerMaker, answer: Reply, words: str, hint: str
) -> None:
    server = http_server(lambda asked: answer)
    with pytest.raises(TargetRefused, match=words) as caught:
        secret_versions(server.url).resolve(with_secrets(A=SecretRef(name="key")))
    assert "the secret key" in caught.value.message
    assert hint in caught.value.hint


# -- credentials -----------------------------------------------------------------------------------


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any Google credentials."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    return tmp_path


def test_missing_credentials_say_what_to_run(nobody: Path) -> None:
    with pytest.raises(ConfigError, match="project p1") as caught:
        credentials_for("p1")
    assert "gcloud auth application-default login" in caught.value.hint
    assert "google-github-actions/auth" in caught.value.hint


def test_a_key_file_that_is_not_there_is_named(
    nobody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(nobody / "gone.json"))
    with pytest.raises(ConfigError, match=r"gone\.json"):
        credentials_for("p1")


def test_a_service_account_makes_one_token_and_keeps_it(
    nobody: Path, monkeypatch: pytest.MonkeyPatch, http_server: ServerMaker
) -> None:
    server = http_server(lambda asked: reply({"id_token": a_token()}))
    key = service_account(nobody, f"{server.url}/token")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    clock = FakeClock()
    tokens = CallTokens(credentials_for("p1"), clock)
    made = tokens.token("https://service.run.app")
    assert made.reveal() == a_token()
    assert tokens.token("https://service.run.app") is made
    assert len(server.asked) == 1
    clock.advance(3000)
    assert tokens.token("https://service.run.app") == made
    assert len(server.asked) == 2


def test_checks_are_given_a_token_that_the_sheets_take(
    nobody: Path, monkeypatch: pytest.MonkeyPatch, http_server: ServerMaker
) -> None:
    given = {"access_token": "for-the-sheet", "expires_in": 3600, "token_type": "Bearer"}
    server = http_server(lambda asked: reply(given))
    key = service_account(nobody, f"{server.url}/token")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    assert access_token("p1", SHEETS).reveal() == "for-the-sheet"
    assertion = urllib.parse.parse_qs(server.asked[0].body.decode())["assertion"][0]
    claims = assertion.split(".")[1]
    scopes = json.loads(base64.urlsafe_b64decode(claims + "=="))["scope"].split()
    assert scopes == [SCOPE, "https://www.googleapis.com/auth/spreadsheets"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error(400, "INVALID", "no"), TargetRefused),
        (reply({"error": "invalid_grant"}, 400), TargetRefused),
    ],
)
def test_credentials_that_give_no_token_are_said(
    nobody: Path,
    monkeypatch: pytest.MonkeyPatch,
    http_server: ServerMaker,
    answer: Reply,
    expected: type[DeployGateError],
) -> None:
    key = service_account(nobody, f"{http_server(lambda asked: answer).url}/token")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    with pytest.raises(expected, match="give no access token"):
        access_token("p1", SHEETS)


def a_token() -> str:
    """The shape of a signed token, which nobody here verifies."""

    def part(value: object) -> str:
        text = base64.urlsafe_b64encode(json.dumps(value).encode())
        return text.decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part({'exp': 4_000_000_000, 'iat': 1})}.{part('signature')}"


def test_a_persons_credentials_make_no_token(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = UserCredentials(token="t")  # type: ignore[no-untyped-call]
    with pytest.raises(TargetRefused, match="cannot make an ID token") as caught:
        CallTokens(user, FakeClock()).token("https://service.run.app")
    assert "--impersonate-service-account" in caught.value.hint


def federation(folder: Path, url: str, *, account: str) -> Path:
    """A file as google-github-actions/auth writes it for workload identity federation."""
    (folder / "subject").write_text("the token of the CI job")
    content = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/g",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{url}/sts",
        "credential_source": {"file": str(folder / "subject")},
    }
    if account:
        content["service_account_impersonation_url"] = (
            f"{url}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
        )
    path = folder / "federation.json"
    path.write_text(json.dumps(content))
    return path


def answer_federation(asked: Asked) -> Reply:
    """The token exchange, then the two calls of the IAM Credentials API."""
    if asked.path == "/sts":
        return reply(
            {
                "access_token": "federated",
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "token_type": "Bearer",
                "expires_in": 3600,
            }
        )
    if asked.path.endswith(":generateAccessToken"):
        return reply({"accessToken": "of-the-account", "expireTime": "2099-01-01T00:00:00Z"})
    return reply({"token": "for-calling"})


def test_a_ci_job_without_a_key_makes_a_token_through_its_service_account(
    nobody: Path, monkeypatch: pytest.MonkeyPatch, http_server: ServerMaker
) -> None:
    server = http_server(answer_federation)
    path = federation(nobody, server.url, account="deployer@p1.iam.gserviceaccount.com")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    tokens = CallTokens(credentials_for("p1"), FakeClock(), iam_url=f"{server.url}/v1")
    assert tokens.token("https://service.run.app").reveal() == "for-calling"
    last = server.asked[-1]
    assert last.path.endswith("deployer@p1.iam.gserviceaccount.com:generateIdToken")
    assert last.headers["authorization"] == "Bearer of-the-account"
    assert json.loads(last.body) == {"audience": "https://service.run.app", "includeEmail": True}


def test_a_federated_identity_without_an_account_says_what_it_needs(
    nobody: Path, monkeypatch: pytest.MonkeyPatch, http_server: ServerMaker
) -> None:
    path = federation(nobody, http_server(answer_federation).url, account="")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises(TargetRefused) as caught:
        CallTokens(credentials_for("p1"), FakeClock()).token("https://service.run.app")
    assert "roles/iam.serviceAccountTokenCreator" in caught.value.hint


def test_a_token_server_that_is_down_is_unavailable(
    nobody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = service_account(nobody, "http://127.0.0.1:9/token")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    with pytest.raises(TargetUnavailable, match="did not answer"):
        CallTokens(credentials_for("p1"), FakeClock()).token("https://service.run.app")


# -- answers of Google's front ends ----------------------------------------------------------------


def google(url: str, home: Path) -> CloudFunctionsTarget:
    """A target that takes ``url`` for Google."""
    return CloudFunctionsTarget(
        spec=SPEC,
        endpoint=url,
        credentials=UserCredentials(token="t"),  # type: ignore[no-untyped-call]
        home=home,
        clock=HurriedClock(),
        is_local=False,
        timeout_s=5,
    )


def snapshot_error(
    http_server: ServerMaker, home: Path, answer: Callable[[Asked], Reply]
) -> DeployGateError:
    target = google(http_server(answer).url, home)
    with pytest.raises(DeployGateError) as caught:
        target.snapshot()
    target.close()
    return caught.value


def test_an_api_that_is_off_says_how_to_turn_it_on(
    http_server: ServerMaker, tmp_path: Path
) -> None:
    off = error(
        403,
        "PERMISSION_DENIED",
        "Cloud Functions API has not been used in project 1 before or it is disabled.",
        reason="SERVICE_DISABLED",
        domain="googleapis.com",
        metadata={"service": "cloudfunctions.googleapis.com", "consumer": "projects/1"},
    )
    found = snapshot_error(http_server, tmp_path, lambda asked: off)
    assert isinstance(found, TargetRefused)
    assert "gcloud services enable cloudfunctions.googleapis.com" in found.hint


def test_credentials_are_sent_and_never_shown(http_server: ServerMaker, tmp_path: Path) -> None:
    refused = error(403, "PERMISSION_DENIED", "Permission denied for Bearer ya29.abcdef")
    server = http_server(lambda asked: refused)
    target = google(server.url, tmp_path)
    with pytest.raises(TargetRefused) as caught:
        target.snapshot()
    target.close()
    assert server.asked[0].headers["authorization"] == "Bearer t"
    assert "abcdef" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Reply(status=502, body=b"<html>bad gateway</html>"), TargetUnavailable),
        (Reply(status=200, body=b"<html>login</html>"), TargetUnavailable),
        (Reply(status=200, body=b'{"name": 7, "state": {}}'), TargetUnavailable),
        (Reply(status=200, body=b'{"name": "x"}', cut=5), TargetUnavailable),
        (Reply(status=407, body=b""), TargetRefused),
    ],
    ids=["html-502", "html-200", "wrong-json", "cut", "proxy"],
)
def test_answers_that_are_not_googles_are_errors_too(
    http_server: ServerMaker, tmp_path: Path, answer: Reply, expected: type[DeployGateError]
) -> None:
    found = snapshot_error(http_server, tmp_path, lambda asked: answer)
    assert type(found) is expected
    assert found.hint
