"""``python -m pytest_deploygate.config`` generates files from the declarations of the settings (ADR 23)."""

from pathlib import Path

from pytest_deploygate.config import json_schema, reference_page

SCHEMA = Path("pytest_deploygate", "config", "schema.json")
REFERENCE = Path("docs", "reference", "settings.md")


def write_files(root: Path) -> None:
    """Write the schema and the reference page below ``root``, a checkout of this repository."""
    for path, text in ((SCHEMA, json_schema.schema_text()), (REFERENCE, reference_page.page())):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_files(Path(__file__).parents[2])
