"""The reference in a real browser: its search finds, a link shows the section, and nothing is asked for from elsewhere."""

import re
import shutil

import pytest

from cosai_nb.cli import docs

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("pdoc", reason="the extra [docs] is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    docs.build(folder)
    return folder


@pytest.fixture
def page(browser):
    """Return a page that must neither fail nor ask for anything but files."""
    page = browser.new_page()
    asked, failed = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    yield page
    page.close()
    assert asked
    assert all(url.startswith(("file:", "data:")) for url in asked)
    assert not failed


def test_what_is_typed_into_the_search_is_found_and_opens(page, folder):
    page.goto((folder / "cosai_nb" / "scale.html").as_uri())
    page.get_by_role("searchbox").press_sequentially("unfinished quantiles waiting")
    page.get_by_text(re.compile(r"^\d+ search results for")).wait_for()
    found = page.locator(".search-result a", has=page.get_by_text("cosai_nb.queue_latency", exact=True))
    found.first.click(timeout=10_000)
    page.wait_for_url("**/cosai_nb.html#queue_latency")
    assert page.locator("#queue_latency").is_visible()


def test_a_section_is_opened_by_its_address(page, folder):
    name, anchor = docs.section_of("check_slo", folder)
    page.goto((folder / name).as_uri() + anchor)
    section = page.locator("#check_slo")
    page.wait_for_function("document.querySelector('#check_slo').getBoundingClientRect().top < innerHeight")
    for heading in ("Parameters", "Returns", "Raises", "Examples"):
        assert section.get_by_role("heading", name=heading, exact=True).count() == 1
    assert section.locator("table thead").count() == 0
    assert section.locator("table tr").count() > 10
