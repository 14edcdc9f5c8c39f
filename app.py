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

from viz import text
from viz.compare import CompareView
from viz.grid import ScheduleGrid
from viz.grid.show import value_of
from viz.live import Engine
from viz.pages import studio
from viz.pages.edits import Parts
from viz.pages.handlers import Handlers
from viz.pages.look import HEAD, SAVE_JS, STYLE, theme
from viz.pages.visit import start_visit
from viz.policies import OFFERS
from viz.presets import PRESETS

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
PRESET_CONTROLS = ("interval", "alpha", "first", "last", "order", "speedup")
# Waiting for a download must not take the place of somebody's run.
LOAD: dict[str, Any] = {**SLOW, "concurrency_id": "load", "concurrency_limit": 4}


def _controls(start: Any) -> dict[str, Any]:
    """The left column: what picture, which preset, files and model."""
    state = start.state
    names = list(zip(state.model.class_names, range(len(state.model.class_names)), strict=True))
    samplers = [(label, name) for name, label in studio.SAMPLER_NAMES.items()]
    parts: dict[str, Any] = {}
    with gr.Group():
        parts["label"] = gr.Dropdown(
            names, value=state.settings.label, label="Class", elem_id="label", filterable=True
        )
        parts["seed"] = gr.Number(state.settings.seed, label="Seed", precision=0, elem_id="seed")
        parts["steps"] = gr.Slider(
            5, 100, value=state.schedule.steps, step=1, label="Steps", elem_id="steps"
        )
        parts["cfg"] = gr.Slider(
            1, 10, value=state.settings.cfg_scale, step=0.1, label="Guidance", elem_id="guidance"
        )
        parts["sampler"] = gr.Dropdown(
            samplers, value=state.settings.sampler, label="Sampler", elem_id="sampler"
        )
    with gr.Group():
        parts["preset"] = gr.Dropdown(
            [(p.title, p.name) for p in PRESETS],
            value=None,
            label="Preset",
            info=text.PRESET_INFO,
            elem_id="preset",
        )
        parts["interval"] = gr.Slider(
            2, 10, value=2, step=1, label="N", visible=False, elem_id="interval"
        )
        parts["alpha"] = gr.Slider(
            0, 0.6, value=0.1, step=0.005, label="α", visible=False, elem_id="alpha"
        )
        parts["first"] = gr.Slider(
            0, 20, value=3, step=1, label="First", visible=False, elem_id="first"
        )
        parts["last"] = gr.Slider(
            0, 20, value=3, step=1, label="Last", visible=False, elem_id="last"
        )
        parts["order"] = gr.Slider(
            0, 6, value=2, step=1, label="Order", visible=False, elem_id="order"
        )
        parts["speedup"] = gr.Slider(
            1, 5, value=2, step=0.05, label="Speed-up", visible=False, elem_id="speedup"
        )
        parts["note"] = gr.Markdown("", elem_classes="cb-note")
    with gr.Accordion("Let a policy decide", open=False, elem_id="policy-box"):
        parts["policy"] = gr.Dropdown(
            [(o.title, o.name) for o in OFFERS],
            value=OFFERS[0].name,
            label="Policy",
            elem_id="policy",
        )
        parts["threshold"] = gr.Slider(
            0, OFFERS[0].most, value=OFFERS[0].default, label="Threshold", elem_id="threshold"
        )
        parts["policy_note"] = gr.Markdown(OFFERS[0].note, elem_classes="cb-note")
        with gr.Row():
            parts["decide"] = gr.Button("Run policy", size="sm", elem_id="decide")
            parts["bake"] = gr.Button("Bake", size="sm", elem_id="bake")
    with gr.Row():
        parts["save"] = gr.Button("Save", size="sm", elem_id="save")
        parts["open"] = gr.UploadButton("Open", file_types=list(OPENS), size="sm", elem_id="open")
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
    with gr.Accordion("Another model", open=False, elem_id="model-box"):
        parts["model"] = gr.Textbox(
            label="Hub id or folder", placeholder="facebook/DiT-XL-2-256", elem_id="model"
        )
        parts["load"] = gr.Button("Load", size="sm", elem_id="load")
        gr.Markdown(text.MODEL_INFO, elem_classes="cb-note")
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
    gr.HTML(text.FOOTER, elem_classes="cb-footer")
    return parts


def _show_controls(name: str) -> list[Any]:
    """Show only the controls that the chosen preset reads, and where it is from."""
    chosen = next((p for p in PRESETS if p.name == name), None)
    uses = chosen.uses if chosen else ()
    shown = [gr.update(visible=one in uses) for one in PRESET_CONTROLS]
    return [*shown, chosen.note if chosen else ""]


def _show_policy(name: str) -> list[Any]:
    """The threshold's own range, and what the chosen policy decides by."""
    chosen = next((o for o in OFFERS if o.name == name), OFFERS[0])
    step = chosen.most / 200
    slider = gr.update(maximum=chosen.most, value=chosen.default, step=step)
    return [slider, chosen.note]


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


def _wire(handlers: Handlers, parts: dict[str, Any]) -> None:
    """Connect every event to its handler."""
    visit = parts["visit"]

    def named(fn: Callable[..., Parts]) -> Callable[..., dict[Any, Any]]:
        return lambda *args: {parts[k]: v for k, v in fn(*args).items()}

    def stream(fn: Callable[..., Iterator[Parts]]) -> Callable[..., Iterator[dict[Any, Any]]]:
        return _stream(fn, parts)

    edit = [parts[k] for k in ("grid", "numbers", "notice", "steps", "curves", "words")]
    live = [parts[k] for k in ("grid", "compare", "numbers", "notice", "curves", "words")]
    auto = {
        "fn": stream(handlers.run_if_wanted),
        "inputs": [parts["auto"], parts["grid"], visit],
        "outputs": live,
    }

    def then_run(event: Any) -> None:
        event.then(**auto, **SLOW)

    then_run(parts["grid"].input(named(handlers.strokes), [parts["grid"], visit], edit, **FAST))
    settings = [parts[k] for k in ("label", "seed", "cfg", "sampler")]
    quiet = [parts["numbers"], parts["notice"], parts["grid"]]
    for one in ("label", "seed", "cfg", "sampler"):
        event = parts[one].release if one == "cfg" else parts[one].input
        then_run(event(named(handlers.configure), [*settings, visit], quiet, **FAST))
    then_run(parts["steps"].release(named(handlers.resteps), [parts["steps"], visit], edit, **FAST))

    controls = [parts[k] for k in PRESET_CONTROLS]
    chosen = [parts["preset"], *controls, visit]
    parts["preset"].input(
        _show_controls, parts["preset"], [*controls, parts["note"]], show_progress="hidden",
        queue=False, api_visibility="private",
    )  # fmt: skip
    threshold = [parts["preset"], parts["alpha"], visit]
    repainted = parts["preset"].select(named(handlers.repaint), chosen, edit, **FAST)
    then_run(repainted.then(named(handlers.threshold_curves), threshold, [parts["curves"]], **FAST))
    for one in controls:
        one.input(named(handlers.repaint), chosen, edit, **FAST)
        then_run(
            one.release(named(handlers.threshold_curves), threshold, [parts["curves"]], **FAST)
        )

    parts["policy"].input(
        _show_policy, parts["policy"], [parts["threshold"], parts["policy_note"]],
        show_progress="hidden", queue=False, api_visibility="private",
    )  # fmt: skip
    parts["decide"].click(
        stream(handlers.run_policy), [parts["policy"], parts["threshold"], visit],
        [*live, parts["steps"]], **SLOW,
    )  # fmt: skip
    then_run(parts["bake"].click(named(handlers.bake), visit, edit, **FAST))
    parts["run"].click(stream(handlers.run), [parts["grid"], visit], live, **SLOW)
    parts["stop"].click(named(handlers.stop), visit, [parts["notice"]], **FAST)
    parts["save"].click(handlers.save_file, visit, parts["file"], **FAST).then(
        None, parts["file"], None, js=SAVE_JS
    )
    parts["export"].click(
        named(handlers.export), [parts["target"], visit],
        [parts["export_file"], parts["notice"]], **FAST,
    ).then(None, parts["export_file"], None, js=SAVE_JS)  # fmt: skip
    then_run(parts["open"].upload(named(handlers.open_file), [parts["open"], visit], edit, **FAST))
    load = [*edit, parts["label"], parts["compare"]]
    gr.on(
        [parts["load"].click, parts["model"].submit],
        stream(handlers.use_model), [parts["model"], visit], load, **LOAD,
    )  # fmt: skip


def build_app(engine: Engine | None = None) -> gr.Blocks:
    """The page, opening on the recorded comparison; the shipped model loads in the background."""
    handlers = Handlers(engine or Engine())
    start = start_visit()
    handlers.engine.begin(start.state.model.name)
    with gr.Blocks(title="Cachebrush", fill_width=True, analytics_enabled=False) as page:
        parts = _layout(handlers, start)
        _wire(handlers, parts)

        page.load(
            _stream(handlers.arrive, parts), parts["visit"], [parts["grid"], parts["notice"]],
            show_progress="hidden", api_visibility="private", concurrency_limit=None,
        )  # fmt: skip
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
