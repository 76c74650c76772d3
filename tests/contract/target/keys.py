"""Key files of service accounts, with keys of their own."""

import json
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


def service_account(folder: Path, token_uri: str) -> Path:
    """A key file as `gcloud iam service-accounts keys create` writes it, with a new key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / "key.json"
    content = {
        "type": "service_account",
        "project_id": "p1",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "deployer@p1.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    }
    path.write_text(json.dumps(content))
    return path
