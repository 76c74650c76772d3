# ruff: noqa: ISC003 # a line each; put together by a sign, which the formatter does not join
"""Invented secrets in the forms that real ones have, and texts that only look like them.

Every secret is put together at run time from a kind's fixed part and letters made from a seed, so that no scanner, of a
host or of ours, takes this file for a leak. Each entry: the file's name, its content, and the part that must not leave.
"""

import base64
import json
import random
import string
from typing import NamedTuple

LETTERS = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + string.digits
URL_SAFE = LETTERS + "-_"


class Planted(NamedTuple):
    """A file with a secret: ``secret`` is the part that must not be shown."""

    kind: str
    name: str
    content: bytes
    secret: str


def made(count: int, alphabet: str = LETTERS, seed: str = "") -> str:
    """``count`` letters of ``alphabet``: always the same for one ``seed``."""
    chosen = random.Random(f"{seed}/{count}/{alphabet}")
    return "".join(chosen.choice(alphabet) for _ in range(count))


def _pem(kind: str) -> str:
    body = "\n".join(made(64, LETTERS + "+/", f"{kind}{line}") for line in range(6))
    return f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----"


def _base64(kind: str) -> str:
    return base64.b64encode(_pem(kind).encode()).decode()


def _jwt() -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": "1234", "name": "somebody"})
    texts = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    return ".".join([*texts, made(43, URL_SAFE, "jwt")])


def _planted(kind: str, secret: str, text: str = "", name: str = "settings.py") -> Planted:
    content = (text or "VALUE = '{}'\n").replace("{}", secret)
    return Planted(kind, name, content.encode(), secret)


def _google() -> list[Planted]:
    account = json.dumps(
        {
            "type": "service_" + "account",
            "project_id": "p",
            "private_key_id": made(40, HEX, "id"),
            "private_key": _pem("PRIVATE " + "KEY") + "\n",
            "client_email": "a@p.iam.gserviceaccount.com",
        },
        indent=2,
    )
    refresh = "1//0" + made(60, URL_SAFE, "refresh")
    user = json.dumps(
        {
            "type": "authorized_" + "user",
            "client_id": "1-x.apps.googleusercontent.com",
            "client_secret": made(24, URL_SAFE, "client"),
            "refresh_token": refresh,
        }
    )
    return [
        Planted(
            "service account",
            "account.json",
            account.encode(),
            made(64, LETTERS + "+/", "PRIVATE " + "KEY" + "0"),
        ),
        Planted("authorized user", "adc.json", user.encode(), refresh),
        _planted("Google API key", "AIza" + "Sy" + made(33, URL_SAFE, "api")),
        _planted("Google access token", "ya29." + "a0" + made(60, URL_SAFE, "ya")),
        _planted("Google OAuth client", "GOCSPX-" + made(28, URL_SAFE, "oauth")),
        _planted(
            "Google refresh token",
            "1//0" + made(60, URL_SAFE, "rt"),
            "refresh_token: {}\n",
            "a.yaml",
        ),
        _planted(
            "Firebase messaging",
            "AAAA" + made(7, URL_SAFE, "f") + ":APA91b" + made(134, URL_SAFE, "fcm"),
        ),
    ]


def _keys() -> list[Planted]:
    openssh, rsa, pgp = (
        "OPENSSH PRIVATE " + "KEY",
        "RSA PRIVATE " + "KEY",
        "PGP PRIVATE " + "KEY BLOCK",
    )
    wide = f"password = {made(16, LETTERS, 'utf16')}\naws = " + "AKIA" + made(16, UPPER, "utf16")
    return [
        Planted(
            "OpenSSH key", "deploy", _pem(openssh).encode(), made(64, LETTERS + "+/", openssh + "0")
        ),
        *(
            _planted(
                f"{kind or 'PKCS #8'} key of a kubeconfig",
                _base64(f"{kind} PRIVATE ".lstrip() + "KEY"),
                "  client-key-data: {}\n",
                "kube.yaml",
            )
            for kind in ("", "RSA", "EC", "OPENSSH", "ENCRYPTED", "DSA")
        ),
        Planted("RSA key", "cert.txt", _pem(rsa).encode(), made(64, LETTERS + "+/", rsa + "0")),
        Planted("PGP key", "key.asc", _pem(pgp).encode(), made(64, LETTERS + "+/", pgp + "0")),
        Planted(
            "private key in JSON",
            "k.json",
            json.dumps({"key": _pem(rsa)}).encode(),
            made(64, LETTERS + "+/", rsa + "1"),
        ),
        Planted(
            "UTF-16 file", "windows.txt", wide.encode("utf-16"), "AKIA" + made(16, UPPER, "utf16")
        ),
        Planted(
            "UTF-16 without mark",
            "windows.ini",
            wide.encode("utf-16-le"),
            "AKIA" + made(16, UPPER, "utf16"),
        ),
        _planted(
            "age key", "AGE-SECRET-KEY-" + "1" + made(58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", "age")
        ),
    ]


def _clouds() -> list[Planted]:
    return [
        _planted("AWS access key", "AKIA" + made(16, UPPER, "aws"), "id = {}\n", "config.ini"),
        _planted(
            "AWS secret key",
            made(40, LETTERS + "/+", "awss"),
            "aws_secret_access_key = {}\n",
            "aws.cfg",
        ),
        _planted(
            "AWS secret key in Python", made(40, LETTERS + "/+", "awsp"), 'AWS_SECRET_KEY = "{}"\n'
        ),
        _planted(
            "AWS secret in JSON",
            made(40, LETTERS + "/+", "awsj"),
            '{"SecretAccessKey": "{}"}',
            "c.json",
        ),
        _planted(
            "Azure storage",
            made(86, LETTERS + "+/", "az") + "==",
            "DefaultEndpointsProtocol=https;AccountName=a;AccountKey={};EndpointSuffix=core.windows.net\n",
            "a.txt",
        ),
        _planted("DigitalOcean", "dop_v1_" + made(64, HEX, "do")),
        _planted(
            "Cloudflare Origin CA", "v1.0-" + made(24, HEX, "cf") + "-" + made(146, HEX, "cf2")
        ),
        _planted("Heroku", "HRKU-" + made(60, URL_SAFE, "heroku")),
        _planted("Databricks", "dapi" + made(32, HEX, "dapi")),
        _planted("Vault", "hvs." + made(90, URL_SAFE, "vault")),
        _planted(
            "Terraform Cloud", made(14, LETTERS, "tf") + ".atlasv1." + made(64, URL_SAFE, "tf2")
        ),
        _planted("Fly.io", "fo1_" + made(43, URL_SAFE, "fly")),
    ]


def _services() -> list[Planted]:
    slack = (
        "https://hooks.slack."
        + "com/services/T"
        + made(8, UPPER, "s1")
        + "/B"
        + made(8, UPPER, "s2")
        + "/"
    )
    zapier = "https://hooks.zapier." + "com/hooks/catch/1234567/"
    discord = "https://discord." + "com/api/webhooks/" + made(18, string.digits, "d") + "/"
    teams = (
        "https://acme.webhook.office."
        + "com/webhookb2/"
        + made(36, HEX + "-", "t")
        + "/IncomingWebhook/"
    )
    return [
        _planted(
            "Slack bot token", "xoxb-" + "123456789012-1234567890123-" + made(24, LETTERS, "xoxb")
        ),
        _planted(
            "Slack app token", "xapp-" + "1-A0123456789-1234567890123-" + made(64, HEX, "xapp")
        ),
        _planted("Slack webhook", slack + made(24, LETTERS, "slack")),
        _planted("Zapier catch URL", zapier + made(7, LETTERS.lower(), "zap") + "/"),
        _planted("Discord webhook", discord + made(68, URL_SAFE, "disc")),
        _planted("Teams webhook", teams + made(32, HEX, "teams")),
        _planted("GitHub token", "ghp_" + made(36, LETTERS, "gh")),
        _planted(
            "GitHub fine-grained",
            "github_pat_" + made(22, LETTERS, "pat") + "_" + made(59, LETTERS, "pat2"),
        ),
        _planted("GitLab token", "glpat-" + made(20, URL_SAFE, "gl")),
        _planted("Docker personal token", "dckr_pat_" + made(27, URL_SAFE, "docker")),
        _planted("Docker organization token", "dckr_oat_" + made(32, URL_SAFE, "docker2")),
        _planted("npm token", "npm_" + made(36, LETTERS, "npm")),
        _planted(
            "npmrc", made(36, HEX, "npmrc"), "//registry.example/:_auth" + "Token={}\n", "npm.cfg"
        ),
        _planted("PyPI token", "pypi-" + "AgEIcHlwaS5vcmc" + made(70, URL_SAFE, "pypi")),
        _planted("Hugging Face", "hf_" + made(34, string.ascii_letters, "hf")),
        _planted("OpenAI", "sk-" + "proj-" + made(48, URL_SAFE, "oa")),
        _planted("Anthropic", "sk-" + "ant-api03-" + made(90, URL_SAFE, "an")),
        _planted("SendGrid", "SG." + made(22, URL_SAFE, "sg") + "." + made(43, URL_SAFE, "sg2")),
        _planted("Stripe", "sk_" + "live_" + made(24, LETTERS, "st")),
        _planted("Stripe webhook", "whsec_" + made(32, LETTERS, "wh")),
        _planted("Twilio", "SK" + made(32, HEX, "tw")),
        _planted("Mailchimp", made(32, HEX, "mc") + "-us12"),
        _planted("Mailgun", "key-" + made(32, HEX, "mg"), "MAILGUN = '{}'\n"),
        _planted("Telegram bot", "123456789:" + "AA" + made(33, URL_SAFE, "tg")),
        _planted("Shopify", "shpat_" + made(32, HEX, "sh")),
        _planted("Square", "sq0csp-" + made(43, URL_SAFE, "sq")),
        _planted(
            "Sentry DSN", made(32, HEX, "sentry"), "https://{}@o1.ingest.sentry.io/2\n", "a.txt"
        ),
        _planted("New Relic", "NRAK-" + made(27, UPPER, "nr")),
        _planted("Grafana", "glsa_" + made(32, LETTERS, "gf") + "_" + made(8, HEX, "gf")),
        _planted("Linear", "lin_api_" + made(40, LETTERS, "lin")),
        _planted("Postman", "PMAK-" + made(24, HEX, "pm") + "-" + made(34, HEX, "pm2")),
    ]


def _plain() -> list[Planted]:
    word = made(18, LETTERS + "!#%", "password")
    return [
        _planted("JWT", _jwt()),
        _planted(
            ".netrc",
            made(16, LETTERS, "netrc"),
            "machine pypi.example.com\n  login bot\n  password {}\n",
            "netrc.txt",
        ),
        _planted(
            "bearer in a header",
            made(40, LETTERS, "bearer"),
            "headers = {'Authorization': 'Bearer {}'}\n",
        ),
        _planted(
            "basic in a header",
            base64.b64encode(f"u:{made(20)}".encode()).decode(),
            "Authorization: Basic {}\n",
            "a.http",
        ),
        _planted(
            "PostgreSQL URL", made(16, LETTERS, "pg"), "DB = 'postgresql://app:{}@10.0.0.5/app'\n"
        ),
        _planted(
            "MongoDB URL",
            made(16, LETTERS, "mg"),
            "mongodb+srv://app:{}@c0.mongodb.net/app\n",
            "a.env.txt",
        ),
        _planted(
            "Redis URL",
            made(24, LETTERS, "rd"),
            "url: rediss://:{}@cache.example.com:6379/0\n",
            "a.yaml",
        ),
        _planted(
            "git URL",
            made(30, LETTERS, "git"),
            "git+https://bot:{}@git.example.com/a/b.git\n",
            "requirements.txt",
        ),
        _planted("password in Python", word, 'DB_PASSWORD = "{}"\n'),
        _planted("password in YAML", word, 'database:\n  password: "{}"\n', "a.yaml"),
        _planted("secret in JSON", made(32, LETTERS, "cs"), '{"client_secret": "{}"}', "a.json"),
        _planted("API key in TOML", made(32, HEX, "toml"), 'api-key = "{}"\n', "a.toml"),
        _planted(
            "token in a shell file", made(40, HEX, "sh"), "export SERVICE_TOKEN={}\n", "run.sh"
        ),
        _planted("Django key", made(50, LETTERS + "!@#%^&*(-_=+)", "dj"), 'SECRET_KEY = "{}"\n'),
        _planted(
            "signed address",
            made(64, HEX, "sig"),
            "https://storage.example/o?X-Goog-Expires=9&X-Goog-Signature={}\n",
            "a.md",
        ),
    ]


PLANTED = (*_google(), *_keys(), *_clouds(), *_services(), *_plain())
_UUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
HARMLESS: tuple[tuple[str, str, str], ...] = (
    ("documented AWS key", "a.py", "# e.g. " + "AKIA" + "IOSFODNN7EXAMPLE\n"),
    (
        "documented AWS secret",
        "a.cfg",
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY\n",
    ),
    ("fixture that names a type", "fixture.json", json.dumps({"type": "service_" + "account"})),
    ("type compared", "a.py", "if info['type'] == 'service_" + "account':\n"),
    ("type of a user's credentials", "a.json", json.dumps({"type": "authorized_" + "user"})),
    (
        "comment about a key",
        "a.py",
        "# the file begins with -----BEGIN RSA PRIVATE " + "KEY-----\n",
    ),
    ("pattern for a key", "a.py", "PEM = re.compile('-----BEGIN (RSA )?PRIVATE " + "KEY-----')\n"),
    ("beginning of a key alone", "a.md", "Look for `-----BEGIN PRIVATE " + "KEY-----`.\n"),
    ("public key", "a.pem.txt", _pem("PUBLIC KEY")),
    ("certificate", "a.crt", _pem("CERTIFICATE")),
    ("certificate in base64", "kube.yaml", f"client-certificate-data: {_base64('CERTIFICATE')}\n"),
    (".netrc with a placeholder", "a.md", "machine HOST login USER password your-password\n"),
    ("password from the environment", "a.py", "password = os.environ['DB_PASSWORD']\n"),
    ("password from a call", "a.py", "password = get_password(user)\n"),
    ("password from a vault", "a.yaml", "password: ${DB_PASSWORD}\n"),
    ("password in a template", "a.yaml", "password: {{ .Values.password }}\n"),
    ("password to be changed", "a.cfg", "password = changeme\n"),
    ("password of stars", "a.py", 'PASSWORD = "********"\n'),
    ("password left empty", "a.py", 'PASSWORD = ""\n'),
    ("placeholder in brackets", "a.yaml", "api_key: <your-api-key-here>\n"),
    ("placeholder in words", "a.toml", 'api-key = "your-api-key-here"\n'),
    ("placeholder of crosses", "a.sh", "export API_KEY=xxxxxxxxxxxxxxxxxxxxxxxx\n"),
    ("name of a secret", "a.toml", 'GEMINI_API_KEY = "gemini-api-key:latest"\n'),
    ("resource of a secret", "a.py", "secret = 'projects/p/secrets/api-key/versions/3'\n"),
    ("path of a key file", "a.toml", 'private_key = "/etc/ssl/private/server.key"\n'),
    ("path of a directory", "a.py", "SECRET_KEY = '/srv/app2/keys/v2'\n"),
    ("dotted name", "a.py", "token: google.auth.oauth2.Credentials2,\n"),
    ("argument's name", "a.py", "def login(user, password='', token=None):\n"),
    ("annotation", "a.py", "api_key: str | None = None\n"),
    ("header's name", "a.py", 'API_KEY_HEADER = "X-API-Key"\n'),
    ("message about a token", "a.py", 'raise ValueError("token: must not be empty")\n'),
    ("translated label", "a.json", '{"password": "Passwort vergessen?"}'),
    ("form field", "a.html", '<input type="password" name="password" placeholder="Password">\n'),
    ("URL without a password", "a.py", "URL = 'postgresql://app@db.example.com/app'\n"),
    ("URL with a placeholder", "a.md", "postgresql://USER:PASSWORD@HOST/DB\n"),
    ("URL with a variable", "a.yaml", "postgresql://app:${PASSWORD}@db/app\n"),
    ("URL in an f-string", "a.py", "f'postgresql://{user}:{password}@{host}/app'\n"),
    ("URL of a test container", "a.py", "URL = 'postgresql://postgres:postgres@localhost/test'\n"),
    ("address of a repository", "requirements.txt", "pkg @ git+ssh://git@github.com/a/b.git\n"),
    ("bearer with a variable", "a.py", "headers = {'Authorization': f'Bearer {token}'}\n"),
    ("bearer in words", "a.md", "Send `Authorization: Bearer TOKEN` with each request.\n"),
    (
        "digest of a package",
        "requirements.txt",
        "a==1 --hash=sha256:" + made(64, HEX, "hash") + "\n",
    ),
    (
        "lock file",
        "package-lock.json",
        '"integrity": "sha512-' + made(86, LETTERS + "+/", "lock") + '=="',
    ),
    ("commit", "a.py", "REVISION = '" + made(40, HEX, "git") + "'\n"),
    ("UUID", "a.py", f"PROCESSOR = '{_UUID}'\n"),
    ("spreadsheet's id", "a.py", "SHEET = '1" + made(43, URL_SAFE, "sheet") + "'\n"),
    (
        "embedded image",
        "a.css",
        "url(data:image/png;base64," + made(120, LETTERS + "+/", "png") + "=)\n",
    ),
    (
        "address of Zapier",
        "a.md",
        "See https://zapier.com/app and https://hooks.zapier." + "com/hooks/catch/ for more.\n",
    ),
    ("Stripe test key's prefix", "a.md", "Keys begin with `sk_" + "live_` or `sk_" + "test_`.\n"),
    ("prefix in a condition", "a.py", "if token.startswith(('ghp_', 'xoxb-', 'glpat-')):\n"),
    (
        "sort key",
        "a.py",
        "rows.sort(key=lambda row: row['name'])\nprimary_key = \"invoice_number\"\n",
    ),
    ("pagination token", "a.py", "page_token = answer.next_page_token\n"),
    ("word in a dotted name", "a.py", "skew.access_token_expires_in_seconds = 3600\n"),
    (
        "allowed on the line",
        "a.py",
        "KEY = 'AIza"
        + "Sy"
        + made(33, URL_SAFE, "allowed")
        + "'  # pragma: allowlist "
        + "secret\n",
    ),
)


def text_of(content: bytes) -> str:
    """The text in ``content``, which may be UTF-16."""
    if content[:2] == b"\xff\xfe":
        return content.decode("utf-16")
    return content.decode("utf-16-le" if content[1:2] == b"\0" else "utf-8")
