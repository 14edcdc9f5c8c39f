"""`python -m tests.ui.gallery`: start the app and take the README's pictures of it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.bench.page import READY, _server
from tests.ui.conftest import FLAGS

FOLDER = Path(__file__).resolve().parents[2] / "presets" / "pictures"
WAIT_MS = 120_000


@dataclass(frozen=True)
class Shot:
    """A picture: what is done on a fresh page, and the part of it that is taken."""

    name: str
    does: Callable[[Any], None]
    part: str | None = None
    size: tuple[int, int] = (1440, 900)
    dark: bool = False


def _view(name: str) -> Callable[[Any], None]:
    return lambda page: page.locator("#view").get_by_text(name, exact=True).click()


def _effect(page: Any) -> None:
    """The colours of what each cell costs, one of them named."""
    _view("Studio")(page)
    page.locator("#grid .cb-views").get_by_text("Effect", exact=True).click()
    page.wait_for_timeout(1500)
    page.locator('#grid [data-row="12"][data-step="9"]').hover()


def _palette(page: Any) -> None:
    """Every command and method, by name."""
    _view("Studio")(page)
    page.locator("#grid .cb-cell").first.focus()
    page.keyboard.press("Control+k")
    page.keyboard.type("tay")


def _closer(page: Any) -> None:
    """The path of a branch's outputs, after a run that measured it."""
    _view("Studio")(page)
    page.locator("#run").click()
    page.get_by_text("all three measured").wait_for(timeout=WAIT_MS)
    page.locator("#seeing-box button").first.click()
    page.locator("#seen .js-plotly-plot").wait_for()
    page.locator("#seen-kind").get_by_label("Path").click()


def _study(page: Any) -> None:
    _view("Studio")(page)
    page.locator("#study-box button").first.click()


SHOTS = (
    Shot("demo-light", _view("Demo")),
    Shot("studio-light", _view("Studio")),
    Shot("studio-dark", _view("Studio"), dark=True),
    Shot("lessons-dark", _view("Lessons"), dark=True),
    Shot("effect-light", _effect),
    Shot("palette-dark", _palette, dark=True),
    Shot("pareto-light", _view("Studio"), part="#pareto-box"),
    Shot("path-light", _closer, part="#seeing-box"),
    Shot("study-light", _study, part="#study-box"),
    Shot("phone-light", _view("Demo"), size=(390, 844)),
    Shot("phone-dark", _view("Studio"), size=(390, 844), dark=True),
)


def main() -> None:
    """Take those that are named, or all."""
    wanted = set(sys.argv[1:]) or {shot.name for shot in SHOTS}
    FOLDER.mkdir(parents=True, exist_ok=True)
    with _server(2) as address, sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        for shot in SHOTS:
            if shot.name not in wanted:
                continue
            width, height = shot.size
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(WAIT_MS)
            page.goto(f"{address}?__theme={'dark' if shot.dark else 'light'}")
            page.wait_for_selector(READY, timeout=WAIT_MS)
            page.wait_for_timeout(1500)
            shot.does(page)
            page.wait_for_timeout(1500)
            taken = page.locator(shot.part).screenshot() if shot.part else page.screenshot()
            # 256 colours, dithered, are plenty for a page, and a third of the bytes.
            picture = Image.open(io.BytesIO(taken)).convert("RGB")
            palette = picture.quantize(256)  # dithers only towards a palette that is given
            found = picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
            found.save(FOLDER / f"{shot.name}.png", optimize=True)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
