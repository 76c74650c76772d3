"""Every URL in a message leads to an existing page and section."""

import re
import tomllib
from pathlib import Path

import pytest

from pytest_deploygate.core.documentation import BASE_URL, page_url, stranded_advice

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


def test_advice_on_a_stranded_rollout_names_the_command_and_the_page() -> None:
    advice = stranded_advice("production")
    assert "deploygate status production" in advice
    assert any(url in advice for url in URLS)


PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(p for p in (ROOT / "docs").rglob("*.md") if p.parent.name != "changelog.d"),
]
PLACES = ("docs", "pytest_deploygate", "suites", "tests", "benchmarks", "fixtures", "test_invoices")
NAMED = re.compile(rf"\b(?:{'|'.join(PLACES)})/[\w./-]*\.(?:md|py|toml|json)\b")


@pytest.mark.parametrize("page", PAGES[:3], ids=lambda page: page.name)
def test_links_of_pages_outside_of_the_site_lead_somewhere(page: Path) -> None:
    """The build of the site checks its own."""
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = NAMED.findall(page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_pages_that_code_names_exist() -> None:
    files = [f for place in PLACES for f in (ROOT / place).rglob("*.py")]
    named = {
        (str(file.relative_to(ROOT)), name)
        for file in files
        if file.name != "test_message_style.py"  # its sample of a bad message
        for name in re.findall(r"\bdocs/[\w./-]+\.md\b", file.read_text(encoding="utf-8"))
    }
    assert len(named) > 10
    assert [one for one in sorted(named) if not (ROOT / one[1]).exists()] == []


def test_project_urls_name_the_same_site() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["urls"]["Documentation"] == BASE_URL
