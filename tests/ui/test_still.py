"""The grid stays where it is: whatever notices come and go, and under a stroke in any case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.ui.painter import Painter, count
from tests.ui.test_app import app, cell_centre, choose, notice, without_auto_run

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser
__all__ = ["app"]  # the fixture

# Of the grid on the page, however far that is scrolled: left, top, width, height.
PLACE = """() => {
  const {x, y, width, height} = document.querySelector('#grid .cb-rows').getBoundingClientRect();
  return [x + scrollX, y + scrollY, width, height].map(Math.round);
}"""
FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
LONG = "() => document.querySelector('#notices .cb-notice span').textContent = 'words '.repeat(90)"


def test_no_notice_moves_the_grid(app: Callable[..., Any]) -> None:
    page = app()
    without_auto_run(page)
    for size in ({"width": 1440, "height": 900}, {"width": 1000, "height": 800},
                 {"width": 390, "height": 844}):  # fmt: skip
        page.set_viewport_size(size)
        cell_centre(page, 0, 1)  # laid out for this width
        before = page.evaluate(PLACE)
        choose(page, "method", "★ Full")
        expect(page.get_by_test_id("notice")).to_have_count(0)  # the boxes have come
        page.evaluate(FRAMES)
        assert page.evaluate(PLACE) == before, size
        choose(page, "method", "● FORA")
        expect(page.locator("#method-about")).to_contain_text("FORA")
        page.locator("#stop").click()
        assert "Stopped" in notice(page, "info")
        page.evaluate(FRAMES)
        assert page.evaluate(PLACE) == before, size
        page.evaluate(LONG)
        page.evaluate(FRAMES)
        assert page.evaluate(PLACE) == before, size


def test_what_moves_the_page_meanwhile_does_not_move_a_stroke(painter: Painter) -> None:
    page, at = painter.page, "document.querySelector('#grid .cb-rows').getBoundingClientRect().y"
    blank = count(painter.rows(), "1")
    begun, ended = painter.at(4, 3), painter.at(7, 9)
    page.keyboard.down("Shift")
    page.mouse.move(*begun)
    page.mouse.down()
    page.mouse.move(*painter.at(5, 5))
    seen = page.evaluate(at)
    page.evaluate(
        """() => {
          const words = document.createElement('div');
          words.style.height = '46px';
          document.querySelector('#grid').before(words);
        }"""
    )
    page.evaluate(FRAMES)
    assert page.evaluate(at) == pytest.approx(seen, abs=0.5)
    page.mouse.move(*ended)
    before = painter.rows()
    assert before[4][3:10] == before[7][3:10] == "1" * 7 and count(before, "1") == blank + 4 * 7
    page.mouse.up()
    page.keyboard.up("Shift")
    assert painter.settle() == before
    assert page.evaluate("document.querySelector('#grid .cb-grid').style.translate") == ""


def test_a_stroke_ends_where_the_pointer_is_let_go(painter: Painter) -> None:
    page = painter.page
    pointer = page.context.new_cdp_session(page)
    (x0, y0), (x1, y1) = painter.at(4, 3), painter.at(4, 9)
    for kind, x, y in (("Pressed", x0, y0), ("Released", x1, y1)):  # with no move between
        pointer.send(
            "Input.dispatchMouseEvent",
            {"type": f"mouse{kind}", "x": x, "y": y, "button": "left", "clickCount": 1},
        )
    assert painter.rows()[4][3:10] == "1" * 7
    assert painter.settle()[4][3:10] == "1" * 7
