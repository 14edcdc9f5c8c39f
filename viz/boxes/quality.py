"""The box that judges the painted grid against the data, and a recorded case of what that shows."""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz import quality
from viz.boxes.wiring import FAST, SLOW, Wiring
from viz.judging import CHOICES
from viz.pages.quality import Quality, recorded

# Minutes long: it must not take the place of somebody's run.
JUDGE: dict[str, Any] = {
    **SLOW,
    "concurrency_id": "judge",
    "concurrency_limit": 4,
    "trigger_mode": "multiple",
}


def build() -> dict[str, Any]:
    """The box, closed."""
    parts: dict[str, Any] = {}
    with gr.Accordion(quality.TITLE, open=False, elem_id="judge-box"):
        gr.HTML(f'<p class="cb-figure-words">{quality.INFO}</p>', padding=False)
        with gr.Row(elem_classes="cb-study-row"):
            parts["judge_samples"] = gr.Radio(
                list(CHOICES), value=CHOICES[0], label="N, pictures each", elem_id="judge-samples"
            )
            parts["judge"] = gr.Button("Start", size="sm", elem_id="judge", min_width=60, scale=0)
            parts["stop_judging"] = gr.Button(
                "Stop", size="sm", elem_id="stop-judging", min_width=60, scale=0
            )
        parts["judging"] = gr.HTML(
            quality.progress_html(None, quality.PROMPT), elem_id="judging", padding=False
        )
        parts["judged"] = gr.HTML("", elem_id="judged", padding=False)
        if (report := recorded()) is not None:
            with gr.Accordion(quality.RECORDED_TITLE, open=False, elem_id="judge-recorded"):
                gr.HTML(quality.recorded_html(report), padding=False)
    return parts


def wire(page: Wiring) -> None:
    """Start and Stop."""
    parts, visit = page.parts, page.visit
    handlers = Quality(page.handlers)
    parts["judge"].click(
        page.stream(handlers.start), [parts["judge_samples"], visit],
        page.of("judging", "judged", "notice"), **JUDGE,
    )  # fmt: skip
    parts["stop_judging"].click(page.named(handlers.stop), visit, page.of("judging"), **FAST)
