"""The picture box: class, seed, steps, guidance and sampler of what is sampled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from viz.boxes.wiring import FAST, Wiring
from viz.glossary import terms_html
from viz.pages import studio
from viz.pages.edits import Parts
from viz.pages.visit import Visit

WISHES = ("label", "seed", "cfg", "sampler")


class Bounded(gr.Slider):
    """A slider whose typed numbers mean what the page makes of them: the nearest it has.

    Gradio's own refuses a number out of bounds that its page shows as the bound.
    """

    is_template = True  # drawn as its base is

    def preprocess(self, payload: float) -> float:
        """A number within the bounds; what is none is for the handler to refuse."""
        if isinstance(payload, bool) or not isinstance(payload, int | float):
            return payload
        return min(max(payload, self.minimum), self.maximum)


def build(start: Visit) -> dict[str, Any]:
    """The controls, as the visit begins."""
    state = start.state
    names = list(zip(state.model.class_names, range(len(state.model.class_names)), strict=True))
    samplers = [(label, name) for name, label in studio.SAMPLER_NAMES.items()]
    parts: dict[str, Any] = {}
    with gr.Group(elem_id="picture-box"):
        with gr.Row(elem_classes="cb-pairs-row"):
            parts["label"] = gr.Dropdown(
                names, value=state.settings.label, label="Class", elem_id="label", min_width=60,
                filterable=True, scale=3,
            )  # fmt: skip
            parts["seed"] = gr.Number(
                state.settings.seed, label="Seed", precision=0, elem_id="seed", min_width=60,
                scale=2,
            )  # fmt: skip
        parts["steps"] = Bounded(
            5, 100, value=state.schedule.steps, step=1, label="Steps", elem_id="steps"
        )
        parts["cfg"] = Bounded(
            1, 10, value=state.settings.cfg_scale, step=0.1, label="Guidance", elem_id="guidance"
        )
        parts["sampler"] = gr.Dropdown(
            samplers, value=state.settings.sampler, label="Sampler", elem_id="sampler"
        )
        gr.HTML(
            terms_html("class", "seed", "step", "guidance", "sampler"),
            elem_classes="cb-about-box",
            padding=False,
        )
    return parts


def _alone(name: str, handler: Callable[..., Parts]) -> Callable[..., Parts]:
    """A handler that leaves the other wishes alone: somebody may be at one of them already."""
    others = {one for one in WISHES if one != name}
    return lambda *given: {k: v for k, v in handler(*given).items() if k not in others}


def wire(page: Wiring) -> None:
    """Another wish makes the numbers stale; another number of steps resamples the grid."""
    parts, handlers, visit = page.parts, page.handlers, page.visit
    wishes = page.of(*WISHES)
    shown = ("numbers", "notice", "grid", "compare", "curves", "words", "calibrating", "known")
    quiet = [*page.of(*shown), *page.box]
    typed = parts["seed"].input(page.named(handlers.typed), [*wishes, visit], quiet, **FAST)
    page.then_run(typed)  # in the middle of typing nothing may be written into the field
    for one in WISHES:
        events = {"seed": ("blur", "submit"), "cfg": ("release",)}.get(one, ("input",))
        handler, told = page.named(_alone(one, handlers.wished)), [*quiet, parts[one]]
        for event in events:
            listen = getattr(parts[one], event)
            page.then_run(listen(handler, [*wishes, visit], told, **FAST))
    page.then_run(
        parts["steps"].release(
            page.named(handlers.resteps), [parts["steps"], visit], [*page.edit, *page.box], **FAST
        )
    )
