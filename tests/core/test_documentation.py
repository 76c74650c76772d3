"""Every URL in a message leads to an existing page and section."""

import re
import tomllib
from pathlib import Path

import pytest

from pytest_deploygate.core.documentation import BASE_URL, page_url

ROOT = Path(__file__).parents[2]
SOURCES = [f.read_text(encoding="utf-8") for f in (ROOT / "pytest_deploygate").rglob("*.py")]
URLS = sorted(
    {page_url(page) for text in SOURCES for page in re.findall(r"page_url\([\"']([^\"']+)", text)}
    | {url for text in SOURCES for url in re.findall(rf"{BASE_URL}[\w/.#-]+", text)}
)


def test_messages_name_pages() -> None:
    assert len(URLS) > 3


@pytest.mark.parametrize("url", URLS)
def test_url_leads_to_a_page_and_a_section(url: str) -> None:
    path, _, anchor = url.removeprefix(BASE_URL).partition("#")
    text = (ROOT / "docs" / path).with_suffix(".md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}
    assert not anchor or anchor in anchors


def test_project_urls_name_the_same_site() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["urls"]["Documentation"] == BASE_URL
