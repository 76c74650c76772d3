"""The JSON schema of ``[tool.deploygate]``, for editors; ``config/schema.json`` is its text."""

import json

from pytest_deploygate.config.document import DOCUMENT


def schema_text() -> str:
    """Text of the schema file."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "[tool.deploygate] of pyproject.toml",
        **DOCUMENT.schema(),
    }
    return json.dumps(schema, indent=2) + "\n"
