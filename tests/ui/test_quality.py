"""Judging against the data in a real browser: watched, painted beside, stopped; a recorded case."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser

READY_MS = 120_000
GRID = "document.querySelector('#grid .cb-grid').cbGrid"


def test_a_grid_is_judged_while_one_paints_on(
    app_address: str, open_page: Callable[..., Any]
) -> None:
    page = open_page(f"{app_address}#studio")
    ready = page.locator('[data-testid="notice"][data-kind="ready"]')
    expect(ready).to_be_visible(timeout=READY_MS)
    page.locator("#auto input").uncheck()
    box = page.locator("#judge-box")
    expect(box.locator("#judge")).to_be_hidden()  # closed until asked for
    box.get_by_text("Judge against the data").click()
    expect(box).to_contain_text("closeness to the uncached picture")
    expect(box).to_contain_text("closeness to the data")
    box.locator("#judge").click()
    progress = page.locator("#judging progress")
    expect(progress).to_have_attribute("max", "64", timeout=READY_MS)
    expect(page.locator("#judging")).to_contain_text(
        re.compile(r"\d+ of 64 pictures, about .* left")
    )
    page.locator('#grid [data-row="4"][data-step="9"]').click()
    page.wait_for_function(GRID + ".state().pending === 0")
    box.locator("#stop-judging").click()
    expect(page.locator("#judging")).to_contain_text("Stopped", timeout=READY_MS)
    box.get_by_text("Recorded: PSNR falls").click()
    recorded = page.get_by_test_id("judged-recorded")
    expect(recorded).to_contain_text("Recorded on")
    expect(recorded).to_contain_text("python -m presets.judge cases")
    assert recorded.locator("table").count() == 2
