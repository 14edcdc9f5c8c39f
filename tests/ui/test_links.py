"""Links in a real browser: what one page copies, another one opens, and a bad one is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.ui.test_app import app, choose, rows, without_auto_run
from tests.ui.test_methods import chosen, other_than, set_number, set_steps

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser
__all__ = ["app"]  # a fixture

GRID = "document.querySelector('#grid .cb-grid').cbGrid"


def link_of(page: Any) -> str:
    """Press Link; the address that the page then has."""
    before = page.evaluate("location.hash")
    page.locator("#copy-link").click()
    page.wait_for_function("before => location.hash !== before", arg=before)
    return str(page.evaluate("location.href"))


def test_a_painted_grid_and_a_method_by_name_open_elsewhere(
    app: Callable[..., Any], open_page: Callable[..., Any]
) -> None:
    page = app()
    without_auto_run(page)
    _a_method_travels_by_name(page, open_page)
    set_number(page, "seed", "77")
    set_steps(page, 9)
    page.locator('#grid [data-row="5"][data-step="4"]').click()
    page.wait_for_function(f"{GRID}.state().pending === 0")
    painted = rows(page)
    address = link_of(page)
    assert len(address.split("#")[1]) < 400
    other = open_page(address)
    other.wait_for_function(
        "p => document.querySelector('#grid .cb-grid')?.cbGrid?.rows().join() === p.join()",
        arg=painted,
    )
    expect(other.locator("#seed input")).to_have_value("77")
    expect(other.locator("#steps input[type=number]")).to_have_value("9")
    # The painter goes on from there.
    other.locator('#grid [data-row="5"][data-step="4"]').click(button="right")
    other.wait_for_function(f"{GRID}.state().pending === 0 && {GRID}.rows()[5][4] === '0'")


def _a_method_travels_by_name(page: Any, open_page: Callable[..., Any]) -> None:
    before = rows(page)
    choose(page, "method", "● FORA")
    chosen(page, "fora")
    first = other_than(page, before)
    set_number(page, "control-0", "5")
    painted = other_than(page, first)
    address = link_of(page)
    assert len(address.split("#")[1]) < 150
    other = open_page(address)
    chosen(other, "fora")
    other.wait_for_function(
        "p => document.querySelector('#grid .cb-grid').cbGrid.rows().join() === p.join()",
        arg=painted,
    )
    expect(other.locator("#control-0 input[type=number]")).to_have_value("5")


def test_a_bad_link_is_refused_and_the_page_works(
    app_address: str, open_page: Callable[..., Any]
) -> None:
    page = open_page(f"{app_address}#1zthis-is-no-link")
    expect(page.locator('[data-testid="notice"][data-kind="error"]')).to_contain_text(
        "link was not opened"
    )
    page.wait_for_function(f"document.querySelector('#grid .cb-grid') && {GRID}.rows().length > 0")
    assert len(rows(page)) == 24
