"""Another model in a real browser: loaded, searched, run, refused; and two visitors at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.caching.tiny import save_pipeline
from tests.ui.test_app import run, set_steps

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser

RUN_MS = 120_000
GRID = "document.querySelector('#grid .cb-grid').cbGrid"


@pytest.fixture
def app(app_address: str, open_page: Callable[..., Any]) -> Callable[[], Any]:
    """A page of its own, with the shipped model ready and no runs but those asked for."""

    def open_() -> Any:
        page = open_page(f"{app_address}#studio")
        page.wait_for_selector('.cb-grid [role="gridcell"]')
        expect(kind(page, "ready")).to_be_visible(timeout=RUN_MS)
        page.locator("#auto input").uncheck()
        return page

    return open_


def kind(page: Any, name: str) -> Any:
    """The notice, when it is of this kind."""
    return page.locator(f'[data-testid="notice"][data-kind="{name}"]')


def rows(page: Any) -> list[str]:
    found: list[str] = page.evaluate(GRID + ".rows()")
    return found


def load(page: Any, name: str) -> None:
    field = page.locator("#model input, #model textarea").first
    if not field.is_visible():
        page.locator("#model-box").get_by_text("Another model").click()
    field.fill(name)
    page.locator("#load").click()


def paint_a_cell(page: Any, row: int, step: int) -> None:
    page.locator(f'#grid [data-row="{row}"][data-step="{step}"]').click()
    page.wait_for_function(GRID + ".state().pending === 0")


def test_a_folder_loads_and_runs_and_what_is_no_dit_is_refused(
    app: Callable[[], Any], tmp_path: Path
) -> None:
    folder, empty = tmp_path / "tiny-dit", tmp_path / "no-dit"
    save_pipeline(folder, blocks=3)
    empty.mkdir()
    page = app()
    assert len(rows(page)) == 24

    load(page, str(folder))
    expect(kind(page, "ready")).to_contain_text("3 blocks", timeout=RUN_MS)
    page.wait_for_function(GRID + ".rows().length === 6")
    assert rows(page) == ["0" * 20] * 6
    # Nothing on the page claims to be about this model before it has run.
    expect(page.get_by_test_id("verdict")).to_contain_text("Measured with scenes-dit")
    expect(page.locator("#compare")).to_contain_text("of scenes-dit")
    expect(page.locator(".cb-centre .cb-figure-words")).to_contain_text("nothing measured yet")

    # A thousand classes, found by a part of the name.
    label = page.locator("#label input")
    label.click()
    label.fill("")
    label.press_sequentially("g 731")
    page.get_by_role("option", name="thing 731", exact=True).click()
    expect(label).to_have_value("thing 731")

    paint_a_cell(page, 2, 7)
    paint_a_cell(page, 5, 3)
    painted = rows(page)
    assert sum(row.count("1") for row in painted) == 2
    run(page)
    assert page.evaluate(GRID + ".executed()") == painted == rows(page)
    expect(page.get_by_test_id("numbers")).to_have_attribute("data-source", "live")
    expect(page.locator("#compare")).to_contain_text("thing 731")
    expect(page.locator(".cb-centre .cb-figure-words")).to_contain_text("changes most at")
    held = page.get_by_test_id("verdict").inner_text()

    load(page, str(empty))
    expect(kind(page, "error")).to_contain_text("model_index.json is missing")
    assert rows(page) == painted and page.get_by_test_id("verdict").inner_text() == held
    paint_a_cell(page, 0, 9)
    run(page)
    assert page.evaluate(GRID + ".executed()") == rows(page) != painted

    load(page, "scenes-dit")
    expect(kind(page, "ready")).to_contain_text("12 blocks", timeout=RUN_MS)
    page.wait_for_function(GRID + ".rows().length === 24")
    expect(label).to_have_value("ball")


def test_two_visitors_do_not_see_each_others_edits_nor_wait_for_one_who_left(
    app: Callable[[], Any],
) -> None:
    mine, yours = app(), app()
    _edits_are_not_seen(mine, yours)
    _a_page_closed_during_its_run_holds_nobody_up(mine, yours)


def _edits_are_not_seen(mine: Any, yours: Any) -> None:
    before = rows(yours)
    row, step = next(
        (r, s) for r, line in enumerate(before) for s, c in enumerate(line) if s and c == "0"
    )
    paint_a_cell(mine, row, step)
    seed = mine.locator("#seed input")
    seed.fill("99")
    seed.blur()
    expect(mine.get_by_test_id("verdict")).to_contain_text("press Run")
    assert rows(mine) != before == rows(yours)
    # The server knows too: what the other visitor paints comes back without the first one's cell.
    other = next(s for s, c in enumerate(before[row]) if s and s != step and c == "0")
    paint_a_cell(yours, row, other)
    expected = list(before)
    expected[row] = before[row][:other] + "1" + before[row][other + 1 :]
    assert rows(yours) == expected
    expect(yours.locator("#seed input")).to_have_value("7")


def _a_page_closed_during_its_run_holds_nobody_up(leaving: Any, staying: Any) -> None:
    # The one that leaves has a run that outlasts the other's click, however busy this machine is.
    for page, count in ((leaving, 100), (staying, 5)):
        set_steps(page, count)
        page.locator("#run").click()
        if page is leaving:
            expect(kind(page, "busy")).to_be_visible()
    leaving.close()
    expect(staying.get_by_test_id("notice")).to_contain_text("Done", timeout=RUN_MS)
    assert staying.evaluate(GRID + ".executed()") == rows(staying)
