"""Cachebrush: paint which blocks of a diffusion transformer are computed at each step.

`python app.py` opens the page. Layout and event wiring only: `viz` draws, `caching` runs.
"""

from __future__ import annotations

import os

# Read by gradio at import: nothing may reach the network unless a person asks for it.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from viz import learning, methods, text
from viz.compare import CompareView
from viz.grid import ScheduleGrid
from viz.grid.show import value_of
from viz.live import Engine
from viz.pages import studio
from viz.pages.edits import Parts
from viz.pages.handlers import Handlers
from viz.pages.learn import training_parts
from viz.pages.look import HEAD, LEARN_JS, LINK_JS, REST_JS, SAVE_JS, STYLE, theme
from viz.pages.methods import BUTTONS, NUMBERS, WORDS
from viz.pages.studies import study_box
from viz.pages.visit import start_visit

# Strokes answer at once and are never recorded or offered as an endpoint.
FAST: dict[str, Any] = {
    "show_progress": "hidden",
    "queue": False,
    "api_visibility": "private",
    "trigger_mode": "always_last",
}
SLOW: dict[str, Any] = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "concurrency_limit": 8,
    "concurrency_id": "run",
}
OPENS = (".json", ".pt", ".npy", ".png", ".yaml", ".yml", ".txt", ".py")
# A click while the run before it still ends must not get lost: the newer one takes over.
AGAIN: dict[str, Any] = {**SLOW, "trigger_mode": "multiple"}
# Waiting for a download must not take the place of somebody's run.
LOAD: dict[str, Any] = {**SLOW, "concurrency_id": "load", "concurrency_limit": 4}


def _controls(start: Any) -> dict[str, Any]:
    """The left column: which method, what picture, files and model."""
    state = start.state
    names = list(zip(state.model.class_names, range(len(state.model.class_names)), strict=True))
    samplers = [(label, name) for name, label in studio.SAMPLER_NAMES.items()]
    parts: dict[str, Any] = {}
    parts |= _method_box()
    parts |= _learn_panel()
    with gr.Group():
        with gr.Row(elem_classes="cb-pairs-row"):
            parts["label"] = gr.Dropdown(
                names, value=state.settings.label, label="Class", elem_id="label", min_width=60,
                filterable=True, scale=3,
            )  # fmt: skip
            parts["seed"] = gr.Number(
                state.settings.seed, label="Seed", precision=0, elem_id="seed", min_width=60,
                scale=2,
            )  # fmt: skip
        parts["steps"] = gr.Slider(
            5, 100, value=state.schedule.steps, step=1, label="Steps", elem_id="steps"
        )
        parts["cfg"] = gr.Slider(
            1, 10, value=state.settings.cfg_scale, step=0.1, label="Guidance", elem_id="guidance"
        )
        parts["sampler"] = gr.Dropdown(
            samplers, value=state.settings.sampler, label="Sampler", elem_id="sampler"
        )
    with gr.Row():
        parts["save"] = gr.Button("Save", size="sm", elem_id="save", min_width=60)
        parts["open"] = gr.UploadButton(
            "Open", file_types=list(OPENS), size="sm", elem_id="open", min_width=60
        )
        parts["copy_link"] = gr.Button("Link", size="sm", elem_id="copy-link", min_width=60)
    with gr.Accordion("Export", open=False, elem_id="export-box"):
        parts["target"] = gr.Dropdown(
            studio.EXPORTS,
            value="diffusers",
            label="For",
            elem_id="target",
        )
        parts["export"] = gr.Button("Export", size="sm", elem_id="export")
    parts["export_file"] = gr.Textbox(visible="hidden", elem_id="export-text", show_label=False)
    parts["file"] = gr.Textbox(visible="hidden", elem_id="file-text", show_label=False)
    parts["link"] = gr.Textbox(visible="hidden", elem_id="link-text", show_label=False)
    with gr.Accordion("Another model", open=False, elem_id="model-box"):
        parts["model"] = gr.Textbox(
            label="Hub id or folder", placeholder="facebook/DiT-XL-2-256", elem_id="model"
        )
        parts["load"] = gr.Button("Load", size="sm", elem_id="load")
        gr.Markdown(text.MODEL_INFO, elem_classes="cb-note")
    return parts


def _method_box() -> dict[str, Any]:
    """One list of all methods, places for the controls of the chosen one, and what it says."""
    parts: dict[str, Any] = {}
    with gr.Group(elem_id="method-box"):
        parts["method"] = gr.Dropdown(
            methods.choices(), value=None, label="Method", info=text.METHOD_INFO, elem_id="method",
            filterable=True,
        )  # fmt: skip
        for k, (number, word) in enumerate(zip(NUMBERS, WORDS, strict=True)):
            parts[number] = gr.Slider(0, 1, value=0, visible=False, elem_id=f"control-{k}")
            parts[word] = gr.Dropdown([], visible=False, elem_id=f"choice-{k}")
        parts["about"] = gr.HTML(
            text.CHOOSE, elem_id="method-about", elem_classes="cb-about-box", padding=False
        )
        with gr.Row(elem_classes="cb-method-buttons"):
            titles = ("Calibrate", "Run policy", "Bake", "Learn …")
            for name, title in zip(BUTTONS, titles, strict=True):
                parts[name] = gr.Button(
                    title, size="sm", visible=False, elem_id=name.replace("_", "-"), min_width=60
                )
    return parts


def _learn_panel() -> dict[str, Any]:
    """Training of routers: what to learn, at which price, and how it goes."""
    parts: dict[str, Any] = {}
    offered = learning.offered()
    with gr.Accordion("Learn a router", open=False, elem_id="learn-box") as parts["learn_box"]:
        first = offered[0][1] if offered else None
        parts["training"] = gr.Dropdown(offered, value=first, label="Training", elem_id="training")
        begun = training_parts(first) if first else {}
        made: dict[str, Any] = {
            "price": gr.Slider(-8, -2, value=-5, step=0.1, label="log₁₀ λ", elem_id="price"),
            "theta": gr.Slider(0, 1, value=0.1, step=0.01, label="θ", elem_id="theta"),
            "iterations": gr.Slider(
                1, learning.MOST_ITERATIONS, value=1000, step=1, label="Iterations",
                elem_id="iterations",
            ),
        }  # fmt: skip
        for name, component in made.items():
            for field, value in begun.get(name, {}).items():
                if field != "__type__":
                    setattr(component, field, value)
            parts[name] = component
        with gr.Row(elem_classes="cb-method-buttons"):
            parts["learn"] = gr.Button("Learn", size="sm", elem_id="learn", min_width=40)
            parts["keep"] = gr.Button(
                "Keep", size="sm", elem_id="keep", min_width=40, interactive=False
            )
            parts["stop_learning"] = gr.Button(
                "Stop", size="sm", elem_id="stop-learning", min_width=40
            )
        parts["learning"] = gr.HTML("", elem_id="learning", padding=False)
        parts["learn_about"] = gr.HTML(begun.get("learn_about", ""), padding=False)
    return parts


def _layout(handlers: Handlers, start: Any) -> dict[str, Any]:
    """Build the page; returns its components by part name."""
    result = start.result
    parts: dict[str, Any] = {"visit": gr.State(start)}
    with gr.Row(elem_classes="cb-top"):
        gr.HTML(text.HEADER, elem_classes="cb-header")
        parts["notice"] = gr.HTML("", elem_classes="cb-notices", elem_id="notices")
    with gr.Row(elem_classes="cb-main", equal_height=False):
        with gr.Column(scale=0, min_width=212, elem_classes="cb-left"):
            parts |= _controls(start)
        with gr.Column(scale=6, min_width=340, elem_classes="cb-centre"):
            parts["grid"] = ScheduleGrid(
                value_of(start.state),
                spec=start.spec(),
                layer=start.layer(),
                live=studio.executed_of(result),
                elem_id="grid",
            )
            parts["curves"] = gr.Plot(
                start.curves(), show_label=False, elem_id="curves", container=False
            )
            parts["words"] = gr.HTML(start.words(), elem_classes="cb-note")
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
    parts |= study_box()
    gr.HTML(text.FOOTER, elem_classes="cb-footer")
    return parts


def _stream(
    fn: Callable[..., Iterator[Parts]], parts: dict[str, Any]
) -> Callable[..., Iterator[dict[Any, Any]]]:
    """A generator of parts by name as one of updates by component."""

    def each(*args: Any) -> Iterator[dict[Any, Any]]:
        # Gradio empties every output of a generator that ends without having yielded.
        yield {parts["notice"]: gr.skip()}
        for found in fn(*args):
            yield {parts[k]: v for k, v in found.items()}

    return each


def _named(fn: Callable[..., Parts], parts: dict[str, Any]) -> Callable[..., dict[Any, Any]]:
    """A handler of parts by name as one of updates by component."""
    return lambda *args: {parts[k]: v for k, v in fn(*args).items()}


def _wire_methods(
    handlers: Handlers,
    parts: dict[str, Any],
    edit: list[Any],
    live: list[Any],
    then_run: Callable[[Any], None],
) -> None:
    """The events of the Method box and of the Learn panel."""
    visit = parts["visit"]
    slots = [parts[k] for k in (*NUMBERS, *WORDS)]
    box = [parts[k] for k in ("about", *BUTTONS)]
    chosen = [parts["method"], *slots, visit]

    def named(fn: Callable[..., Parts]) -> Callable[..., dict[Any, Any]]:
        return _named(fn, parts)

    def then_curves(event: Any) -> None:
        curves = [parts["curves"]]
        then_run(event.then(named(handlers.threshold_curves), visit, curves, **FAST))

    # A choice by keyboard is a change and no selection; the same one again, no change.
    then_curves(
        gr.on(
            [parts["method"].select, parts["method"].change], named(handlers.choose),
            [parts["method"], visit], [*edit, *box, *slots], **FAST,
        )
    )  # fmt: skip
    for name in NUMBERS:
        parts[name].input(named(handlers.turn), chosen, [*edit, *box], **FAST)
        curves = [parts["curves"]]
        then_run(parts[name].release(named(handlers.threshold_curves), visit, curves, **FAST))
    for name in WORDS:
        then_curves(parts[name].input(named(handlers.turn), chosen, [*edit, *box], **FAST))
    then_run(
        parts["calibrate"].click(_stream(handlers.calibrate, parts), chosen, [*edit, *box], **AGAIN)
    )
    parts["decide"].click(
        _stream(handlers.run_policy, parts), chosen, [*live, parts["steps"]], **AGAIN
    )
    then_run(parts["bake"].click(named(handlers.bake), visit, edit, **FAST))

    sliders = [parts[k] for k in ("price", "theta", "iterations")]
    panel = [*sliders, parts["learn_about"], parts["notice"]]
    parts["training"].input(
        named(handlers.choose_training), [parts["training"], visit], panel, **FAST
    )
    parts["to_learn"].click(
        named(handlers.to_learn), visit, [*panel, parts["training"], parts["learn_box"]], **FAST
    )
    learned = [parts[k] for k in ("method", "learning", "keep")]
    ended = parts["learn"].click(
        _stream(handlers.learn, parts), [parts["training"], *sliders, visit],
        [*edit, *box, *slots, *learned], js=LEARN_JS, **AGAIN,
    )  # fmt: skip
    ended.then(None, None, None, js=REST_JS)
    then_run(ended)
    parts["keep"].click(named(handlers.keep), visit, [parts["notice"]], **FAST)
    parts["stop_learning"].click(named(handlers.stop), visit, [parts["notice"]], **FAST)


def _wire(handlers: Handlers, parts: dict[str, Any]) -> None:
    """Connect every event to its handler."""
    visit = parts["visit"]

    def named(fn: Callable[..., Parts]) -> Callable[..., dict[Any, Any]]:
        return _named(fn, parts)

    def stream(fn: Callable[..., Iterator[Parts]]) -> Callable[..., Iterator[dict[Any, Any]]]:
        return _stream(fn, parts)

    edit = [parts[k] for k in ("grid", "numbers", "notice", "steps", "curves", "words")]
    live = [parts[k] for k in ("grid", "compare", "numbers", "notice", "curves", "words")]
    live += [parts[k] for k in ("about", *BUTTONS)]
    auto = {
        "fn": stream(handlers.run_if_wanted),
        "inputs": [parts["auto"], parts["grid"], visit],
        "outputs": live,
    }

    def then_run(event: Any) -> None:
        event.then(**auto, **SLOW)

    then_run(parts["grid"].input(named(handlers.strokes), [parts["grid"], visit], edit, **FAST))
    settings = [parts[k] for k in ("label", "seed", "cfg", "sampler")]
    box = [parts[k] for k in ("about", *BUTTONS)]
    quiet = [parts["numbers"], parts["notice"], parts["grid"], *box]
    for one in ("label", "seed", "cfg", "sampler"):
        event = parts[one].release if one == "cfg" else parts[one].input
        then_run(event(named(handlers.configure), [*settings, visit], quiet, **FAST))
    steps = [parts["steps"], visit]
    then_run(parts["steps"].release(named(handlers.resteps), steps, [*edit, *box], **FAST))

    _wire_methods(handlers, parts, edit, live, then_run)
    if "study" in parts:
        parts["study_target"].input(
            named(handlers.show_study), [parts["study_target"], visit],
            [parts[k] for k in ("study", "study_row", "notice")], **FAST,
        )  # fmt: skip
        slots = [parts[k] for k in ("method", *NUMBERS, *WORDS)]
        put = [parts["study_row"], visit]
        then_run(
            parts["study_row"].select(named(handlers.paint_row), put, [*edit, *box, *slots], **FAST)
        )
    parts["run"].click(stream(handlers.run), [parts["grid"], visit], live, **SLOW)
    parts["stop"].click(named(handlers.stop), visit, [parts["notice"]], **FAST)
    parts["save"].click(handlers.save_file, visit, parts["file"], **FAST).then(
        None, parts["file"], None, js=SAVE_JS
    )
    parts["export"].click(
        named(handlers.export), [parts["target"], visit],
        [parts["export_file"], parts["notice"]], **FAST,
    ).then(None, parts["export_file"], None, js=SAVE_JS)  # fmt: skip
    parts["copy_link"].click(
        named(handlers.copy_link), visit, [parts["link"], parts["notice"]], **FAST
    ).then(None, parts["link"], None, js=LINK_JS)
    then_run(parts["open"].upload(named(handlers.open_file), [parts["open"], visit], edit, **FAST))
    load = [*edit, parts["label"], parts["compare"], *box]
    gr.on(
        [parts["load"].click, parts["model"].submit],
        stream(handlers.use_model), [parts["model"], visit], load, **LOAD,
    )  # fmt: skip


def _wire_arrival(handlers: Handlers, page: Any, parts: dict[str, Any]) -> None:
    """A page opens on the state of the link in its address, if there is one, and goes live."""
    shown = ("grid", "numbers", "notice", "steps", "curves", "words", "about", "method", "label")
    shown += ("seed", "cfg", "sampler", *BUTTONS, *NUMBERS, *WORDS)
    # One event for both: of two, the later answer could hide why a link was refused.
    page.load(
        _stream(handlers.arrive, parts), [parts["link"], parts["visit"]],
        [parts[k] for k in shown], js="(link, visit) => [location.hash.slice(1), visit]",
        show_progress="hidden", api_visibility="private", concurrency_limit=None,
    )  # fmt: skip


def build_app(engine: Engine | None = None) -> gr.Blocks:
    """The page, opening on the recorded comparison; the shipped model loads in the background."""
    handlers = Handlers(engine or Engine())
    start = start_visit()
    handlers.engine.begin(start.state.model.name)
    with gr.Blocks(title="Cachebrush", fill_width=True, analytics_enabled=False) as page:
        parts = _layout(handlers, start)
        _wire(handlers, parts)
        _wire_arrival(handlers, page, parts)
    return page


def launch_options() -> dict[str, Any]:
    """What `launch` needs besides the page; the tests start the app with the same."""
    return {
        "theme": theme(),
        "css": STYLE,
        "head": HEAD,
        # On by default; it stores every event with all props in the browser, seconds per stroke.
        "run_history": False,
        "max_file_size": "4mb",
    }


if __name__ == "__main__":
    build_app().launch(**launch_options())
