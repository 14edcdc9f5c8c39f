"""The Pareto box: quality against time for every run of the visit, and two of them compared."""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz import pareto, text
from viz.boxes.wiring import AGAIN, FAST, SLOW, Wiring
from viz.figures.pareto import COSTS, QUALITIES
from viz.pages.look import PARETO_JS
from viz.pages.method_box import NUMBERS, WORDS
from viz.pages.pareto import SHOWN, Pareto, shown
from viz.pages.rivals import Rivals
from viz.pages.studies import recorded
from viz.pages.visit import Visit

QUALITY_NAMES = {"psnr": "PSNR", "ssim": "SSIM", "latent": "Latent error"}
COST_NAMES = {"time": "Measured time", "macs": "MACs"}


def build(start: Visit) -> dict[str, Any]:
    """The plot on the left, the pins beside it, the tables below."""
    parts: dict[str, Any] = {}
    first = shown("psnr", "time", start)
    assert set(QUALITY_NAMES) == set(QUALITIES) and set(COST_NAMES) == set(COSTS)
    with gr.Column(elem_classes="cb-pareto", elem_id="pareto-box"):
        gr.HTML(f"<h2>{text.PARETO_TITLE}</h2>", padding=False)
        with gr.Row(elem_classes="cb-study-row"):
            for name, names, label in (
                ("pareto_quality", QUALITY_NAMES, "Quality"),
                ("pareto_cost", COST_NAMES, "Against"),
            ):
                parts[name] = gr.Radio(
                    [(words, value) for value, words in names.items()],
                    value=next(iter(names)),
                    label=label,
                    elem_id=name.replace("_", "-"),
                )
        with gr.Row(elem_classes="cb-pareto-row"):
            with gr.Column(scale=3, min_width=320):
                # Empty at first, like the curves.
                parts["pareto"] = gr.Plot(None, show_label=False, elem_id="pareto", container=False)
            with gr.Column(scale=2, min_width=300):
                parts["pareto_pins"] = gr.HTML(
                    first["pareto_pins"], elem_id="pareto-pins", padding=False
                )
                parts["rivals"] = gr.Button(text.RIVALS_RUN, size="sm", elem_id="rivals")
                parts["rivalry"] = gr.HTML(
                    f'<p class="cb-figure-words">{text.RIVALS_INFO}</p>',
                    elem_id="rivalry", padding=False,
                )  # fmt: skip
        parts["pareto_from"] = gr.HTML(first["pareto_from"], elem_id="pareto-from", padding=False)
        gr.HTML(f'<p class="cb-figure-words">{text.PARETO_INFO}</p>', padding=False)
        parts["pareto_table"] = gr.HTML(
            first["pareto_table"], elem_id="pareto-table", padding=False
        )
        if (study := recorded()) is not None:
            gr.HTML(pareto.recorded_html(study), elem_id="pareto-recorded", padding=False)
        parts["pareto_do"] = gr.Button("", visible="hidden", elem_id="pareto-do")
        parts["pareto_asked"] = gr.JSON(visible=False)
        # What predicts PSNR, as one word: another setting, or a better round, is another word.
        parts["known"] = gr.Textbox("", visible="hidden", elem_id="known")
    return parts


def wire(page: Wiring) -> None:
    """Switches, clicks on points and buttons, and whatever changes the results or the paint."""
    parts, visit, box = page.parts, page.visit, Pareto(page.handlers)
    switches = [*page.of("pareto_quality", "pareto_cost"), visit]
    made = page.of(*SHOWN)
    look: dict[str, Any] = {"fn": page.named(box.look), "inputs": switches, "outputs": made}
    for name in ("pareto_quality", "pareto_cost"):
        parts[name].input(**look, **FAST)
    parts["rivals"].click(
        page.stream(Rivals(page.handlers).run), switches,
        [*made, *page.of("notice", "rivalry")], **AGAIN,
    )  # fmt: skip
    # The table of numbers changes with every run and with every edit that makes it stale.
    wire_front(page, parts["numbers"].change(**look, **FAST))
    wire_front(page, parts["known"].change(**look, **FAST))
    outputs = [*page.edit, *page.box, *made, *page.of("method", *NUMBERS, *WORDS)]
    page.then_run(
        parts["pareto_do"].click(
            page.named(box.act), [parts["pareto_asked"], *switches], outputs, js=PARETO_JS, **FAST
        )
    )


def wire_front(page: Wiring, event: Any) -> None:
    """After an event that may have led to another setting: its predicted front."""
    switches = [*page.of("pareto_quality", "pareto_cost"), page.visit]
    outputs = [*page.of(*SHOWN, "notice"), *page.box]
    event.then(page.stream(Pareto(page.handlers).ahead), switches, outputs, **SLOW)
