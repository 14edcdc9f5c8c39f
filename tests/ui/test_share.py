"""Sharing in a real browser: pictures dropped, a report opened offline, figures, drafts kept."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from caching.formats.authors import FILES
from caching.formats.picture import recipe_of
from tests.ui.test_access import too_wide
from tests.ui.test_app import app, choose, notice, rows, without_auto_run
from tests.ui.test_methods import set_number

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser
__all__ = ["app"]  # a fixture

GRID = "document.querySelector('#grid .cb-grid').cbGrid"
DROP = """([name, base64]) => {
  const bytes = Uint8Array.from(atob(base64), c => c.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name));
  const at = document.querySelector('#grid');
  const send = kind => at.dispatchEvent(
    new DragEvent(kind, {dataTransfer, bubbles: true, cancelable: true}));
  send('dragenter');
  const shown = document.documentElement.classList.contains('cb-dropping');
  const refused = send('dragover');  // cancelled: the browser may drop here
  send('drop');
  return [shown, refused, document.documentElement.classList.contains('cb-dropping')];
}"""


@pytest.fixture
def studio(app: Callable[..., Any]) -> Callable[..., Any]:
    """Open the app where everything is on show, and let nothing run by itself."""

    def open_(**options: Any) -> Any:
        page = app(**options)
        into_studio(page)
        without_auto_run(page)
        return page

    return open_


def into_studio(page: Any) -> None:
    view = page.locator("#view label", has_text="Studio")
    if view.count():
        view.click()


def saved(page: Any, elem_id: str, folder: Path) -> Path:
    """Press a button that saves; the file it gives."""
    with page.expect_download() as found:
        page.locator(f"#{elem_id}").click()
    path = folder / found.value.suggested_filename
    found.value.save_as(path)
    return path


def paint(page: Any, row: int, step: int) -> None:
    page.locator(f'#grid [data-row="{row}"][data-step="{step}"]').click()
    page.wait_for_function(f"{GRID}.state().pending === 0")
    # The rest of its answer has come, too: it would take away the words of what comes next.
    page.wait_for_function("!window.cachebrushGrids.grid.value.late")


def test_pictures_reports_and_figures_are_saved_and_pictures_dropped(
    studio: Callable[..., Any], browser: Any, tmp_path: Path
) -> None:
    page = studio(color_scheme="light")
    for width, height, theme in ((1440, 900, "light"), (390, 844, "dark")):
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=theme)
        _a_saved_picture_dropped_on_the_page_restores_it(page, tmp_path)
        assert too_wide(page) <= 0, theme
    page.set_viewport_size({"width": 1440, "height": 900})
    _the_report_opens_offline(page, browser, tmp_path)
    _figures_are_saved_and_an_authors_file_shows_its_licence_first(page, tmp_path)


def _a_saved_picture_dropped_on_the_page_restores_it(page: Any, tmp_path: Path) -> None:
    picture = saved(page, "save-picture", tmp_path)
    data = picture.read_bytes()
    recipe = recipe_of(data)
    assert picture.name == "cachebrush.png" and recipe["request"]["seed"] == 7
    shown = page.get_by_test_id("cached-psnr").inner_text()
    assert shown == f"{recipe['measured']['psnr_db']:.1f} dB"
    before = rows(page)

    set_number(page, "seed", "5")
    page.wait_for_selector("#numbers .cb-stale")  # taken, so that it cannot come after the picture
    paint(page, 3, 6)
    assert rows(page) != before
    assert page.evaluate(DROP, [picture.name, base64.b64encode(data).decode()]) == [
        True, False, False,
    ]  # fmt: skip
    page.wait_for_function(f"p => {GRID}.rows().join() === p.join()", arg=before)
    expect(page.locator("#seed input")).to_have_value("7")
    expect(page.get_by_test_id("notice")).to_contain_text("The settings of the picture")


def _the_report_opens_offline(page: Any, browser: Any, tmp_path: Path) -> None:
    report = saved(page, "report", tmp_path)
    numbers = {
        name: page.get_by_test_id(f"cached-{name}").inner_text() for name in ("psnr", "speedup")
    }
    context = browser.new_context(offline=True, viewport={"width": 390, "height": 844})
    try:
        other = context.new_page()
        wanted: list[str] = []
        complaints: list[str] = []
        other.on("request", lambda request: wanted.append(request.url))
        other.on("console", lambda message: complaints.append(message.text))
        other.on("pageerror", lambda error: complaints.append(str(error)))
        other.goto(report.as_uri())
        for name, words in numbers.items():
            expect(other.get_by_test_id(f"cached-{name}")).to_have_text(words)
        expect(other.get_by_test_id("command")).to_contain_text("python -m caching compare")
        pictures = other.locator("figure img")
        assert pictures.count() == 4
        sizes = pictures.evaluate_all("all => all.map(i => i.naturalWidth)")
        assert sizes == [128] * 4
        # Colours of the page reach the figures, whose own are only names of them.
        cell = other.locator("main svg use").first
        assert cell.evaluate("u => u.getBoundingClientRect().width") > 5
        fill = "getComputedStyle(document.querySelector('main svg defs rect')).fill"
        assert other.evaluate(fill).startswith("rgb")
        assert other.evaluate("document.documentElement.scrollWidth") == 390
        assert [url for url in wanted if not url.startswith("data:")] == [report.as_uri()]
        assert complaints == []
    finally:
        context.close()


def _figures_are_saved_and_an_authors_file_shows_its_licence_first(
    page: Any, tmp_path: Path
) -> None:
    page.locator("#download-box button").first.click()
    drawn = saved(page, "download", tmp_path)
    root = ElementTree.fromstring(drawn.read_text(encoding="utf-8"))
    uses = list(root.iter("{http://www.w3.org/2000/svg}use"))
    assert drawn.name == "grid.svg" and len(uses) == 2 * 20 * 24
    choose(page, "what", "Grid, PNG")
    pixels = saved(page, "download", tmp_path).read_bytes()
    assert pixels.startswith(b"\x89PNG") and int.from_bytes(pixels[16:20], "big") == round(
        2 * float(root.attrib["width"])
    )
    choose(page, "what", "Numbers, CSV")
    lines = saved(page, "download", tmp_path).read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("run,title,steps,work") and len(lines) == 4

    page.locator("#authors-box button").first.click()
    facts = page.locator("#author-facts")
    expect(facts).to_contain_text("keep all rights")
    file = FILES["smoothcache-50-N-2-l2c"]
    choose(page, "author-file", file.title)
    for words in ("Apache-2.0", file.address, file.sha256, "9,080 bytes", "load its model first"):
        expect(facts).to_contain_text(words)
    # For another shape: refused before anything is fetched, and the page would complain.
    page.locator("#author-fetch").click()
    expect(page.locator('[data-testid="notice"][data-kind="error"]')).to_contain_text("28 blocks")


def test_a_page_goes_on_after_a_reload_and_a_draft_is_offered_to_one_begun_afresh(
    studio: Callable[..., Any],
) -> None:
    page = studio()
    offer, afresh = page.locator("#restore-draft"), page.locator("#afresh")
    expect(offer).to_be_hidden()
    first = rows(page)
    kept = "localStorage.getItem('cachebrush-draft:scenes-dit')"
    set_number(page, "seed", "31")
    page.wait_for_function(f"{kept} !== null")
    seed_alone = json.loads(page.evaluate(kept))["link"]
    expect(afresh).to_be_hidden()
    paint(page, 5, 4)
    painted = rows(page)
    page.wait_for_function(f"before => JSON.parse({kept}).link !== before", arg=seed_alone)

    page.reload()
    shown = "document.querySelector('#grid .cb-grid')?.cbGrid?.rows().join()"
    page.wait_for_function(f"p => {shown} === p.join()", arg=painted)
    expect(page.locator("#seed input")).to_have_value("31")
    expect(offer).to_be_hidden()
    notice(page, "ready")  # a page that is left while it hears from the server complains

    afresh.click()
    page.wait_for_function(f"p => {shown} === p.join()", arg=first)
    expect(afresh).to_be_hidden()
    expect(offer).to_be_visible()
    expect(offer).to_have_text(re.compile(r"^Restore your draft of \d\d:\d\d$"))
    notice(page, "ready")
    offer.click()
    page.wait_for_function(f"p => {GRID}.rows().join() === p.join()", arg=painted)
    expect(page.locator("#seed input")).to_have_value("31")
    expect(offer).to_be_hidden()

    # A link takes the place of the offer; junk in the storage is no draft.
    link = json.loads(page.evaluate(kept))["link"]
    address = page.url.split("#")[0]
    page.goto("about:blank")
    page.goto(f"{address}#{link}")
    page.wait_for_function(f"p => {shown} === p.join()", arg=painted)
    expect(offer).to_be_hidden()
    notice(page, "ready")
    page.evaluate("localStorage.setItem('cachebrush-draft:scenes-dit', '{\"link\": 3}')")
    page.evaluate("sessionStorage.removeItem('cachebrush-visit')")
    page.evaluate("""localStorage.setItem('cachebrush-visit', '{"page": "{}", "after": ""}')""")
    page.goto("about:blank")
    page.goto(address)
    expect(page.get_by_test_id("notice")).to_contain_text("what this browser remembers")
    expect(offer).to_be_hidden()
    page.wait_for_function(f"p => {shown} === p.join()", arg=first)
