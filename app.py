"""Cachebrush: paint which blocks of a diffusion transformer are computed at each step.

`python app.py` opens the page. Layout and event wiring only: `viz` draws, `caching` runs.
"""

from __future__ import annotations

import os
import sys
import threading

# Read by gradio at import: nothing may reach the network unless a person asks for it.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from caching.errors import CachebrushError
from viz import served, text
from viz.boxes import (
    authors,
    calibrate,
    causes,
    demo,
    drafts,
    files,
    improve,
    learn,
    lesson,
    method,
    model,
    palette,
    pareto,
    picture,
    quality,
    seeing,
    study,
    threshold,
    views,
)
from viz.boxes.wiring import AGAIN, FAST, UNSEEN, Wiring
from viz.calibrating import BUDGET, Predictions, budget_from, folder_of
from viz.compare import CompareView
from viz.grid import ScheduleGrid, line
from viz.grid.show import value_of
from viz.live import REPEATS, Engine, repeats_from
from viz.pages import studio
from viz.pages.arrival import Arrival
from viz.pages.early import Early
from viz.pages.handlers import Handlers
from viz.pages.keep import ARRIVE_JS
from viz.pages.lessons import Lessons
from viz.pages.look import HEAD, STYLE, theme
from viz.pages.offers import offers
from viz.pages.visit import Visit, start_visit

BOXES = (
    views, demo, lesson, method, learn, improve, picture, files, authors, drafts, model, palette,
    pareto, seeing, study, quality, threshold, causes, calibrate,
)  # fmt: skip


BEGIN_S = 5.0  # without a visitor, the model loads after that
# How long a thread that draws a figure or runs the model keeps the one that answers a stroke
# waiting, each time that has something to do; Python's own 5 ms add up to a late answer.
SWITCH_S = 0.001
# How often Gradio looks for something to do. Its own 1 ms is half of what a server takes while
# nobody asks for anything.
LOOK_S = 0.005


def _layout(start: Visit) -> dict[str, Any]:
    """Build the page; returns its components by part name."""
    result = start.result
    parts: dict[str, Any] = {"visit": gr.State(start)}
    # Not in the top row: style rules ask what that holds, and a run has a notice at every step.
    parts["notice"] = gr.HTML("", elem_classes="cb-notices", elem_id="notices")
    with gr.Row(elem_classes="cb-top"):
        gr.HTML(text.HEADER, elem_classes="cb-header")
        parts |= views.build(start)
        parts |= drafts.build()
    with gr.Row(elem_classes="cb-main", equal_height=False):
        with gr.Column(scale=0, min_width=212, elem_classes="cb-left"):
            parts |= demo.build(start) | lesson.build(start)
            parts |= method.build() | learn.build() | improve.build()
            parts |= picture.build(start)
            parts |= files.build() | authors.build(start) | model.build() | views.build_teacher()
        with gr.Column(scale=6, min_width=340, elem_classes="cb-centre"):
            parts["grid"] = ScheduleGrid(
                value_of(start.state),
                spec=start.spec(),
                layer=start.layer(),
                live=studio.executed_of(result),
                offers=offers(),
                elem_id="grid",
            )
            parts |= calibrate.build()
            # Figures come once the page stands: what draws them weighs more than all the rest.
            parts["curves"] = gr.Plot(None, show_label=False, elem_id="curves", container=False)
            parts |= threshold.build()
            parts["words"] = gr.HTML(start.words(), elem_classes="cb-note")
            gr.HTML(views.grid_terms(), elem_classes="cb-note", padding=False)
        with gr.Column(scale=4, min_width=340, elem_classes="cb-right"):
            with gr.Row(elem_classes="cb-run"):
                parts["run"] = gr.Button("Run", variant="primary", elem_id="run")
                parts["stop"] = gr.Button("Stop", elem_id="stop")
                parts["auto"] = gr.Checkbox(
                    True, label="Run on release", elem_id="auto", container=False
                )
            parts["numbers"] = gr.HTML(start.numbers(), elem_id="numbers")
            parts["compare"] = CompareView(
                studio.comparison_of(result, start.rev), elem_id="compare"
            )
            parts |= causes.build()
    parts |= pareto.build(start)
    parts |= seeing.build(start)
    parts |= study.build()
    parts |= quality.build()
    gr.HTML(text.FOOTER, elem_classes="cb-footer")
    return parts


def _wire(page: Wiring) -> None:
    """The painter and the run buttons, then what each box brings."""
    parts, handlers, visit = page.parts, page.handlers, page.visit
    page.then_run(
        parts["grid"].input(
            page.named(handlers.strokes), [parts["grid"], visit], [*page.edit, *page.box], **FAST
        )
    )
    for box in BOXES:
        box.wire(page)
    parts["run"].click(page.stream(handlers.press), [parts["grid"], visit], page.live, **AGAIN)
    parts["stop"].click(page.named(handlers.stop), visit, page.of("notice"), **FAST)


def _wire_arrival(page: Wiring, blocks: gr.Blocks) -> None:
    """A page opens on the state of the link in its address, if there is one, and goes live."""
    # One event for both: of two, the later answer could hide why a link was refused.
    arrived = blocks.load(
        page.stream(Arrival(Lessons(page.handlers)).arrive), page.of("link", "visit", "draft"),
        page.of(*lesson.OPENED, "pareto"), js=ARRIVE_JS,
        **UNSEEN, api_visibility="private", concurrency_limit=None,
    )  # fmt: skip
    pareto.wire_front(page, arrived)


def build_app(engine: Engine | None = None) -> gr.Blocks:
    """The page, opening on the recorded comparison; a visit has the live model loaded."""
    handlers = Handlers(engine or Engine())
    start = start_visit()
    with gr.Blocks(title="Cachebrush", fill_width=True, analytics_enabled=False) as blocks:
        page = Wiring(handlers, _layout(start))
        _wire(page)
        _wire_arrival(page, blocks)
    return blocks


def launch_options() -> dict[str, Any]:
    """What `launch` needs besides the page; the tests start the app with the same."""
    return {
        "theme": theme(),
        "css": STYLE,
        "head": HEAD,
        "app_kwargs": {
            "routes": [*served.routes(), *line.routes()],
            "middleware": [Middleware(Early)],
        },
        # On by default; it stores every event with all props in the browser, seconds per stroke.
        "run_history": False,
        "max_file_size": "4mb",
    }


def main() -> None:
    """Serve the page until it is interrupted; the first visitor has the shipped model loaded."""
    try:
        budget = budget_from(os.environ.get(BUDGET))
        predictions = Predictions(budget=budget, folder=folder_of())
        engine = Engine(repeats=repeats_from(os.environ.get(REPEATS)), predictions=predictions)
    except CachebrushError as error:
        sys.exit(str(error))
    sys.setswitchinterval(SWITCH_S)
    page = build_app(engine)
    page.launch(**launch_options(), prevent_thread_lock=True)
    queue = page._queue
    queue.sleep_when_free = queue.progress_update_sleep_when_free = LOOK_S
    # Importing torch holds everything up for seconds: a page that is asked for now comes first, and
    # has the model loaded itself.
    threading.Timer(BEGIN_S, engine.begin, (text.HOME_MODEL,)).start()
    page.block_thread()


if __name__ == "__main__":
    main()
