"""The brushes in a real Chromium: add, paint, change, recolour, remove, be refused, undo."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.ui.painter import FULL, Painter

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser


def test_a_brush_is_added_with_parameters_painted_and_undone(painter: Painter) -> None:
    painter.add_brush("taylor", order=3)
    assert painter.legend() == ["Compute", "Reuse", "Taylor (3)"]
    assert "Added Taylor (3)" in painter.message()
    assert painter.js("g.state().brush") == 2  # the new brush is the one in hand
    painter.drag((4, 2), (4, 6))
    assert painter.settle()[4] == "00" + "2" * 5 + "0" * 13
    cell = painter.page.locator(".cb-cell[data-row='4'][data-step='3']")
    assert "cb-look-forecast" in cell.get_attribute("class")
    assert cell.get_attribute("data-l") == "T"  # not by colour alone
    expect(cell).to_have_attribute("aria-label", re.compile(r"taylor \(3\), age 2$"))
    painter.press("Control+z")
    assert painter.settle() == FULL and painter.legend()[2] == "Taylor (3)"
    painter.press("Control+z")
    painter.page.wait_for_selector(".cb-brushes [data-id='2']", state="detached")
    assert painter.legend() == ["Compute", "Reuse"]
    painter.press("Control+y", "Control+y")
    painter.page.wait_for_selector(".cb-cell.cb-look-forecast")
    assert painter.settle()[4] == "00" + "2" * 5 + "0" * 13


def test_every_known_brush_can_be_added_through_its_form(painter: Painter) -> None:
    form = painter.open_form()
    known = form.locator("[data-field=brush] option").evaluate_all("all => all.map(o => o.value)")
    assert {"taylor", "hermite", "tokens", "clusters", "lowrank", "skip"} <= set(known)
    groups = form.locator("optgroup").evaluate_all("all => all.map(g => g.label)")
    assert "Leave out" in groups and len(groups) == len(set(groups)) >= 5
    painter.press("Escape")
    for name in known:
        if name != "reuse":
            painter.add_brush(name)
    assert len(painter.legend()) == 1 + len(known)
    letters = painter.page.locator(".cb-brushes:not(.cb-step-brushes) kbd").all_inner_texts()
    assert len(set(letters)) == len(letters) == 1 + len(known)  # a key for each
    form = painter.open_form("steps")
    actions = form.locator("[data-field=brush] option").evaluate_all("all => all.map(o => o.value)")
    painter.press("Escape")
    for name in actions:
        painter.add_brush(name, "steps")
    assert len(painter.legend("steps")) == 1 + len(actions)


def test_other_parameters_take_the_painted_cells_along(painter: Painter) -> None:
    painter.add_brush("hermite", order=2, sigma=0.5)
    painter.drag((0, 3), (0, 8))
    before = painter.settle()
    form = painter.open_form(edit=True)
    assert form.locator("[data-field=order]").input_value() == "2"
    painter.fill(form, sigma=1.25)
    painter.press("Enter")
    form.wait_for(state="detached")
    assert painter.legend() == ["Compute", "Reuse", "Hermite (2, 1.25)"]
    assert painter.settle() == before
    painter.press("Control+z")
    painter.page.wait_for_function(
        "document.querySelector('.cb-legend').innerText.includes('0.5)')"
    )
    assert painter.settle() == before


def test_what_the_server_refuses_is_said_in_the_form_and_nothing_is_lost(painter: Painter) -> None:
    form = painter.open_form()
    painter.fill(form, brush="taylor", order=9)
    form.get_by_role("button", name="Add").click()
    error = form.get_by_role("alert")
    expect(error).to_contain_text("order is 9: expected a whole number from 0 to 6")
    assert painter.legend() == ["Compute", "Reuse"]
    painter.fill(form, order="")
    form.get_by_role("button", name="Add").click()
    expect(error).to_have_text("Give a number for order.")
    painter.fill(form, order=1.5)
    painter.press("Enter")
    expect(error).to_contain_text("order is 1.5")
    painter.fill(form, order=1)
    painter.press("Enter")
    form.wait_for(state="detached")
    form = painter.open_form()
    painter.fill(form, brush="taylor", order=1)
    painter.press("Enter")
    expect(form.get_by_role("alert")).to_contain_text("in the legend already")


def test_a_brush_in_use_is_not_removed_and_an_unused_one_is(painter: Painter) -> None:
    painter.add_brush("taylor", order=1)
    painter.add_brush("skip")
    painter.drag((2, 4), (2, 6))
    painter.settle()
    form = painter.open_form(edit=True)
    form.get_by_role("button", name="Remove").click()
    expect(form.get_by_role("alert")).to_contain_text("Skip is painted on 3 cells: paint something")
    painter.press("Escape")
    painter.choose(2)  # Taylor, which nothing is painted with
    form = painter.open_form(edit=True)
    form.get_by_role("button", name="Remove").click()
    form.wait_for(state="detached")
    assert painter.legend() == ["Compute", "Reuse", "Skip"]
    assert painter.settle()[2] == "0000222" + "0" * 13  # the same cells under their new number
    assert painter.page.locator(".cb-cell.cb-look-skip").count() == 3
    painter.press("Control+z")
    painter.page.wait_for_selector(".cb-brushes [data-id='3']")
    assert painter.settle()[2] == "0000333" + "0" * 13


def test_a_colour_is_chosen_by_name_and_undone(painter: Painter) -> None:
    painter.add_brush("taylor", order=1)
    painter.drag((0, 3), (0, 3))
    painter.settle()
    cell = painter.page.locator(".cb-cell[data-row='0'][data-step='3']")
    first = cell.evaluate("node => getComputedStyle(node).backgroundColor")
    form = painter.open_form(edit=True)
    names = form.get_by_role("radio").evaluate_all("all => all.map(r => r.textContent)")
    assert names == ["amber", "orange", "yellow", "green", "teal", "violet", "lilac", "brick"]
    form.get_by_role("radio", name="violet").click()
    expect(cell).to_have_class("cb-cell cb-look-forecast cb-hue cb-hue-5")
    assert cell.evaluate("node => getComputedStyle(node).backgroundColor") != first
    expect(form.get_by_role("radio", name="violet")).to_have_attribute("aria-checked", "true")
    painter.press("Escape", "Control+z")
    expect(cell).to_have_class("cb-cell cb-look-forecast cb-hue cb-hue-0")
    assert painter.settle()[0][3] == "2"  # the paint was not touched


def test_the_form_is_a_dialog_for_the_keyboard(painter: Painter) -> None:
    page = painter.page
    page.focus(".cb-add")
    painter.press("Enter")
    form = page.get_by_role("dialog", name="New brush for cells")
    expect(form).to_be_visible()
    expect(page.locator(".cb-add[data-target=cells]")).to_have_attribute("aria-expanded", "true")
    focused = "document.activeElement.dataset.field"
    assert page.evaluate(focused) == "brush"
    form.locator("[data-field=brush]").select_option("tokens")
    seen = []
    for _ in range(5):
        painter.press("Tab")
        seen.append(page.evaluate(f"{focused} || document.activeElement.textContent"))
    assert seen == ["fraction", "score", "interval", "Add", "Cancel"]
    form.locator("[data-field=fraction]").focus()
    painter.press("Control+a", "1")  # a digit is for the field here, not a brush
    assert form.locator("[data-field=fraction]").input_value() == "1"
    assert painter.js("g.state().brush") == 1
    painter.press("Escape")
    expect(form).to_have_count(0)
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Add a brush"
    painter.open_form()
    page.mouse.click(*painter.at(20, 10))
    expect(form).to_have_count(0)


def test_digits_and_letters_choose_brushes(painter: Painter) -> None:
    painter.add_brush("taylor")
    painter.add_brush("skip")
    painter.page.focus(".cb-table [tabindex='0']")
    for key, brush in (
        ("1", 1),
        ("3", 3),
        ("t", 2),
        ("C", 0),
        ("z", 3),
        ("r", 1),
        ("f", 2),
        ("9", 2),
    ):
        painter.press(key)
        assert painter.js("g.state().brush") == brush, key
    painter.press("Space")
    assert painter.rows()[0][1] == "2"
    assert painter.settle() == painter.rows()


def test_a_stroke_on_its_way_keeps_its_brush_when_the_legend_changes(painter: Painter) -> None:
    """The server is slow: the removal of brush 2 and a stroke with brush 3 reach it together."""
    painter.add_brush("taylor")
    painter.add_brush("skip")
    painter.hold()
    painter.drag((20, 2), (20, 3))  # keeps the server busy while the next two wait
    painter.choose(2)
    form = painter.open_form(edit=True)
    form.get_by_role("button", name="Remove").click()
    painter.choose(3)
    painter.drag((1, 2), (1, 5))
    assert painter.js("g.state().pending") == 3
    painter.answer()
    painter.page.wait_for_selector(".cb-brushes [data-id='3']", state="detached")
    painter.drag((3, 2), (3, 5))
    rows = painter.settle()
    assert rows[1] == rows[3] == "002222" + "0" * 14
    assert painter.legend()[2] == "Skip" and painter.js("g.state().brush") == 2


@pytest.mark.parametrize("dark", [False, True])
def test_the_form_fits_a_phone(
    serve: Callable[..., str], open_page: Callable[..., Any], dark: bool
) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    address = serve("tests.ui.grid_demo") + ("?__theme=dark" if dark else "")
    painter = Painter(open_page(address, **phone))
    painter.page.tap(".cb-add")
    form = painter.page.get_by_test_id("brush-form")
    painter.fill(form, brush="clusters")
    box = form.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    form.get_by_role("button", name="Add").tap()
    form.wait_for(state="detached")
    painter.add_brush("residual", "steps")
    assert painter.page.evaluate("document.documentElement.scrollWidth") <= 390
    chosen = painter.page.locator(".cb-brushes:not(.cb-step-brushes) [aria-checked=true]")
    box, area = chosen.bounding_box(), painter.page.locator(".cb-legend").first.bounding_box()
    assert box["x"] >= area["x"] and box["x"] + box["width"] <= area["x"] + area["width"]
