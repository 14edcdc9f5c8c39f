"""`python -m tests.bench.page`: how fast the page answers in a real Chromium, and what it weighs.

Targets: pointer to painted 25 ms in the median and 50 ms for 95 of 100 moves, also while a run
streams; release to Python 20 ms; a preset on the grid in 100 ms; first screen in 2 s of the
request, on a server that has not imported torch. Server and browser share the cores given.

"Release to Python" ends when the reducer has written the new state, by the server's clock: both
clocks are this machine's, and how far they agree is printed. "And back" ends when the page has the
answer in its own state; meanwhile it has painted the frame that ends the stroke.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from playwright.sync_api import Page, sync_playwright

from tests.ui.conftest import FLAGS, REPOSITORY, _free_port, _wait_for

# From the event's own time to the first moment after the frame that shows its effect.
WATCH = """() => {
  const grid = document.querySelector('#grid .cb-grid');
  const drawn = done => {  // in a frame's own callback: after that frame
    const {port1, port2} = new MessageChannel();
    port1.onmessage = () => done(performance.now());
    port2.postMessage(0);
  };
  const frame = done => requestAnimationFrame(() => drawn(done));
  const found = window.cbTimes = {move: [], taken: [], release: [], preset: []};
  performance.setResourceTimingBufferSize(10000);
  window.addEventListener('pointermove', event => {
    if (event.buttons === 1 && grid.cbGrid.state().stroke)
      frame(now => found.move.push(now - event.timeStamp));
  }, true);
  let released = null, since = null;
  window.addEventListener('pointerup', event => { released = since = event.timeStamp; }, true);
  new PerformanceObserver(list => {
    for (const one of list.getEntriesByName(new URL('gradio_api/cachebrush/line', location).href)) {
      if (since === null || !one.serverTiming.length) continue;
      found.taken.push(one.serverTiming[0].duration - performance.timeOrigin - since);
      since = null;
    }
  }).observe({type: 'resource'});
  new MutationObserver(() => {
    if (released !== null && grid.cbGrid.state().pending === 0) {
      found.release.push(performance.now() - released);
      released = null;
    }
  }).observe(grid, {attributes: true, attributeFilter: ['data-pending']});
  window.cbPreset = () => {
    const before = grid.cbGrid.rows().join();
    window.addEventListener('pointerdown', event => {
      const look = () => grid.cbGrid.rows().join() === before ? requestAnimationFrame(look)
        : drawn(now => found.preset.push(now - event.timeStamp));
      look();
    }, {capture: true, once: true});
  };
}"""
SCREEN = """() => document.querySelector('#grid .cb-cell')
  && document.querySelector('#numbers table')
  && [...document.querySelectorAll('#compare canvas, #compare img')].some(one => one.width > 1)"""
NO_RUN = """() => !document.querySelector('[data-testid="notice"][data-kind="busy"]')"""
READY = '[data-testid="notice"][data-kind="ready"]'


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.page", description=__doc__)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--strokes", type=int, default=25)
    parser.add_argument("--presets", type=int, default=4, help="of each of two methods")
    args = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[: args.cores]
    os.sched_setaffinity(0, cores)
    with _server(len(cores)) as address, sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        first_s, weight_kib = _open(browser, address)
        others_s = [_open(browser, address)[0] for _ in range(3)]
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{address}#studio")
        page.wait_for_selector(READY, timeout=120_000)
        page.locator("#auto input").uncheck()
        page.evaluate(WATCH)
        apart_ms, within_ms = _clocks(page)
        _strokes(page, args.strokes)
        quiet = _found(page)
        page.locator("#run").click()
        page.wait_for_selector('[data-testid="notice"][data-kind="busy"]')
        _strokes(page, args.strokes // 2)
        busy = page.locator('[data-testid="notice"][data-kind="busy"]').count()
        streaming = _found(page)
        page.locator("#stop").click()
        page.wait_for_function(NO_RUN)
        for _ in range(args.presets):
            for name in ("FORA", "Random"):
                _preset(page, name)
        presets = _found(page)["preset"]
        browser.close()
        run = f"the same during a run{'' if busy else ' (which ended)'}, ms"
        rows = [
            ("first screen of a fresh server, s", [first_s], "2"),
            ("first screen later, s", others_s, "2"),
            ("page weight, KiB", [weight_kib], ""),
            ("pointer to painted, ms", quiet["move"], "25 / 50"),
            (run, streaming["move"], "25 / 50"),
            ("release to Python, ms", quiet["taken"], "20"),
            (run, streaming["taken"], "20"),
            ("release to Python and back, ms", quiet["release"], ""),
            (run, streaming["release"], ""),
            ("preset to painted, ms", presets, "100"),
        ]
    sys.stdout.write(f"{'':44}{'median':>9}{'95 %':>9}{'n':>5}  target\n")
    for title, values, target in rows:
        sys.stdout.write(f"{title:44}{_row(values)}  {target}\n")
    sys.stdout.write(
        f"The page's clock is ahead of the server's by {apart_ms:.2f} ms, give or take "
        f"{within_ms:.2f}.\n"
    )


@contextlib.contextmanager
def _server(threads: int) -> Iterator[str]:
    """The app, fresh; its address."""
    port = _free_port()
    environment = {
        **os.environ,
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_SERVER_PORT": str(port),
        "CACHEBRUSH_THREADS": str(threads),
    }
    process = subprocess.Popen([sys.executable, "-m", "app"], cwd=REPOSITORY, env=environment)
    try:
        address = f"http://127.0.0.1:{port}/"
        _wait_for(process, address)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def _open(browser: Any, address: str) -> tuple[float, float]:
    """Seconds to the first meaningful screen, and KiB received until the model is ready."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    received = [0]

    def count(event: dict[str, Any]) -> None:
        received[0] += event["encodedDataLength"]

    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", count)
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_function(SCREEN)
    taken_s = time.perf_counter() - began
    page.wait_for_selector(READY, timeout=120_000)
    page.close()
    return taken_s, received[0] / 1024


def _strokes(page: Page, count: int) -> None:
    """Paint some strokes of eight moves each, in different places."""
    at = "a => document.querySelector('#grid .cb-grid').cbGrid.cell(a[0], a[1])"
    for k in range(count):
        ends = [
            page.evaluate(f"a => ({at})(a).getBoundingClientRect().toJSON()", cell)
            for cell in ([k % 12, 2], [k % 12 + 8, 17])
        ]
        (x0, y0), (x1, y1) = [(e["x"] + e["width"] / 2, e["y"] + e["height"] / 2) for e in ends]
        page.mouse.move(x0, y0)
        page.mouse.down()
        page.mouse.move(x1, y1, steps=8)
        page.mouse.up()
        page.wait_for_function(
            "document.querySelector('#grid .cb-grid').cbGrid.state().pending === 0"
        )


def _preset(page: Page, name: str) -> None:
    """Choose a method in the list."""
    page.locator("#method input").click()
    option = page.get_by_role("option", name=name).first
    option.wait_for()
    before = page.evaluate("window.cbTimes.preset.length")
    page.evaluate("window.cbPreset()")
    option.click()
    page.wait_for_function("n => window.cbTimes.preset.length > n", arg=before)


def _found(page: Page) -> dict[str, list[float]]:
    """What has been timed since the last call, in ms."""
    page.wait_for_timeout(100)  # entries of the browser's own come late
    found: dict[str, list[float]] = page.evaluate(
        "Object.fromEntries(Object.entries(cbTimes).map(([name, all]) => [name, all.splice(0)]))"
    )
    return found


def _clocks(page: Page) -> tuple[float, float]:
    """How far the page's clock is ahead of Python's, in ms, and how exactly that is known."""
    narrowest = (float("inf"), 0.0)
    for _ in range(50):
        before = 1000 * time.time()
        theirs = page.evaluate("performance.timeOrigin + performance.now()")
        after = 1000 * time.time()
        narrowest = min(narrowest, ((after - before) / 2, theirs - (before + after) / 2))
    return narrowest[1], narrowest[0]


def _row(values: Sequence[float]) -> str:
    ordered = sorted(values)
    if not ordered:
        return f"{'–':>9}{'–':>9}{0:>5}"
    high = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return f"{statistics.median(ordered):9.1f}{high:9.1f}{len(ordered):5}"


if __name__ == "__main__":
    main()
