"""Every lesson to its end, a teacher's link, a lesson file.

Each lesson is looked at at both sizes and in both themes, two of the four as it opens and the other
two as it ends, and done to its end at one of the sizes: the next one at the other, so that both are
walked with every gesture.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.ui.test_access import SIZES, switch, too_wide
from tests.ui.test_app import READY_MS, RUN_MS, app, choose, rows, run
from tests.ui.test_methods import chosen, painted, set_number, set_steps
from viz.pages.lessons import shipped

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser
__all__ = ["app"]  # a fixture

GRID = "document.querySelector('#grid .cb-grid').cbGrid"
OPENING = (("phone", "dark"), ("desktop", "light"))
ENDING = (("phone", "light"), ("desktop", "dark"))


def at_task(page: Any, number: int, timeout_ms: int = RUN_MS) -> None:
    """Wait until the open lesson has come to a task, counted from 0."""
    lesson = page.locator(f'#lesson [data-step="{number}"]')
    expect(lesson).to_be_visible(timeout=timeout_ms)


def ended(page: Any, name: str) -> None:
    expect(page.locator(f'#lesson [data-lesson="{name}"][data-ended="true"]')).to_be_visible(
        timeout=RUN_MS
    )
    everywhere(page, f'#lesson [data-lesson="{name}"] .cb-ending', ENDING)


def sized(page: Any, size: str) -> None:
    """Give the page one of the sizes, and wait until all has found its place."""
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_function("width => innerWidth === width", arg=width)
    page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")


def everywhere(page: Any, selector: str, looks: tuple[tuple[str, str], ...]) -> None:
    """A part of a lesson shows at these sizes and in these themes, and nothing sticks out."""
    mine = page.viewport_size
    for size, theme in looks:
        page.emulate_media(color_scheme=theme)
        dark = "document.querySelector('body.dark, html.dark, .dark .gradio-container')"
        page.wait_for_function(f"dark => !!{dark} === dark", arg=theme == "dark")
        sized(page, size)
        expect(page.locator(selector)).to_be_visible()
        assert too_wide(page) <= 0, (selector, theme, size)
    page.set_viewport_size(mine)
    page.wait_for_function("width => innerWidth === width", arg=mine["width"])


def columns(page: Any, steps: Iterable[int], *, button: str = "left") -> None:
    """Fill whole steps by their numbers above the grid, and wait until that is answered."""
    for step in steps:
        page.locator(f'#grid [role="columnheader"][data-step="{step}"]').click(button=button)
    page.wait_for_function(f"{GRID}.state().pending === 0")


def row_head(page: Any, row: int) -> Any:
    """What a row is called, which fills it when it is clicked."""
    return page.locator(f'#grid [role="rowheader"][data-row="{row}"]')


def open_lesson(page: Any, name: str) -> None:
    """Choose a lesson in the list, and let nothing run by itself."""
    titles = {one.name: f"{k}. {one.title}" for k, one in enumerate(shipped(), 1)}
    page.locator("#lessons").get_by_text(titles[name]).click()
    everywhere(page, f'#lesson [data-lesson="{name}"]', OPENING)
    numbers = [one.name for one in shipped()]
    sized(page, "desktop" if numbers.index(name) % 2 else "phone")


def test_lessons_by_hand_to_their_ends_and_one_of_a_file(
    app: Callable[..., Any], tmp_path: Path
) -> None:
    page = app(view="lessons", color_scheme="light")
    page.locator("#auto input").uncheck()
    for name in ("neighbours", "paint", "repair"):
        open_lesson(page, name)
        if name == "neighbours":
            columns(page, (12, 13, 14))
            run(page)
            at_task(page, 1)
            columns(page, (12, 13, 14), button="right")
            columns(page, (7, 8, 9))
            run(page)
        elif name == "paint":
            columns(page, (2, 4, 6, 10, 12, 14, 16))
            at_task(page, 1)
            run(page)  # closer than as many plain steps, too
        else:
            columns(page, range(1, 7))
            run(page)
            at_task(page, 1)
            columns(page, (1, 3, 5, 6), button="right")
            columns(page, (10, 12, 14, 16))
            run(page)
        ended(page, name)
        page.locator("#lesson-leave").click()
        expect(page.locator("#lessons")).to_contain_text("✓")
    _lessons_of_steps_branches_and_routers_to_their_ends(page)
    _a_lesson_file_opens_and_a_bad_one_is_refused(page, tmp_path)


def every_third(page: Any) -> None:
    """Wait until every third step is computed, whatever stands in for the others."""
    # Counted from the end, as FORA's own code does: computed where (19 - s) % 3 == 0, and step 0.
    page.wait_for_function(
        f"() => {GRID}.rows().every(r => r.replace(/[^0]/g, '1') === '00110110110110110110')"
    )


def fora(page: Any) -> None:
    """The first task of two lessons: every third step computed."""
    choose(page, "method", "● FORA")
    chosen(page, "fora")
    # The words of a method may be there before its controls, which would take the place of ours.
    expect(page.locator("#choice-1")).to_be_visible()
    set_number(page, "control-0", "3")
    every_third(page)
    run(page)
    at_task(page, 1)


def test_lessons_by_methods_to_their_ends(app: Callable[..., Any]) -> None:
    page = app(view="lesson-forecast", color_scheme="light")
    page.locator("#auto input").uncheck()
    expect(page.locator("#learn-box")).not_to_be_visible()
    everywhere(page, '#lesson [data-lesson="forecast"]', OPENING)
    fora(page)
    choose(page, "method", "● TaylorSeer")
    chosen(page, "taylorseer")
    expect(page.locator("#control-1")).to_contain_text("order")
    set_number(page, "control-0", "3")
    every_third(page)
    run(page)
    ended(page, "forecast")
    assert page.locator(".cb-board tbody tr").count() == 2
    assert "TaylorSeer" in page.locator(".cb-board tbody tr").first.inner_text()
    # The next but one is the game, on the same picture: what ran before counts.
    page.locator("#lesson-leave").click()
    open_lesson(page, "beat-fora")
    fora(page)
    choose(page, "method", "★ Budget")
    chosen(page, "budget")
    expect(page.locator("#control-0")).to_contain_text("speed-up")
    set_number(page, "control-0", "2.5")
    expect(page.get_by_test_id("readout-work")).to_contain_text("39.")  # 1 / 2.5, or just below
    run(page)
    ended(page, "beat-fora")
    assert "Budget" in page.locator(".cb-board").inner_text()


def _lessons_of_steps_branches_and_routers_to_their_ends(page: Any) -> None:
    open_lesson(page, "one-picture")
    run(page)
    at_task(page, 1)
    set_steps(page, 5)
    run(page)
    at_task(page, 2)
    set_steps(page, 30)
    run(page)
    ended(page, "one-picture")
    page.locator("#lesson-leave").click()
    open_lesson(page, "attn-mlp")
    page.wait_for_function(f"{GRID}.rows()[0].length === 20")
    for branch in (0, 1):
        for row in range(12):  # half of the rows of a branch are 47 % of its cells
            if row % 2 == branch:
                row_head(page, row).click()
            elif branch:  # what was painted for the first task is taken back
                row_head(page, row).click(button="right")
        page.wait_for_function(f"{GRID}.state().pending === 0")
        run(page)
        at_task(page, branch + 1)
    ended(page, "attn-mlp")
    page.locator("#lesson-leave").click()
    open_lesson(page, "router")
    expect(page.locator("#learn-box")).to_be_visible()
    page.locator("#learn-box").get_by_text("Learn a router").click()
    set_number(page, "iterations", "4")
    page.locator("#learn").click()
    at_task(page, 1)
    set_number(page, "control-0", "0.99")
    page.wait_for_function(f"{GRID}.rows().join('').includes('1')")
    run(page)
    ended(page, "router")


def test_a_teachers_link_puts_away_locks_and_starts_again(
    app: Callable[..., Any], open_page: Callable[..., Any]
) -> None:
    page = app(view="lesson-repair")
    switch(page, "studio")
    page.locator("#teach-box").get_by_text("For teachers").click()
    for words in ("Methods", "The switch between views", "Measured numbers"):
        page.locator("#teach-hide").get_by_text(words, exact=True).click()
    page.locator("#teach-keep input").check()
    switch(page, "lessons")
    page.locator("#auto input").uncheck()
    columns(page, (3,))
    mine = rows(page)
    switch(page, "studio")
    address = page.url
    page.locator("#teach").click()
    made = page.locator("#class-link input")
    expect(made).to_have_value(re.compile(r"#.{20}"))
    assert page.url == address  # a reload must not put the teacher's own controls away
    expect(page.locator("#class-link a")).to_have_attribute("href", made.input_value())
    pupil = open_page(made.input_value())
    expect(pupil.locator("#again")).to_be_visible(timeout=READY_MS)
    painted(pupil, mine)
    for gone in ("#view", "#method", "#numbers", "#teach-box"):
        expect(pupil.locator(gone)).not_to_be_visible()
    expect(pupil.locator("#seed input")).to_be_disabled()
    pupil.locator("#auto input").uncheck()
    columns(pupil, (8, 9))
    pupil.locator("#again").click()
    painted(pupil, mine)


def _a_lesson_file_opens_and_a_bad_one_is_refused(page: Any, tmp_path: Path) -> None:
    page.locator("#lesson-leave").click()
    sized(page, "desktop")
    upload = page.locator("#lesson-open").locator("xpath=..").locator("input[type=file]")
    bad = tmp_path / "bad.json"
    bad.write_text('{"format": "cachebrush-lesson", "version": 1, "title": "x"}')
    upload.set_input_files(bad)
    expect(page.get_by_test_id("notice")).to_contain_text("lacks steps")
    good = tmp_path / "good.json"
    task = {"text": "Paint **anything**.", "done": {"changed": True}}
    good.write_text(
        json.dumps(
            {"format": "cachebrush-lesson", "version": 1, "title": "<i>Mine</i>", "steps": [task]}
        )
    )
    upload.set_input_files(good)
    expect(page.locator("#lesson h2")).to_have_text("<i>Mine</i>")
    # The page may still be scrolled to where a phone's user was; this scrolls to the cell.
    page.locator('#grid [data-row="0"][data-step="3"]').click()
    expect(page.locator('#lesson [data-ended="true"]')).to_be_visible()
    expect(page.locator("#cb-says")).to_contain_text("Done")
