"""``python -m pytest_deploygate.config`` writes what is made from the declarations of the settings."""

from pathlib import Path

from pytest_deploygate.config import json_schema, reference_page


def main() -> None:
    """Write the schema and the reference page of this repository."""
    here = Path(__file__)
    here.with_name("schema.json").write_text(json_schema.schema_text(), encoding="utf-8")
    page = here.parents[2] / "docs" / "reference" / "settings.md"
    page.parent.mkdir(exist_ok=True)
    page.write_text(reference_page.page(), encoding="utf-8")


if __name__ == "__main__":
    main()
