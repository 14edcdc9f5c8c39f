"""Watching in a real Chromium: runs, layers, other shapes, predictions, phones, hostile callers."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from caching.predict.proxy import predict
from caching.schedule import Schedule
from tests.ui import grid_demo
from tests.ui.painter import BLOCKS, FULL, STEPS, Painter, count
from viz.grid import rows_from_actions

pytestmark = pytest.mark.browser


def test_streaming_keeps_the_page_and_marks_what_ran(painter: Painter) -> None:
    page = painter.page
    page.click("#preset")
    page.wait_for_function("document.querySelector('#saw textarea').value.includes('0110')")
    page.evaluate("window.kept = document.querySelector('.cb-cell[data-row=\"5\"]')")
    page.click("#run")
    page.wait_for_selector(".cb-step[data-run=now]")
    assert page.is_visible(".cb-playhead")
    painter.drag((0, 3), (0, 6))  # painting goes on while the run streams
    page.wait_for_function("document.querySelectorAll('[data-ran=done]').length >= 470")
    page.wait_for_function("document.querySelectorAll('.cb-step[data-run=past]').length === 20")
    assert page.evaluate("window.kept === document.querySelector('.cb-cell[data-row=\"5\"]')")
    assert painter.js("g.state().builds") == 1
    assert not page.is_visible(".cb-playhead")
    marks = page.evaluate("document.querySelectorAll('[data-ran]').length")
    assert marks < 480  # cells painted differently since then carry none
    assert page.get_attribute(".cb-cell[data-row='0'][data-step='3']", "data-ran") is None


def test_cells_that_ran_otherwise_look_otherwise(painter: Painter) -> None:
    page = painter.page
    page.click("#preset")
    page.wait_for_function("document.querySelector('#saw textarea').value.includes('0110')")
    page.click("#spoil")
    page.wait_for_function("document.querySelectorAll('.cb-cell[data-ran]').length === 480")
    differ = page.eval_on_selector_all(
        ".cb-cell[data-ran=differ]", "all => all.map(n => [+n.dataset.row, +n.dataset.step])"
    )
    assert differ == [[6, 5], [15, 5]]
    look = page.evaluate(
        """() => ['differ', 'done'].map(kind => {
          const n = document.querySelector(`.cb-look-reuse[data-ran=${kind}]`);
          return [getComputedStyle(n).boxShadow, getComputedStyle(n, '::after').content];
        })"""
    )
    assert look[0][1] == '"≠"' and look[1][1] != '"≠"' and look[0][0] != look[1][0]
    page.mouse.move(*painter.at(6, 5))
    assert "requested reuse, executed compute" in page.inner_text(".cb-tip")
    assert "2 cells did not run as painted" in painter.message()
    painter.drag((6, 5), (6, 5))
    assert page.get_attribute(".cb-cell[data-row='6'][data-step='5']", "data-ran") is None


def test_layer_views_recolour_the_same_cells(painter: Painter) -> None:
    colour = "getComputedStyle(document.querySelector(\"[data-row='3'][data-step='4']\"))"
    plan = painter.page.evaluate(f"{colour}.backgroundColor")
    painter.page.click("[data-id=layer]")
    assert painter.page.evaluate(f"{colour}.backgroundColor") != plan
    assert "change since previous step" in painter.page.inner_text("[data-testid=grid-scale]")
    painter.page.mouse.move(*painter.at(3, 4))
    assert "change since previous step (rel. L1): 0." in painter.page.inner_text(".cb-tip")
    painter.page.click("[data-id=plan]")
    assert painter.page.evaluate(f"{colour}.backgroundColor") == plan


def test_another_shape_and_another_legend_at_run_time(painter: Painter) -> None:
    page = painter.page
    page.evaluate("window.kept = document.querySelector('#grid .cb-grid')")
    page.click("#big")
    page.wait_for_function("document.querySelectorAll('.cb-cell').length === 2800")
    painter.drag((55, 1), (55, 49))
    assert painter.rows()[55] == "0" + "1" * 49
    assert painter.settle() == painter.rows()
    page.click("#small")
    page.wait_for_function("document.querySelectorAll('.cb-cell').length === 48")
    painter.drag((5, 1), (5, 7))
    assert painter.settle() == painter.rows() == ["0" * 8] * 5 + ["0" + "1" * 7]
    page.click("#brushes")
    page.wait_for_selector(".cb-brushes [data-id='2']")
    page.keyboard.press("Tab")
    page.click(".cb-brushes [data-id='2']")
    painter.drag((1, 2), (1, 5))
    assert painter.settle()[1] == "002222" + "0" * 14
    assert page.locator(".cb-look-forecast.cb-cell").count() == 4
    assert page.evaluate("window.kept === document.querySelector('#grid .cb-grid')")


def test_a_second_mount_keeps_everything(painter: Painter) -> None:
    page = painter.page
    painter.drag((2, 1), (2, 19))
    painted = painter.settle()
    page.click("#hide")
    page.wait_for_selector("#grid .cb-cell", state="detached")
    page.click("#show")
    page.wait_for_selector("#grid .cb-cell")
    assert painter.rows() == painted
    assert "mlp" in page.inner_text(".cb-label-cell[data-row='3']")
    painter.drag((3, 1), (3, 19))
    assert painter.settle() == painter.rows() == [*painted[:3], painted[2], *painted[4:]]
    assert page.locator(".cb-tip").count() == 1


def test_hover_speaks_and_listens(painter: Painter) -> None:
    page = painter.page
    page.evaluate(
        "window.heard = []; addEventListener('cachebrush:hover', e => heard.push(e.detail))"
    )
    page.mouse.move(*painter.at(9, 13))
    last = page.evaluate("heard.at(-1)")
    assert {k: last[k] for k in ("block", "branch", "step", "source")} == {
        "block": 4, "branch": "mlp", "step": 13, "source": "grid",
    }  # fmt: skip
    page.mouse.move(5, 5)
    assert page.evaluate("heard.at(-1).block") is None and not page.is_visible(".cb-ring")
    page.evaluate(
        "dispatchEvent(new CustomEvent('cachebrush:hover', "
        "{detail: {block: 4, branch: 'mlp', step: 13, source: 'curves'}}))"
    )
    ring = page.locator(".cb-ring").bounding_box()
    cell = page.locator(".cb-cell[data-row='9'][data-step='13']").bounding_box()
    assert abs(ring["x"] - cell["x"]) <= 2 and abs(ring["y"] - cell["y"]) <= 2
    page.click("#point")
    page.wait_for_selector(".cb-label-cell.cb-at[data-row='6']")


def test_prediction_equals_a_plain_numpy_implementation(painter: Painter) -> None:
    rng = np.random.default_rng(7)
    schedules = []
    for n in range(200):
        actions = (rng.random((STEPS, BLOCKS, 2)) < rng.random()).astype(np.uint8)
        if n % 4 == 0:  # long runs of reuse, older than the tables reach
            actions[rng.integers(1, 4) :] = 1
        actions[0] = 0
        schedules.append(actions)
    rows = [rows_from_actions(a) for a in schedules]
    found = painter.js("a.map(rows => { const p = g.predict(rows);"
                       " return [p.work, p.speedup, p.drift, p.reused]; })", rows)  # fmt: skip
    tables = grid_demo.tables_of(STEPS, BLOCKS).to_json()
    expected = [reference(actions, tables) for actions in schedules]
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    assert len({tuple(row) for row in found}) > 150


def test_prediction_equals_pythons_to_the_last_digit_for_every_brush(painter: Painter) -> None:
    rng = np.random.default_rng(8)
    schedules = []
    for n in range(150):
        cells = rng.integers(0, 1 + len(grid_demo.LEGEND), (STEPS, BLOCKS, 2))
        cells = np.where(rng.random(cells.shape) < rng.random(), cells, 0)
        steps = rng.integers(0, 1 + len(grid_demo.STEP_LEGEND), STEPS)
        steps = np.where(rng.random(STEPS) < rng.random() * 0.7, steps, 0)
        cells[0] = steps[0] = 0
        if n % 3 == 0:
            steps[0] = 1 + grid_demo.STEP_LEGEND.index(grid_demo.ScaleEps())
        schedules.append(
            Schedule(cells, grid_demo.LEGEND, step_actions=steps, step_legend=grid_demo.STEP_LEGEND)
        )
    painter.page.click("#brushes")
    painter.page.wait_for_selector(".cb-step-brushes [data-id='s5']")
    found = painter.js(
        "a.map(([rows, steps]) => { const p = g.predict(rows, steps);"
        " return [p.work, p.speedup, p.drift]; })",
        [
            [rows_from_actions(s.actions), "".join(map(str, s.step_actions.tolist()))]
            for s in schedules
        ],
    )
    tables = grid_demo.tables_of(STEPS, BLOCKS, grid_demo.LEGEND)
    predictions = [predict(s, tables) for s in schedules]
    assert found == [[p.work, p.speedup, p.drift] for p in predictions]
    assert len({tuple(row) for row in found}) > 140


def reference(actions: np.ndarray, tables: dict[str, Any]) -> list[float]:
    """The contract's formula, cell by cell, from the tables as they travel."""
    steps, blocks, branches = actions.shape
    k = tables["change"]["k"]
    raw = np.frombuffer(base64.b64decode(tables["change"]["data"]), dtype="<f2")
    change = raw.astype(np.float64).reshape(steps, blocks, branches, k)
    compute_ms = np.array(tables["compute_ms"]).reshape(blocks, branches)
    reuse_ms = np.array(tables["reuse_ms"]).reshape(blocks, branches)
    macs = np.array(tables["compute_macs"]).reshape(blocks, branches)
    done = actions == 0
    work = (steps * tables["fixed_macs"] + (done * macs).sum()) / (
        steps * (tables["fixed_macs"] + macs.sum())
    )
    ms = steps * tables["fixed_ms"] + np.where(done, compute_ms, reuse_ms).sum()
    full = steps * (tables["fixed_ms"] + compute_ms.sum())
    drift, age = 0.0, np.zeros((blocks, branches), dtype=int)
    for s in range(steps):
        age = np.where(done[s], 0, age + 1)
        for b, r in np.argwhere(age > 0):
            a = age[b, r]
            drift += change[s, b, r, min(a, k) - 1] * max(1, a / k)
    return [work, full / ms, drift / actions.size, int((~done).sum())]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_nothing_overflows(
    serve: Callable[..., str], open_page: Callable[..., Any], width: int, height: int, dark: bool
) -> None:
    address = serve("tests.ui.grid_demo") + ("?__theme=dark" if dark else "")
    painter = Painter(open_page(address, viewport={"width": width, "height": height}))
    painter.page.click("#big")
    painter.page.wait_for_function("document.querySelectorAll('.cb-cell').length === 2800")
    for zoom in ("fit", "150"):
        painter.page.click(f".cb-zooms [data-id='{zoom}']")
        assert painter.page.evaluate("document.documentElement.scrollWidth") <= width
    hidden = painter.js(
        "g.cell(0, 49).getBoundingClientRect().right > "
        "document.querySelector('.cb-scroll').getBoundingClientRect().right"
    )
    assert hidden  # at 150 % the grid scrolls inside


def test_fingers_pan_first_and_paint_on_request(
    serve: Callable[..., str], open_page: Callable[..., Any]
) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    painter = Painter(open_page(serve("tests.ui.grid_demo"), **phone))
    page = painter.page
    client = page.context.new_cdp_session(page)

    def swipe(points: list[tuple[float, float]]) -> None:
        for n, (x, y) in enumerate(points):
            kind = "touchMove" if n else "touchStart"
            client.send(
                "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]}
            )
            page.wait_for_timeout(16)
        client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.wait_for_timeout(100)

    assert painter.js("g.state().tool") == "pan" and "Choose Paint" in painter.message()
    page.evaluate("document.querySelector('.cb-scroll').scrollIntoView()")
    (x0, y0), (x1, _) = painter.at(4, 2), painter.at(4, 12)
    swipe([(x0 + (x1 - x0) * t / 6, y0) for t in range(7)])
    assert painter.rows() == FULL
    page.tap(".cb-tools [data-id=paint]")
    page.evaluate("document.querySelector('.cb-scroll').scrollIntoView()")
    scrolled = page.evaluate("scrollY")
    (x0, y0), (x1, y1) = painter.at(4, 2), painter.at(12, 6)
    swipe([(x0 + (x1 - x0) * t / 4, y0 + (y1 - y0) * t / 4) for t in range(5)])
    rows = painter.rows()
    assert all("1" in row for row in rows[4:13]) and count(rows, "1") >= 9
    assert page.evaluate("scrollY") == scrolled
    assert painter.settle() == rows


def test_hostile_messages_are_refused_by_the_server(painter: Painter) -> None:
    request, address = painter.page.request, painter.page.url.split("?")[0]
    config = request.get(address + "config").json()
    grid = next(c for c in config["components"] if c["props"].get("elem_id") == "grid")
    event = next(d for d in config["dependencies"] if [grid["id"], "input"] in d["targets"])

    def send(ops: Any) -> int:
        data = {"data": [{"ops": ops}, None, 0, 0], "fn_index": event["id"]}
        body = {**data, "session_hash": "hostile"}
        return request.post(address + "gradio_api/run/predict", data=body).status

    assert send([{"rev": 1, "op": "paint", "to": 1, "cells": [1, 3]}]) == 200
    assert send([{"rev": 2, "op": "paint", "to": 1, "cells": [-5, 3]}]) == 500
    assert send("everything") == 500


def test_the_predicted_psnr_comes_with_the_answer_and_is_marked_as_old_before(
    painter: Painter,
) -> None:
    page = painter.page
    tile = page.get_by_test_id("readout-psnr")
    assert "equal" in tile.inner_text()
    painter.drag((2, 3), (2, 12), release=False)
    page.wait_for_function(
        "document.querySelector('[data-testid=readout-psnr]').classList.contains('cb-old')"
    )
    page.mouse.up()
    painter.settle()  # ten cells: 50 - 1
    page.wait_for_function(
        "document.querySelector('[data-testid=readout-psnr]').innerText.includes('49.0 dB')"
    )
    assert "46–51" in tile.inner_text() and "cb-old" not in (tile.get_attribute("class") or "")
    painter.drag((4, 3), (4, 7), release=False)
    page.wait_for_function(
        "document.querySelector('[data-testid=readout-psnr]').innerText.includes('on release')"
    )
    page.mouse.up()
    tile.hover()
    assert "Learned from nothing at all" in page.inner_text(".cb-tip")
