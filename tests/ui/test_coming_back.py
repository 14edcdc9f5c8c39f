"""A phone that reloads in the middle of a lesson: nothing is lost, jumps or ticks on."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.ui.conftest import CLOCK
from tests.ui.test_access import SIZES
from tests.ui.test_app import app, notice, rows
from tests.ui.test_lessons import GRID, at_task, columns

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser
__all__ = ["app"]  # a fixture

MOST_SHIFT = 0.1  # "good" by Google's Core Web Vitals
VISIT = "JSON.parse(sessionStorage.getItem('cachebrush-visit'))?.page"
# Before anything else of the page: what moves without anybody having touched it, and how often the
# clock of Gradio's opening screen asks for a frame.
WATCH = """
window.shift = window.clock = window.still = 0;
new PerformanceObserver(list => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
}).observe({type: "layout-shift", buffered: true});
const frame = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = draw => {
  if (String(draw).includes("performance.now()-")) window.clock++;
  return frame(draw);
};
"""
# A running clock would have counted three times since the last look.
STILL = """() => {
  window.still = window.before === window.clock ? window.still + 1 : 0;
  window.before = window.clock;
  return window.still > 4;
}"""


def test_a_phone_in_a_lesson_reloads(app: Callable[..., Any]) -> None:
    width, height = SIZES["phone"]
    page = app(view="lesson-paint", viewport={"width": width, "height": height}, locale="de-DE")
    # Gradio's own words, too, are in the page's language.
    expect(page.locator("footer")).to_contain_text("Built with Gradio")
    expect(page.locator("footer")).to_contain_text("Settings")
    expect(page.locator("#method input")).to_have_attribute("placeholder", re.compile("search"))
    page.locator("#auto input").uncheck()
    columns(page, (2, 4, 6, 10, 12, 14, 16))
    at_task(page, 1)
    painted = rows(page)
    page.wait_for_function(f"{VISIT}?.includes('\"step\":1')")
    page.add_init_script(WATCH)
    page.context.unroute(CLOCK)  # other tests have none
    page.reload()
    at_task(page, 1)
    page.wait_for_function("!document.documentElement.classList.contains('cb-opening')")
    assert rows(page) == painted
    assert page.evaluate("location.hash") == "#lesson-paint"
    expect(page.locator("#afresh")).to_be_visible()
    notice(page, "ready")
    assert page.evaluate("window.shift") < MOST_SHIFT
    assert page.evaluate("window.clock") > 0
    page.wait_for_function(STILL)

    # The keyboard's place shows on a tick box, too.
    page.keyboard.press("Tab")
    page.locator("#auto input").focus()
    style = "getComputedStyle(document.activeElement)"
    assert page.evaluate(f"{style}.outlineStyle + {style}.outlineWidth") == "solid2px"

    # Undo goes on where it was: the last of the columns.
    page.locator("#grid").get_by_role("button", name="Undo").first.click()
    page.wait_for_function(f"was => {GRID}.rows().join() !== was.join()", arg=painted)
    assert [row[16] for row in rows(page)] == ["0"] * 24
    assert [row[14] for row in rows(page)] == ["1"] * 24

    # The address follows.
    page.locator("#lesson-leave").click()
    page.wait_for_function("location.hash === '#lessons'")
