"""CompareView and the figures in a real browser, on the page of compare_demo.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("playwright")
pytest.importorskip("torch")

from playwright.sync_api import Browser, Page

from tests.ui import compare_fixtures as data
from viz import palette

STATE = "document.querySelector('.cb-compare')?.cbCompare?.state()"
PLOT = "document.querySelector('#curves .js-plotly-plot')"
READY = f"({STATE})?.ready.length === 3"
SEEN = "window.seen = []; addEventListener('cachebrush:hover', e => seen.push(e.detail))"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(serve: Callable[..., str]) -> str:
    """The demo, served by a process of its own."""
    return serve("tests.ui.compare_demo", PAUSE_S="0.05", OMP_NUM_THREADS="1")


@pytest.fixture(scope="module")
def shared(browser: Browser, address: str) -> Iterator[Page]:
    """One page for all tests; complaints and foreign requests are collected on the way."""
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.complaints = []  # type: ignore[attr-defined]
    page.foreign = []  # type: ignore[attr-defined]
    page.on(
        "console",
        lambda m: page.complaints.append(m.text) if m.type == "error" else None,  # type: ignore[attr-defined]
    )
    page.on("pageerror", lambda e: page.complaints.append(str(e)))  # type: ignore[attr-defined]
    page.on(
        "request",
        lambda r: (
            None if r.url.startswith((address, "data:", "blob:")) else page.foreign.append(r.url)
        ),  # type: ignore[attr-defined]
    )
    page.goto(address)
    page.wait_for_function(READY, timeout=60_000)
    page.evaluate(SEEN)
    yield page
    page.close()


@pytest.fixture
def page(shared: Page) -> Page:
    """The shared page, back on the recorded comparison in divider mode at the last step."""
    rev = state(shared)["rev"]
    shared.click("#recorded")
    until(shared, lambda s: s["rev"] != rev and len(s["ready"]) == 3 and s["live"] is None)
    shared.get_by_role("radio", name="Divider").click()
    for name, side in (("Full", "left"), ("Cached", "right")):
        shared.get_by_label(f"{name} on the {side}", exact=True).click()
    shared.get_by_role("slider", name="Step of the trajectory").press("End")
    until(shared, lambda s: s["step"] == s["steps"] - 1 and s["left"] == "full")
    return shared


def state(page: Page) -> dict[str, Any]:
    return page.evaluate(STATE)


def until(
    page: Page, fits: Callable[[dict[str, Any]], bool], limit_s: float = 40
) -> dict[str, Any]:
    """The component's state as soon as it `fits`."""
    end = time.monotonic() + limit_s
    while not fits(now := state(page)):
        assert time.monotonic() < end, now
        page.wait_for_timeout(20)
    return now


def drawn(page: Page) -> None:
    """Wait until what has changed is on the screen: the frame after the next one."""
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def test_divider_by_keyboard(page: Page) -> None:
    divider = page.get_by_role("slider", name="Divider between the two pictures")
    divider.press("Home")
    assert state(page)["split"] == 0
    divider.press("PageUp")
    divider.press("ArrowRight")
    divider.press("ArrowLeft")
    divider.press("ArrowRight")
    assert state(page)["split"] == 12
    assert divider.get_attribute("aria-valuenow") == "12"
    assert divider.get_attribute("aria-valuetext") == "12 % Full, the rest Cached"
    divider.press("End")
    assert state(page)["split"] == 100


def test_divider_by_drag(page: Page) -> None:
    box = page.locator(".cbc-stage").bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.5, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.25, middle, steps=4)
    assert abs(state(page)["split"] - 25) < 0.5
    page.mouse.move(box["x"] - 300, middle)  # the pointer may leave the picture
    page.mouse.up()
    assert state(page)["split"] == 0
    page.mouse.move(box["x"] + box["width"] * 0.9, middle)
    assert state(page)["split"] == 0  # released
    line = page.locator(".cbc-divider").bounding_box()
    assert line and abs(line["x"] + 1 - box["x"]) < 2


def test_modes_show_their_parts(page: Page) -> None:
    shown = {
        "Divider": (True, True, False),
        "Side by side": (False, True, False),
        "Difference": (False, False, True),
    }
    for name, (divider, panes, difference) in shown.items():
        page.get_by_role("radio", name=name).click()
        drawn(page)
        assert page.locator(".cbc-divider").is_visible() is divider, name
        assert page.locator(".cbc-left canvas").is_visible() is panes, name
        assert page.locator(".cbc-legend").is_visible() is difference, name
    page.get_by_role("radio", name="Difference").press("ArrowRight")  # wraps around
    assert state(page)["mode"] == "divider"


def test_difference_numbers_equal_numpy(page: Page) -> None:
    page.click("#exact")
    until(page, lambda s: len(s["ready"]) == 3 and s["steps"] == 4)
    page.get_by_role("radio", name="Difference").click()
    full, cached = data.known(0).astype(int), data.known(40).astype(int)
    track = page.get_by_role("slider", name="Step of the trajectory")
    for step, key in ((3, "End"), (2, "ArrowLeft")):  # the final picture, and one of the sheet
        track.press(key)
        now = until(page, lambda s, step=step: s["step"] == step and s["difference"] is not None)
        drawn(page)
        now = state(page)
        want = cached[step] - full[step]
        got = now["difference"]
        assert got["max"] == np.abs(want).max()
        assert got["mean"] == pytest.approx(np.abs(want).mean(), abs=1e-9)
        assert got["bias"] == pytest.approx(want.mean(), abs=1e-6)
        page.get_by_role("radio", name="×16").click()
        drawn(page)
        # Strictly beyond 255 levels; float32 sums of thirds, so compare whole channel sums.
        beyond = int((np.abs(want.sum(-1)) * 16 > 255 * 3).sum())
        assert state(page)["difference"]["beyond"] == beyond
        page.get_by_role("radio", name="×4").click()
    text = page.locator(".cbc-numbers").inner_text()
    assert f"max {np.abs(want).max()}" in text and "Cached minus Full" in text
    alt = page.locator("canvas.cbc-diff").get_attribute("aria-label")
    assert alt and "mean |Δ|" in alt


def test_equal_pictures_are_called_identical_and_drawn_in_the_middle_colour(page: Page) -> None:
    page.click("#exact")
    until(page, lambda s: len(s["ready"]) == 3 and s["steps"] == 4)
    page.get_by_role("radio", name="Difference").click()
    page.get_by_label("Fewer on the right").click()  # holds the bytes of Full
    until(page, lambda s: s["difference"] is not None and s["difference"]["max"] == 0)
    assert "identical: no pixel differs" in page.locator(".cbc-numbers").inner_text()
    pixels = page.evaluate(
        """(() => { const c = document.querySelector("canvas.cbc-diff");
        return [...c.getContext("2d").getImageData(0, 0, c.width, c.height).data]; })()"""
    )
    middle = palette.rgb(palette.ramp(palette.DIVERGING, 511)[255])
    drawn = np.array(pixels).reshape(-1, 4)[:, :3]
    assert np.abs(drawn - middle).max() <= 1


def test_scrubber_aligns_different_step_counts(page: Page) -> None:
    page.locator(".cbc-card").nth(2).get_by_role("button").first.click()
    assert state(page)["right"] == "fewer"
    track = page.get_by_role("slider", name="Step of the trajectory")
    track.press("Home")
    for step in range(data.STEPS):
        now = until(page, lambda s, step=step: s["step"] == step)
        share = (step + 1) / data.STEPS
        want = min(data.FEWER - 1, max(0, int(np.floor(share * data.FEWER + 0.5)) - 1))
        assert now["shows"] == {"left": step, "right": want}
        track.press("]")
    drawn(page)
    assert track.get_attribute("aria-valuenow") == "19"
    assert track.get_attribute("aria-valuemax") == "19"
    words = page.locator(".cbc-each").inner_text()
    assert "Full: step 19, last of 20" in words
    assert "12 plain steps: step 11, last of 12" in words
    track.press("[")
    assert state(page)["step"] == 18


def test_cards_swap_sides(page: Page) -> None:
    page.locator(".cbc-card").nth(0).get_by_role("button").first.click()  # Full to the right
    assert (state(page)["left"], state(page)["right"]) == ("cached", "full")
    page.get_by_label("12 plain steps on the left").click()
    assert (state(page)["left"], state(page)["right"]) == ("fewer", "full")
    drawn(page)
    assert page.get_by_label("12 plain steps on the left").get_attribute("aria-pressed") == "true"


def test_play_runs_to_the_end(page: Page) -> None:
    page.clock.install()
    try:
        page.get_by_role("button", name="Play the steps").click()
        assert state(page)["step"] == 0 and state(page)["playing"]
        page.clock.run_for(1_050)
        assert state(page)["step"] == 5
        page.get_by_role("button", name="Pause").click()
        assert not state(page)["playing"]
        page.get_by_role("button", name="Play the steps").click()
        page.clock.run_for(6_000)
        assert state(page)["step"] == 19 and not state(page)["playing"]
    finally:
        page.clock.resume()


def test_live_frames_arrive_without_remount(page: Page) -> None:
    page.evaluate("window.node = document.querySelector('.cbc-stage')")
    rev = state(page)["rev"]
    page.click("#hold")  # runs into step 5 and waits there
    cached = until(page, lambda s: s["live"] is not None and s["live"]["source"] == "cached")
    now = until(page, lambda s: s["live"] is not None and 2 <= s["live"]["pictured"] < 19)
    assert cached["follow"] and now["follow"]
    assert "running" in page.locator(".cbc-right .cbc-chip").inner_text()
    assert "running the cached schedule" in page.locator(".cbc-each").inner_text()
    # It is of another picture: nothing of the one before stands beside it.
    assert page.locator(".cbc-held").inner_text() == "same noise, seed 8"
    assert page.locator(".cbc-badge").is_hidden()
    assert page.locator(".cbc-left .cbc-chip").inner_text() == "Full, 20 steps · has run"
    assert page.locator(".cbc-left canvas").is_visible()
    assert page.locator(".cbc-card").nth(2).inner_text().startswith("follows")
    page.get_by_role("slider", name="Step of the trajectory").press("ArrowLeft")
    assert not state(page)["follow"]  # looking back does not fight the run
    page.get_by_role("button", name="Follow the run").click()
    assert state(page)["follow"]
    page.click("#go")
    now = until(page, lambda s: s["rev"] != rev and s["live"] is None)
    assert now["mounts"] == 1 and now["step"] == 19
    assert page.evaluate("window.node === document.querySelector('.cbc-stage')")
    drawn(page)
    assert page.locator(".cbc-held").inner_text() != "same noise, seed 8"
    assert page.locator(".cbc-card").nth(2).inner_text().startswith("12 plain steps")


def test_stop_takes_the_preview_away(page: Page) -> None:
    page.click("#run")
    until(page, lambda s: s["live"] is not None)
    page.click("#stop")
    until(page, lambda s: s["live"] is None)


def test_missing_source_has_words_and_no_broken_image(page: Page) -> None:
    page.click("#waiting")
    until(page, lambda s: s["ready"] == ["full"])
    drawn(page)
    assert page.locator(".cbc-right .cbc-words").inner_text() == "press Run to make it"
    assert page.locator(".cbc-right canvas").is_hidden()
    assert page.locator(".cbc-card").nth(2).inner_text().startswith("not run yet")
    images = "[...document.querySelectorAll('.cb-compare img')].filter(i => !i.hidden)"
    assert page.evaluate(f"{images}.every(i => i.naturalWidth > 0)")
    page.get_by_role("radio", name="Difference").click()
    drawn(page)
    assert page.locator(".cbc-numbers").inner_text() == "Nothing to subtract yet."


def test_hover_from_the_grid_lights_a_tick_and_moves_nothing(page: Page) -> None:
    page.evaluate(
        """dispatchEvent(new CustomEvent("cachebrush:hover",
            {detail: {block: 3, branch: "mlp", step: 6, source: "grid"}}))"""
    )
    assert page.locator(".cbc-ticks i.cbc-lit").count() == 1
    assert (state(page)["mark"], state(page)["step"]) == (6, 19)
    assert page.locator("#curves .cb-plot-rule").count() == 1
    assert page.locator("#curves .cb-loud").count() == 1
    page.evaluate("dispatchEvent(new CustomEvent('cachebrush:hover', {detail: {source: 'grid'}}))")
    assert page.locator(".cbc-ticks i.cbc-lit").count() == 0
    assert page.locator("#curves .cb-plot-rule, #curves .cb-loud").count() == 0
    page.evaluate("seen.length = 0")
    page.locator(".cbc-track").hover()
    told = page.evaluate("seen.at(-1)")
    assert told["source"] == "compare" and 0 < told["step"] < 19


def test_plotly_hover_speaks_also_after_a_new_plot(page: Page) -> None:
    for again in (False, True):
        if again:
            page.evaluate(f"window.before = {PLOT}._fullData")
            page.click("#replot")
            page.wait_for_function(f"{PLOT}?._ev && {PLOT}._fullData !== before")
        page.evaluate("seen.length = 0")
        plot = page.locator("#curves .nsewdrag").first
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        assert box
        x, y, height = box["x"] + box["width"] * 12 / 19, box["y"], box["height"]
        end = time.monotonic() + 40
        while not page.evaluate("seen.some(d => d.source === 'curves' && d.block !== null)"):
            assert time.monotonic() < end, "nothing was heard of the curves"
            page.mouse.move(x, y + height * 0.5)
            page.mouse.move(x, y + height * 0.8, steps=4)
            drawn(page)
        told = page.evaluate("seen.filter(d => d.source === 'curves' && d.block !== null).at(-1)")
        assert told["branch"] == "attn" and told["step"] == 12 and 0 <= told["block"] < data.BLOCKS
        page.mouse.move(5, 5)
        page.wait_for_function("seen.at(-1).block === null")


def test_phone_has_no_sideways_scroll(browser: Browser, address: str, shared: Page) -> None:
    phone = browser.new_page(viewport={"width": 390, "height": 844}, has_touch=True)
    phone.goto(address + "?__theme=dark")
    phone.wait_for_function(READY, timeout=60_000)
    for mode in ("Divider", "Side by side", "Difference"):
        phone.get_by_role("radio", name=mode).click()
        drawn(phone)
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390, mode
    ink = phone.locator(".cbc-held").evaluate("n => getComputedStyle(n).color")
    assert sum(int(c) for c in ink[4:-1].split(",")) > 3 * 160  # light ink on dark paper
    phone.close()


def test_nothing_to_complain_about(shared: Page) -> None:
    assert shared.complaints == []  # type: ignore[attr-defined]
    assert shared.foreign == []  # type: ignore[attr-defined]
