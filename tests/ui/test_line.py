"""The painter's line in a browser: a stroke is answered on it, and nothing is lost without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.ui.test_app import app, cell_centre, rows, run, set_steps, without_auto_run

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser
__all__ = ["app"]  # the fixture

LINE = "**/gradio_api/cachebrush/line"
GRID = "document.querySelector('#grid .cb-grid')"
SETTLED = f"{GRID}.cbGrid.state().pending === 0"


def test_strokes_and_methods_come_on_the_line_and_a_run_takes_along_what_it_has_not_delivered(
    app: Callable[..., Any],
) -> None:
    page = app()
    without_auto_run(page)
    _a_stroke_is_answered_on_the_line_and_the_page_follows(page)
    _a_picked_method_is_painted_by_the_line_and_the_boxes_follow(page)
    set_steps(page, 8)  # it is not about the runs
    _a_run_takes_along_what_the_line_has_not_delivered(page, "mute", 5)
    _a_run_takes_along_what_the_line_has_not_delivered(page, "late", 6)


def _a_stroke_is_answered_on_the_line_and_the_page_follows(page: Any) -> None:
    with page.expect_response(LINE) as answer:
        page.mouse.click(*cell_centre(page, 0, 10))
    assert len(answer.value.body()) < 8000
    page.wait_for_function(SETTLED)
    expect(page.get_by_test_id("verdict")).to_contain_text("press Run")  # came with the event
    # Scripts are files, and so are the first pictures.
    script = page.evaluate("performance.getEntriesByType('resource').map(one => one.name)")
    assert any(one.endswith("/painter.js") for one in script)
    assert any(one.endswith("/full-src.webp") for one in script)


def _a_picked_method_is_painted_by_the_line_and_the_boxes_follow(page: Any) -> None:
    for label, brush in (("TaylorSeer", "Taylor"), ("FORA", "Reuse")):  # the first is new here
        page.locator("#method input").click()
        with page.expect_response(LINE) as answer:
            page.get_by_role("option", name=f"● {label}", exact=True).click()
        told = answer.value.json()["rows"]
        page.wait_for_function(f"told => {GRID}.cbGrid.rows().join() === told", arg=",".join(told))
        assert any(brush in one for one in page.evaluate(f"{GRID}.cbGrid.legend('cells')"))
        expect(page.locator("#method-about")).to_contain_text(label)  # came with the event
        assert rows(page) == told


def _a_run_takes_along_what_the_line_has_not_delivered(page: Any, broken: str, step: int) -> None:
    waiting: list[Any] = []
    if broken == "late":
        page.route(LINE, lambda route: waiting.append(route))  # the answer never comes
    else:
        page.route(LINE, lambda route: route.fulfill(json=None))
    before = rows(page)
    page.mouse.click(*cell_centre(page, 0, step))
    painted = rows(page)
    assert painted != before, broken
    if broken == "late":
        page.wait_for_function(f"{GRID}.dataset.offered === '1'")
    else:
        page.wait_for_function(SETTLED)
    run(page)
    executed = page.evaluate(f"{GRID}.cbGrid.executed()")
    assert executed == painted == rows(page), broken
    page.unroute(LINE)
