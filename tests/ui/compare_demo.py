"""A small page with CompareView and the figures, for looking at and for the browser tests."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr

from tests.ui import compare_fixtures as data
from tests.ui.idle import look_less_often
from viz import served
from viz.compare import CompareView, Comparison, Source, live_frame, pending, source
from viz.figures import (
    FIGURE_CSS,
    HOVER_HEAD,
    BudgetPoint,
    budget_curve,
    similarity_curves,
    text_summary,
)

HELD = "same noise, seed 7 · class mushroom · 20 steps"
OTHER = "same noise, seed 8"
BADGE = "recorded on AMD EPYC, 2 threads, 2026-11-21"
TIMESTEPS = [999 - 50 * s for s in range(data.STEPS)]
THEME = gr.themes.Default(
    primary_hue="indigo",
    font=[gr.themes.LocalFont("Source Sans Pro", weights=(400, 700)), "system-ui", "sans-serif"],
)


def build(pause_s: float = 0.15) -> gr.Blocks:
    """The page; `pause_s` is how long a pretended step takes."""
    picture = data.scene()
    full = data.trajectory(picture, data.STEPS)
    cached = data.trajectory(picture, data.STEPS, error=14)
    fewer = data.trajectory(picture, data.FEWER, seed=1, error=26)
    ready: dict[str, Source] = {
        "full": source("Full", "0.52 s · 100 % of the work", full),
        "cached": source("Cached", "0.27 s · 41 % of the work", cached),
        "fewer": source("12 plain steps", "0.28 s · same budget", fewer),
    }
    revs = iter(range(1, 10_000))
    go_on = threading.Event()

    def recorded() -> Comparison:
        return Comparison(next(revs), HELD, ready, BADGE)

    def waiting() -> Comparison:
        parts = {"full": ready["full"], "cached": pending("Cached", "press Run to make it")}
        return Comparison(next(revs), HELD, parts)

    def exact() -> Comparison:
        frames = {"full": data.known(0), "cached": data.known(40), "fewer": data.known(0)}
        parts = {key: source(key.title(), "known numbers", part) for key, part in frames.items()}
        return Comparison(next(revs), "random bytes", parts)

    def run(held_at: int | None = None) -> Iterator[dict[str, Any]]:
        name = f"run {time.time()}"
        go_on.clear()
        # The one that waits is of another picture, of which the full run comes first.
        other = None if held_at is None else OTHER
        if other:
            words, title = "running the full model …", "Full, 20 steps"
            yield gr.update(
                live=live_frame(name, "full", 19, 20, full[-1], words, held=other, title=title)
            )
            time.sleep(pause_s)
        for step in range(data.STEPS):
            time.sleep(pause_s)
            if step == held_at:  # a test looks at a run in progress for as long as it needs
                go_on.wait(60)
            label = "running the cached schedule …"
            frame = live_frame(name, "cached", step, data.STEPS, cached[step], label, held=other)
            yield gr.update(live=frame)
        yield gr.update(value=Comparison(next(revs), HELD, ready))

    def stop() -> dict[str, Any]:
        return gr.update(live=live_frame("stopped", "cached", 0, 1, None, "stopped", done=True))

    change = data.change()
    points = [
        BudgetPoint("12 plain steps", 280, 24.1, "fewer"),
        BudgetPoint("8 plain steps", 190, 20.4, "fewer"),
        BudgetPoint("16 plain steps", 410, 30.2, "fewer"),
        BudgetPoint("Every 2nd step", 292, 31.3),
        BudgetPoint("Painted by you", 270, 34.9),
        BudgetPoint("Every 3rd step", 215, 26.2),
    ]

    def curves(highlight: tuple[int, str] | None = None) -> Any:
        return similarity_curves(change, timesteps=TIMESTEPS, threshold=0.08, highlight=highlight)

    with gr.Blocks(title="Compare demo", analytics_enabled=False) as demo:
        gr.Markdown("# Compare")
        with gr.Row():
            with gr.Column(scale=5, min_width=320):
                plot = gr.Plot(curves(), show_label=False, elem_id="curves")
                gr.Markdown(text_summary(change, threshold=0.08))
                gr.Plot(
                    budget_curve(points, full_ms=520, current="Painted by you"),
                    show_label=False,
                    elem_id="budget",
                )
            with gr.Column(scale=4, min_width=320):
                view = CompareView(recorded(), elem_id="view")
                with gr.Row():
                    buttons = [gr.Button(n, elem_id=n) for n in ("run", "stop", "recorded")]
                with gr.Row():
                    more = [gr.Button(n, elem_id=n) for n in ("waiting", "exact", "replot")]
                with gr.Row():
                    held = [gr.Button(n, elem_id=n) for n in ("hold", "go")]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        going = buttons[0].click(run, None, view, **quiet)
        buttons[1].click(stop, None, view, cancels=[going], **quiet)
        buttons[2].click(recorded, None, view, **quiet)
        held[0].click(lambda: (yield from run(5)), None, view, **quiet)
        held[1].click(go_on.set, None, None, **quiet)
        more[0].click(waiting, None, view, **quiet)
        more[1].click(exact, None, view, **quiet)
        more[2].click(lambda: curves((11, "attn")), None, plot, **quiet)
    return demo


if __name__ == "__main__":
    look_less_often()
    build(float(os.environ.get("PAUSE_S", "0.15"))).launch(
        server_name="127.0.0.1",
        server_port=int(os.environ.get("GRADIO_SERVER_PORT", "7861")),
        theme=THEME,
        css=FIGURE_CSS,
        head=HOVER_HEAD,
        app_kwargs={"routes": served.routes()},
        run_history=False,
        quiet=True,
    )
