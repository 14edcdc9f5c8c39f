"""The whole app in a real browser: open, paint, run, repaint, undo, save, reopen, refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.browser

READY_MS = 120_000
RUN_MS = 120_000
COMPARED = "document.querySelector('#compare .cb-compare')?.cbCompare?.state()?.rev"


@pytest.fixture
def app(app_address: str, open_page: Callable[..., Any]) -> Callable[..., Any]:
    """Open the app; every page is a new visit."""

    def open_(*, ready: bool = True, view: str = "studio", **options: object) -> Any:
        page = open_page(f"{app_address}#{view}", **options)
        page.wait_for_selector('.cb-grid [role="gridcell"]')
        if ready:
            notice(page, "ready", READY_MS)
        return page

    return open_


def notice(page: Any, kind: str, timeout_ms: int = 45_000) -> str:
    """Wait for a notice of a kind and return its words."""
    line = page.locator(f'[data-testid="notice"][data-kind="{kind}"]')
    expect(line).to_be_visible(timeout=timeout_ms)
    return str(line.inner_text())


def rows(page: Any) -> list[str]:
    """What the painter shows."""
    found: list[str] = page.evaluate("document.querySelector('#grid .cb-grid').cbGrid.rows()")
    return found


def readouts(page: Any) -> dict[str, str]:
    names = ("work", "speedup", "drift", "cells")
    return {n: page.get_by_test_id(f"readout-{n}").inner_text() for n in names}


# Pointers are moved to places measured before, so nothing may be on its way elsewhere.
AT_REST = """() => new Promise(done => {
  const at = () => JSON.stringify(document.querySelector('#grid .cb-rows').getBoundingClientRect());
  const look = before => requestAnimationFrame(() => at() === before ? done() : look(at()));
  look(at());
})"""


def cell_centre(page: Any, row: int, step: int) -> tuple[float, float]:
    page.evaluate(AT_REST)
    box = page.locator(f'#grid [data-row="{row}"][data-step="{step}"]').bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def choose(page: Any, elem_id: str, option: str) -> None:
    page.locator(f"#{elem_id} input").click()
    page.get_by_role("option", name=option, exact=True).click()


def run(page: Any, button: str = "#run") -> None:
    """Run what is painted and wait for its result, which is told by another comparison.

    Nobody waits for the words of a run in progress: of a short one they may be gone already.
    """
    before = page.evaluate(COMPARED)
    page.locator(button).click()
    page.wait_for_function(f"was => {COMPARED} !== was", arg=before, timeout=RUN_MS)
    expect(page.get_by_test_id("notice")).to_contain_text("Done", timeout=RUN_MS)


def without_auto_run(page: Any) -> None:
    page.locator("#auto input").uncheck()


def test_first_screen_is_a_recorded_comparison(app: Callable[..., Any]) -> None:
    page = app(ready=False, figures=True)
    numbers = page.get_by_test_id("numbers")
    assert numbers.get_attribute("data-source") == "recorded"
    assert "recorded on" in page.get_by_test_id("source").inner_text()
    for name in ("full", "cached", "fewer"):
        assert page.get_by_test_id(f"{name}-time").inner_text()[0].isdigit()
    assert "dB" in page.get_by_test_id("cached-psnr").inner_text()
    page.wait_for_function("document.querySelector('#compare .cb-compare').cbCompare?.state()")
    grid = rows(page)
    assert len(grid) == 24 and {c for row in grid for c in row} == {"0", "1"}
    trace = page.locator("#curves .js-plotly-plot .scatterlayer .trace").first
    expect(trace).to_be_attached(timeout=READY_MS)  # the figure's library is fetched meanwhile


def test_paint_run_measure_method_undo_save_reopen(app: Callable[..., Any], tmp_path: Path) -> None:
    page = app()
    without_auto_run(page)
    choose(page, "method", "★ Full")
    expect(page.get_by_test_id("readout-cells")).to_contain_text("0")
    page.wait_for_function(
        "document.querySelector('#grid .cb-grid').cbGrid.rows().every(r => /^0+$/.test(r))"
    )

    # Drag over 4 rows x 15 steps with the box tool's shortcut; numbers move before release.
    before = readouts(page)
    x0, y0 = cell_centre(page, 4, 3)
    x1, y1 = cell_centre(page, 7, 17)
    page.keyboard.down("Shift")
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move((x0 + x1) / 2, (y0 + y1) / 2, steps=3)
    page.mouse.move(x1, y1, steps=3)
    during = readouts(page)
    page.mouse.up()
    page.keyboard.up("Shift")
    assert all(during[name] != before[name] for name in ("work", "speedup", "drift", "cells"))
    painted = rows(page)
    assert sum(row.count("1") for row in painted) == 60
    expect(page.get_by_test_id("verdict")).to_contain_text("press Run")

    # Previews and the executed grid stream in, then measured numbers.
    page.evaluate(
        """() => {
          window.seen = new Set();
          const stage = document.querySelector('#compare .cb-compare');
          new MutationObserver(() => {
            for (const i of stage.querySelectorAll('img')) window.seen.add(i.src.slice(-80));
          }).observe(stage, {subtree: true, attributes: true, childList: true});
          const notices = document.querySelector('#notices');
          window.kinds = new Set();
          new MutationObserver(() => {
            window.kinds.add(notices.querySelector('[data-kind]')?.dataset.kind);
          }).observe(notices, {subtree: true, attributes: true, childList: true});
        }"""
    )
    run(page)
    assert page.evaluate("window.seen.size") > 3
    assert page.evaluate("window.kinds.has('busy')")
    numbers = page.get_by_test_id("numbers")
    expect(numbers).to_have_attribute("data-source", "live")
    expect(page.get_by_test_id("source")).to_contain_text("measured on")
    assert "dB" in page.get_by_test_id("cached-psnr").inner_text()
    assert 0 < float(page.get_by_test_id("cached-ssim").inner_text()) <= 1
    executed = page.evaluate("document.querySelector('#grid .cb-grid').cbGrid.executed()")
    assert executed == painted == rows(page)

    # A method repaints; undo brings the paint back.
    choose(page, "method", "● FORA")
    page.wait_for_function(
        "p => document.querySelector('#grid .cb-grid').cbGrid.rows()[0] !== p", arg=painted[0]
    )
    # FORA's own code counts down from 19: computed where (19 - s) is even, and step 0.
    fora = "".join("0" if s == 0 or (19 - s) % 2 == 0 else "1" for s in range(20))
    assert rows(page) == [fora] * 24
    page.locator('#grid [data-row="0"][data-step="5"]').focus()
    page.keyboard.press("Control+z")
    page.wait_for_function(
        "p => JSON.stringify(document.querySelector('#grid .cb-grid').cbGrid.rows()) === p",
        arg=json.dumps(painted, separators=(",", ":")),
    )

    # Save, change, reopen.
    with page.expect_download() as waiting:
        page.locator("#save").click()
    saved = tmp_path / "schedule.json"
    waiting.value.save_as(saved)
    file = json.loads(saved.read_text())
    assert file["format"] == "cachebrush-schedule" and file["context"]["steps"] == 20
    letters = {"0": "C", "1": "R"}
    assert list(file["rows"].values()) == ["".join(letters[c] for c in r) for r in painted]
    choose(page, "method", "★ Full")
    page.wait_for_function(
        "document.querySelector('#grid .cb-grid').cbGrid.rows().every(r => /^0+$/.test(r))"
    )
    page.locator("#open").locator("xpath=..").locator("input[type=file]").set_input_files(saved)
    page.wait_for_function(
        "p => JSON.stringify(document.querySelector('#grid .cb-grid').cbGrid.rows()) === p",
        arg=json.dumps(painted, separators=(",", ":")),
    )


def test_release_runs_at_once_and_stop_keeps_the_last_result(app: Callable[..., Any]) -> None:
    page = app()
    set_steps(page, 100)  # long enough to be stopped, however busy this machine is
    page.mouse.click(*cell_centre(page, 0, 10))
    notice(page, "busy")
    page.locator("#stop").click()
    expect(page.get_by_test_id("notice")).to_contain_text("Stopped")
    assert page.get_by_test_id("numbers").get_attribute("data-source") == "recorded"
    set_steps(page, 10)
    for row in (2, 4):  # while the run of the first stroke goes on, one of both takes over
        with page.expect_request(a_run_of_strokes(page)):
            page.mouse.click(*cell_centre(page, row, 3))
    painted = rows(page)
    executed = "document.querySelector('#grid .cb-grid').cbGrid.executed().join()"
    page.wait_for_function(f"p => {executed} === p.join()", arg=painted, timeout=RUN_MS)
    expect(page.get_by_test_id("notice")).to_contain_text("Done", timeout=RUN_MS)
    assert page.get_by_test_id("numbers").get_attribute("data-source") == "live"


def a_run_of_strokes(page: Any) -> Callable[[Any], bool]:
    """Whether a request asks for a run because somebody has painted."""
    grid = page.evaluate("gradio_config.components.find(c => c.props.elem_id === 'grid').id")
    return lambda asked: "queue/join" in asked.url and asked.post_data_json["trigger_id"] == grid


def set_steps(page: Any, count: int) -> None:
    """Choose another number of steps and wait for the grid to have it."""
    field = page.locator("#steps input[type=number]")
    field.fill(str(count))
    field.blur()
    grid = "document.querySelector('#grid .cb-grid').cbGrid.rows()[0].length"
    page.wait_for_function(f"count => {grid} === count", arg=count)


def _another_step_count_carries_the_grid_over_and_undo_returns(page: Any) -> None:
    before = rows(page)
    set_steps(page, 30)
    assert all(row[0] == "0" for row in rows(page))
    page.locator('#grid [data-row="0"][data-step="5"]').focus()
    page.keyboard.press("Control+z")
    page.wait_for_function(
        "document.querySelector('#grid .cb-grid').cbGrid.rows()[0].length === 20"
    )
    assert rows(page) == before
    expect(page.locator("#steps input[type=number]")).to_have_value("20")


def _file(**changes: Any) -> dict[str, Any]:
    """A valid file of the shipped model's shape, with changes."""
    rows = {f"block {b} {r}": "CRCR" for b in range(12) for r in ("attn", "mlp")}
    file: dict[str, Any] = {
        "format": "cachebrush-schedule",
        "version": 1,
        "step_order": "execution, step 0 is the noisiest",
        "context": None,
        "branches": ["attn", "mlp"],
        "legend": {"C": "compute", "R": {"predictor": "reuse"}},
        "rows": rows,
    }
    return {**file, **changes}


BAD_FILES = {
    "wrong shape": (json.dumps(_file(rows={"block 0 attn": "CR", "block 0 mlp": "CR"})), "blocks"),
    "unknown state": (
        json.dumps(_file(rows={**_file()["rows"], "block 3 mlp": "CXCR"})),
        "block 3, mlp, step 1",
    ),
    "step 0 reused": (
        json.dumps(_file(rows={**_file()["rows"], "block 5 attn": "RRCR"})),
        "block 5, attn, step 0",
    ),
    "NaN": (json.dumps(_file(context={"steps": float("nan")})), "NaN"),
    "huge number": (json.dumps(_file(context={"steps": 10**30})), "digits"),
    "truncated": (json.dumps(_file())[:100], "JSON"),
    "not JSON": ("\x00\x01\x02", "JSON"),
}


def test_steps_are_undone_and_what_is_bad_is_refused_and_nothing_is_lost(
    app: Callable[..., Any], tmp_path: Path
) -> None:
    page = app()
    without_auto_run(page)
    _another_step_count_carries_the_grid_over_and_undo_returns(page)
    _bad_files(page, tmp_path)
    _bad_controls_and_models(page, tmp_path)
    _a_file_of_100_mb(page, tmp_path)


def _bad_files(page: Any, tmp_path: Path) -> None:
    before = rows(page)
    upload = page.locator("#open").locator("xpath=..").locator("input[type=file]")
    for name, (content, words) in BAD_FILES.items():
        path = tmp_path / f"{name}.json"
        path.write_text(content, encoding="utf-8")
        upload.set_input_files(path)
        expect(page.get_by_test_id("notice"), name).to_contain_text(words)
        assert notice(page, "error")
        assert rows(page) == before, name
        page.locator("#stop").click()
        expect(page.get_by_test_id("notice")).to_contain_text("Stopped")


def _a_file_of_100_mb(page: Any, tmp_path: Path) -> None:
    before = rows(page)
    path = tmp_path / "big.json"
    with path.open("wb") as file:
        file.truncate(100 * 2**20)
    page.locator("#open").locator("xpath=..").locator("input[type=file]").set_input_files(path)
    expect(page.get_by_text("exceed the maximum").first).to_be_visible()
    assert rows(page) == before


def _bad_controls_and_models(page: Any, tmp_path: Path) -> None:
    before = rows(page)
    seed = page.locator("#seed input")
    seed.fill("-3")
    seed.blur()
    assert "seed" in notice(page, "error")
    page.locator("#model-box").get_by_text("Another model").click()
    model = page.locator("#model input, #model textarea").first
    for given, words in ((str(tmp_path), "model_index.json"), ("no such thing", "not a folder")):
        model.fill(given)
        page.locator("#load").click()
        expect(page.get_by_test_id("notice")).to_contain_text(words)
        assert notice(page, "error")
    assert rows(page) == before
