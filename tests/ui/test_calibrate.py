"""A setting nobody knew: a proxy until Calibrate is pressed, then dB that move with the paint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.caching.tiny import save_pipeline
from tests.ui.test_app import choose
from tests.ui.test_methods import set_steps
from tests.ui.test_models import app, kind, load, paint_a_cell

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser
__all__ = ["app"]  # a fixture

RUN_MS = 120_000


def test_a_new_model_is_calibrated_and_psnr_takes_the_place_of_the_proxy(
    app: Callable[[], Any], tmp_path: Path
) -> None:
    page = app()
    line = page.get_by_test_id("sure")
    expect(line).to_have_count(0)  # the shipped calibration speaks for itself
    folder = tmp_path / "tiny-dit"
    save_pipeline(folder, blocks=2)
    load(page, str(folder))
    expect(kind(page, "ready")).to_contain_text("tiny-dit", timeout=RUN_MS)
    expect(line).to_have_attribute("data-state", "open")
    # Nothing is left of the run of the model before: its marks, or words about them.
    expect(page.locator("#grid [data-ran]")).to_have_count(0)
    expect(page.get_by_test_id("grid-message")).not_to_contain_text("Run finished")
    set_steps(page, 5)
    front = page.get_by_test_id("front-from")
    expect(front).to_contain_text("nothing predicts PSNR at 5 steps")
    choose(page, "method", "★ Budget")
    about = page.locator("#method-about")
    expect(about).to_contain_text("how old each output gets, a proxy")
    choose(page, "method", "★ Full")
    paint_a_cell(page, 1, 2)
    psnr = page.get_by_test_id("readout-psnr")
    expect(psnr).not_to_contain_text("dB")
    expect(line).to_contain_text("Cells not computed")
    expect(page.locator("#stop-calibrating")).to_be_hidden()
    page.locator("#calibrate-psnr").click()
    expect(kind(page, "error")).to_have_count(0)
    expect(line).to_have_attribute("data-state", "done", timeout=RUN_MS)
    expect(line).to_contain_text("dB (median, schedules left out in turn) from 24 schedules")
    expect(page.locator("#calibrate-psnr")).to_be_hidden()
    expect(psnr).to_contain_text(" dB")
    before = psnr.inner_text()
    for step in (1, 3, 4):  # worth another number, on release and while the pointer moves
        paint_a_cell(page, 0, step)
    expect(psnr).not_to_have_text(before)
    psnr.hover()
    expect(page.get_by_text("Learned from 24 schedules on 12 pictures").last).to_be_visible()
    # The slider and its front go by the same calibration, without another click.
    expect(front).to_contain_text("learned from 24 schedules on 12 pictures")
    expect(page.locator('#pareto-table tr[data-series="front"]').first).to_be_attached()
    choose(page, "method", "★ Budget")
    expect(about).to_contain_text("Chosen by the calibration of this setting: 24 schedules")
