"""What Safari does otherwise, played in Chromium: each case was first seen to fail in real WebKit
or is what its makers document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.ui.painter import FULL, Painter
from tests.ui.test_app import app
from tests.ui.test_links import link_of

pytestmark = pytest.mark.browser
__all__ = ["app"]  # a fixture


def test_the_menu_of_the_right_button_stays_away_while_it_erases(painter: Painter) -> None:
    painter.drag((2, 3), (2, 8))
    painter.settle()
    painter.drag((2, 3), (2, 8), button="right", release=False)
    # WebKit sends it to the node that holds the pointer, which lies around the table.
    prevented = painter.page.evaluate(
        """() => !document.querySelector('#grid .cb-scroll').dispatchEvent(
             new MouseEvent('contextmenu', {bubbles: true, cancelable: true}))"""
    )
    painter.page.mouse.up(button="right")
    assert prevented
    assert painter.settle() == FULL


def test_a_stroke_whose_end_nobody_told_ends_with_the_next_move(painter: Painter) -> None:
    painter.drag((2, 3), (2, 8), release=False)
    assert painter.js("g.state().stroke")
    x, y = painter.at(9, 9)
    painter.page.evaluate(
        """([x, y]) => document.querySelector('#grid .cb-scroll').dispatchEvent(
             new PointerEvent('pointermove', {bubbles: true, pointerId: 1, pointerType: 'mouse',
               isPrimary: true, buttons: 0, clientX: x, clientY: y}))""",
        [x, y],
    )
    assert not painter.js("g.state().stroke")
    painter.page.mouse.up()
    assert painter.settle() == [*FULL[:2], "000" + "1" * 6 + "0" * 11, *FULL[3:]]


def test_keys_reach_the_painter_after_a_click_that_gave_no_focus(painter: Painter) -> None:
    page = painter.page
    page.evaluate(
        """() => addEventListener('mousedown', event => event.preventDefault(),
             {capture: true, once: true})"""
    )
    page.click("#grid .cb-tools [data-id=box]")
    painter.press("Shift+S")
    assert painter.js("g.state().tool") == "select"
    painter.press("Shift+P")


def test_the_click_itself_promises_the_link_to_the_clipboard(app: Callable[..., Any]) -> None:
    page = app(ready=False)
    page.evaluate(
        """() => {
          Object.defineProperty(navigator, 'vendor', {get: () => 'Apple Computer, Inc.'});
          const board = {write: ([item]) => { window.promised = item; return Promise.resolve(); }};
          Object.defineProperty(navigator, 'clipboard', {get: () => board});
        }"""
    )
    address = link_of(page)
    copied = page.evaluate("async () => (await promised.getType('text/plain')).text()")
    assert copied == address
