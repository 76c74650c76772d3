"""Pages in a real browser: what people see, in both schemes and on a phone, and whether everybody can read it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_deploygate.core.redaction import Redactor
from pytest_deploygate.report.history_page import history_page
from pytest_deploygate.report.rendering import render_history, render_rollout
from pytest_deploygate.report.rollout_page import rollout_page
from tests.report.recorded_rollouts import POLICY, journal, promotion, rollback

playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
    # playwright leaves its event loop to the end of the process
    pytest.mark.filterwarnings("default::ResourceWarning"),
]
PROMOTIONS = tuple(promotion(number, 1 + number / 10) for number in range(5, 0, -1))
PAGES = {
    "rollout": lambda: render_rollout(
        rollout_page(rollback(), policy=POLICY, journal=journal(), promotions=PROMOTIONS),
        Redactor(),
    ),
    "history": lambda: render_history(
        history_page("production", (rollback(), *PROMOTIONS)), Redactor()
    ),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield chromium
        chromium.close()


def opened(browser: Any, text: str, folder: Path, **options: object) -> Any:
    """The page, opened from a file as by whoever got it by mail; whatever it asks for fails the test."""
    file = folder / "report.html"
    file.write_text(text, encoding="utf-8")
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.asked = []
    page.dialogs = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("dialog", lambda dialog: (page.dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(file.as_uri())
    return page


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_everybody_can_read_it(
    browser: Any, tmp_path: Path, name: str, scheme: str, width: int
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened(
        browser,
        PAGES[name](),
        tmp_path,
        color_scheme=scheme,
        viewport={"width": width, "height": 800},
    )
    page.screenshot(path=str(tmp_path / f"{name}-{scheme}-{width}.png"), full_page=True)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_hostile_texts_do_nothing_and_nothing_is_fetched(browser: Any, tmp_path: Path) -> None:
    page = opened(browser, PAGES["rollout"](), tmp_path)
    assert page.evaluate("document.scripts.length") == 0
    assert page.dialogs == []
    assert [url for url in page.asked if not url.startswith("file:")] == []
    assert page.locator("h1").inner_text() == "ROLLED_BACK"
    assert page.get_by_text("AssertionError").is_visible()


def test_five_thousand_checks_open_in_two_seconds(browser: Any, tmp_path: Path) -> None:
    record = rollback(checks=5000)
    text = render_rollout(rollout_page(record, policy=POLICY, journal=journal()), Redactor())
    page = opened(browser, text, tmp_path)
    took_ms = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    assert page.locator("li").count() == 5001
    assert took_ms < 2000


def test_all_checks_are_printed(browser: Any, tmp_path: Path) -> None:
    page = opened(browser, PAGES["rollout"](), tmp_path)
    page.emulate_media(media="print")
    page.pdf(path=str(tmp_path / "report.pdf"))
    assert page.get_by_text("gates/accuracy/t.py::test_document[0]").is_visible()


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_off_on_paper(browser: Any, tmp_path: Path, name: str) -> None:
    long = f"nobody approved it; the plan is {'2bf950a94fcd' * 5}, {'less is asked, ' * 20}"
    record = rollback(reason=long, digest="3ec486245858" * 5)
    pages = {
        "rollout": render_rollout(
            rollout_page(record, policy=POLICY, journal=journal(), promotions=PROMOTIONS)
        ),
        "history": render_history(history_page("production", (record, *PROMOTIONS))),
    }
    page = opened(browser, pages[name], tmp_path, viewport={"width": 718, "height": 1000})
    page.emulate_media(media="print")
    hidden = page.eval_on_selector_all(
        ".scroll", "all => all.filter(e => e.scrollWidth > e.clientWidth).map(e => e.ariaLabel)"
    )
    assert hidden == []
