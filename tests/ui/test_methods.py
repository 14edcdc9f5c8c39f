"""The Method box and the Learn panel in a real browser: choose, turn, calibrate, learn, keep."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from caching.formats.native import load_schedule_file
from caching.schedule import Schedule
from tests.ui.test_app import RUN_MS, app, choose, rows, without_auto_run

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser
__all__ = ["app"]  # a fixture

GRID = "document.querySelector('#grid .cb-grid').cbGrid"


def digits(schedule: Schedule) -> list[str]:
    """What the painter shows of a schedule of one brush."""
    cells = schedule.actions.transpose(1, 2, 0).reshape(-1, schedule.steps)
    return ["".join(map(str, row)) for row in cells]


def shown(page: Any, file: Schedule) -> list[str]:
    """The rows of a file in the numbers of the painter's brushes, for files of one brush."""
    number = next(d for row in rows(page) for d in row if d != "0")
    return ["".join("0" if d == "0" else number for d in row) for row in digits(file)]


def painted(page: Any, expected: list[str]) -> None:
    """Wait for these rows."""
    page.wait_for_function(f"p => {GRID}.rows().join() === p.join()", arg=expected)


def other_than(page: Any, before: list[str]) -> list[str]:
    """Wait for other rows; gives them once all strokes have been answered."""
    page.wait_for_function(f"p => {GRID}.rows().join() !== p.join()", arg=before)
    page.wait_for_function(f"{GRID}.state().pending === 0")
    return rows(page)


def chosen(page: Any, name: str) -> None:
    """Wait until the box speaks of a method."""
    expect(page.locator(f'.cb-about[data-method="{name}"]')).to_be_visible()


def set_number(page: Any, elem_id: str, value: str) -> None:
    """Type into the number beside a slider, and leave it."""
    # Without Enter, which would tell it twice: the second time may come after what is done next.
    field = page.locator(f"#{elem_id} input[type=number]")
    field.fill(value)
    field.blur()


def set_steps(page: Any, steps: int) -> None:
    set_number(page, "steps", str(steps))
    page.wait_for_function(f"{GRID}.rows()[0].length === {steps}")


def saved(page: Any, path: Path) -> Schedule:
    with page.expect_download() as waiting:
        page.locator("#save").click()
    waiting.value.save_as(path)
    return load_schedule_file(path)


def undo(page: Any) -> None:
    page.locator('#grid [data-row="0"][data-step="3"]').focus()
    page.keyboard.press("Control+z")


def test_methods_paint_are_found_by_typing_and_overflow_nothing(
    app: Callable[..., Any], tmp_path: Path
) -> None:
    page = app(color_scheme="light")
    without_auto_run(page)
    _a_method_paints_its_controls_repaint_and_undo_takes_it_back(page)
    _methods_are_found_by_typing_and_their_brushes_never_get_mixed_up(page, tmp_path)
    _nothing_overflows_with_a_method_and_the_panel_open(page)


def _a_method_paints_its_controls_repaint_and_undo_takes_it_back(page: Any) -> None:
    before = rows(page)
    choose(page, "method", "● FORA")
    painted(page, digits(Schedule.every(20, 12, 2)))
    chosen(page, "fora")
    about = page.locator("#method-about").inner_text()
    assert "As published." in about and "arXiv 2407.01425" in about
    expect(page.locator("#control-0")).to_contain_text("N")
    expect(page.locator("#control-2")).not_to_be_visible()
    slider = page.locator("#control-0 input[type=range]")
    slider.focus()
    page.keyboard.press("ArrowRight")
    painted(page, digits(Schedule.every(20, 12, 3)))
    choose(page, "choice-1", "start")
    painted(page, digits(Schedule.every(20, 12, 3, align="start")))
    # All moves of one method are one step of undo.
    undo(page)
    painted(page, before)


def _methods_are_found_by_typing_and_their_brushes_never_get_mixed_up(
    page: Any, tmp_path: Path
) -> None:
    for round_ in range(2):
        for words, name, brush in (
            ("taylorseer", "taylorseer", "taylor"),
            ("smoothc", "smoothcache", "reuse"),
            ("hicache", "hicache", "hermite"),
        ):
            box = page.locator("#method input")
            box.click()
            box.fill("")
            box.press_sequentially(words)  # the list narrows with every key
            expect(page.get_by_role("option")).to_have_count(1)
            page.keyboard.press("Enter")
            chosen(page, name)
            file = saved(page, tmp_path / f"{name}{round_}.json")
            used = {file.legend[k - 1].name for k in set(file.actions.flat) if k}
            assert used == {brush}
            # The painter may still be waiting for the brushes of these rows.
            page.wait_for_function(
                f"""brush => {{
                  const labels = {GRID}.legend('cells');
                  const used = new Set({GRID}.rows().join('').replaceAll('0', ''));
                  return used.size === 1 && labels[[...used][0]].toLowerCase().includes(brush);
                }}""",
                arg=brush,
            )
            assert rows(page) == shown(page, file)


def test_a_calibration_paints_and_can_be_stopped(app: Callable[..., Any]) -> None:
    page = app()
    without_auto_run(page)
    _a_method_is_calibrated_then_paints_and_its_slider_repaints(page)
    _a_calibration_can_be_stopped_and_asked_for_again(page)


def _a_method_is_calibrated_then_paints_and_its_slider_repaints(page: Any) -> None:
    set_steps(page, 7)  # which no other test calibrates for
    before = rows(page)
    choose(page, "method", CALIBRATED[0])
    chosen(page, CALIBRATED[1])
    expect(page.locator("#method-about .cb-needs")).to_contain_text("press Calibrate")
    assert rows(page) == before
    page.locator("#calibrate").click()
    expect(page.get_by_test_id("notice")).to_contain_text("Calibrated", timeout=RUN_MS)
    expect(page.locator("#calibrate")).not_to_be_visible()
    expect(page.locator("#method-about .cb-needs")).to_have_count(0)
    first = other_than(page, before)
    page.locator("#control-0 input[type=range]").focus()
    page.keyboard.press(CALIBRATED[2])
    other_than(page, first)
    undo(page)
    painted(page, before)


CALIBRATED = ("● InvarDiff", "invardiff", "End")


def _a_calibration_can_be_stopped_and_asked_for_again(page: Any) -> None:
    set_steps(page, 100)  # long enough to be stopped on any machine
    choose(page, "method", "◐ TeaCache")
    page.locator("#calibrate").click()
    expect(page.get_by_test_id("notice")).to_contain_text("Calibrating TeaCache")
    page.locator("#stop").click()
    expect(page.get_by_test_id("notice")).to_contain_text("Stopped")
    expect(page.locator("#calibrate")).to_be_visible()


def open_learn(page: Any) -> None:
    """Choose an untrained method and follow it into the panel."""
    set_steps(page, 5)
    choose(page, "method", "◐ Learning-to-Cache (L2C)")
    chosen(page, "l2c")
    page.locator("#to-learn").click()
    expect(page.locator("#learn")).to_be_visible()
    # Every scale that the painter shows from now on.
    page.evaluate(
        """() => {
          window.scales = new Set();
          const scale = document.querySelector('[data-testid="grid-scale"]');
          new MutationObserver(() => window.scales.add(scale.innerText))
            .observe(scale, {subtree: true, childList: true, characterData: true});
        }"""
    )


def test_a_router_is_learned_while_the_grid_shows_it_kept_stopped_and_then_painted(
    app: Callable[..., Any], tmp_path: Path
) -> None:
    page = app()
    without_auto_run(page)
    open_learn(page)
    before = rows(page)
    _stop_keeps_nothing_and_keep_ends_a_training_that_would_go_on(page)
    _a_router_is_learned_while_the_grid_shows_it_and_then_painted(page, before, tmp_path)


def _stop_keeps_nothing_and_keep_ends_a_training_that_would_go_on(page: Any) -> None:
    set_number(page, "iterations", "5000")
    page.locator("#learn").click()
    expect(page.locator("#learning polyline")).to_be_visible(timeout=RUN_MS)
    expect(page.get_by_test_id("notice")).to_contain_text("left")
    page.locator("#stop-learning").click()
    expect(page.get_by_test_id("notice")).to_contain_text("is gone", timeout=RUN_MS)
    expect(page.locator("#to-learn")).to_be_visible()
    page.locator("#learn").click()
    expect(page.get_by_test_id("notice")).to_contain_text("of 5000", timeout=RUN_MS)
    page.locator("#keep").click()
    expect(page.locator('#learning [data-done="true"]')).to_be_visible(timeout=RUN_MS)
    expect(page.get_by_test_id("notice")).to_contain_text("learned for 5 steps")
    expect(page.locator("#to-learn")).not_to_be_visible()
    expect(page.locator("#keep")).to_be_disabled()


def _a_router_is_learned_while_the_grid_shows_it_and_then_painted(
    page: Any, before: list[str], tmp_path: Path
) -> None:
    page.evaluate("window.scales.clear()")  # of the trainings before
    set_number(page, "iterations", "4")
    page.locator("#learn").click()
    about = page.locator("#method-about")
    expect(about).to_contain_text(re.compile(r"\b4 iterations"), timeout=RUN_MS)
    expect(page.locator('#learning [data-done="true"]')).to_be_visible(timeout=RUN_MS)
    expect(page.get_by_test_id("notice")).to_contain_text("learned for 5 steps")
    assert any("probability to compute" in words for words in page.evaluate("[...window.scales]"))
    # Afterwards the painter shows what it showed before, in the colours of the schedule.
    page.wait_for_function(f"{GRID}.state().view === 'plan'")
    set_number(page, "control-0", "0.99")  # θ: everything the router may reuse
    page.wait_for_function(f"{GRID}.rows().every(r => r === '00101')")
    file = saved(page, tmp_path / "learned.json")
    assert file.actions[[2, 4]].all() and not file.actions[[0, 1, 3]].any()
    undo(page)
    painted(page, before)


def _nothing_overflows_with_a_method_and_the_panel_open(page: Any) -> None:
    choose(page, "method", "● TaylorSeer")
    chosen(page, "taylorseer")
    page.locator("#learn-box").get_by_text("Learn a router").click()
    expect(page.locator("#learn")).to_be_visible()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        for width, height in ((1440, 900), (390, 844)):
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_function("width => innerWidth === width", arg=width)
            # The painter lays itself out anew, a moment later.
            page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
            for part in ("#method-box", "#learn-box"):
                wide = page.evaluate(
                    f"(e => e.scrollWidth - e.clientWidth)(document.querySelector('{part}'))"
                )
                assert wide <= 0, (part, theme, width)
