"""The painter's line in a browser: a stroke is answered on it, and nothing is lost without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.ui.test_app import RUN_MS, app, cell_centre, notice, rows, without_auto_run

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser
__all__ = ["app"]  # the fixture

LINE = "**/gradio_api/component_server/"
GRID = "document.querySelector('#grid .cb-grid')"
SETTLED = f"{GRID}.cbGrid.state().pending === 0"


def test_a_stroke_is_answered_on_the_line_and_the_page_follows(app: Callable[..., Any]) -> None:
    page = app()
    without_auto_run(page)
    with page.expect_response(LINE) as answer:
        page.mouse.click(*cell_centre(page, 0, 10))
    assert len(answer.value.body()) < 8000
    page.wait_for_function(SETTLED)
    expect(page.get_by_test_id("verdict")).to_contain_text("press Run")  # came with the event
    # Scripts are files, and so are the first pictures.
    script = page.evaluate("performance.getEntriesByType('resource').map(one => one.name)")
    assert any(one.endswith("/painter.js") for one in script)
    assert any(one.endswith("/full-src.webp") for one in script)


@pytest.mark.parametrize("broken", ["late", "mute"])
def test_a_run_takes_along_what_the_line_has_not_delivered(
    app: Callable[..., Any], broken: str
) -> None:
    page = app()
    without_auto_run(page)
    waiting: list[Any] = []
    if broken == "late":
        page.route(LINE, lambda route: waiting.append(route))  # the answer never comes
    else:
        page.route(LINE, lambda route: route.fulfill(json=None))
    page.mouse.click(*cell_centre(page, 0, 10))
    painted = rows(page)
    if broken == "late":
        page.wait_for_function(f"{GRID}.dataset.offered === '1'")
    else:
        page.wait_for_function(SETTLED)
    page.locator("#run").click()
    notice(page, "ready", RUN_MS)
    expect(page.get_by_test_id("notice")).to_contain_text("Done", timeout=RUN_MS)
    executed = page.evaluate(f"{GRID}.cbGrid.executed()")
    assert executed == painted == rows(page)
