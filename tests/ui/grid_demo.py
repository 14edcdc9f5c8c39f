"""A tiny app around the painter with invented numbers: what the browser tests drive.

Run it by hand with `python -m tests.ui.grid_demo [port]` to try the painter without a model.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # must precede the import of gradio

import gradio as gr
import numpy as np

from caching.actions.base import StepAction
from caching.actions.cond_only import CondOnly
from caching.actions.hidden import FinalHidden
from caching.actions.output import OutputReuse
from caching.actions.residual import Residual
from caching.actions.scale import ScaleEps
from caching.marks import COVERED, LOWERED
from caching.predict.shares import with_shares
from caching.predictors import Reuse
from caching.predictors.base import Predictor
from caching.predictors.lowrank import LowRank
from caching.predictors.skip import Skip
from caching.predictors.taylor import Taylor
from caching.predictors.tokens import Tokens
from caching.schedule import Schedule
from tests.ui.idle import look_less_often
from viz import served
from viz.grid import Op, ScheduleGrid, Tables, grid_layer
from viz.grid.encode import REFUSED, Expected
from viz.grid.show import live_of, spec_of, value_of
from viz.session import Refused, Session
from viz.state import Entry, ModelFacts, Repaint, Settings, Strokes, UseModel, ViewState

SETTINGS = Settings(0, 0, 2.0, "ddim")
LAGS = 4
GATE = threading.Event()  # what a handler of negative delay waits for
GATE_S = 60
# One of every kind of cost: nothing, a known part of a branch, an unknown one, the whole branch.
LEGEND: tuple[Predictor, ...] = (Reuse(), Taylor(), Tokens(0.25), LowRank(8), Skip())
STEP_LEGEND: tuple[StepAction, ...] = (
    Residual(1, 2), CondOnly(), FinalHidden(), OutputReuse(), ScaleEps(),
)  # fmt: skip


class Family:
    """As much of a model as a predictor's cost asks for; no linears, so that one stays unknown."""

    branches = ("attn", "mlp")
    tokens, width = 100, 64

    def row_macs(self, block: int, r: int, rows: int) -> int:
        return (90_000, 120_000)[r] * rows

    def branch_macs(self, block: int, r: int) -> int:
        return self.row_macs(block, r, self.tokens)


def facts(blocks: int) -> ModelFacts:
    return ModelFacts(f"demo of {blocks}", blocks, ("attn", "mlp"), ("ball",))


def start(steps: int, blocks: int) -> ViewState:
    return ViewState(facts(blocks), SETTINGS, Entry("start", Schedule(every(1, steps, blocks))))


def every(n: int, steps: int, blocks: int) -> np.ndarray:
    """Compute every n-th step, reuse between: uint8 (S, L, 2)."""
    row = (np.arange(steps) % n != 0).astype(np.uint8)
    return np.broadcast_to(row[:, None, None], (steps, blocks, 2)).copy()


def change(steps: int, blocks: int) -> np.ndarray:
    """Invented relative changes with a plausible shape: (S, L, 2, K), NaN before lag steps."""
    s, b = np.arange(steps)[:, None, None, None], np.arange(blocks)[None, :, None, None]
    r, k = np.arange(2)[None, None, :, None], np.arange(1, LAGS + 1)
    early = 0.5 * np.exp(-s / steps * 9) + 0.10 * np.exp((s - steps) / steps * 8)
    depth = 0.6 + 0.8 * np.abs(b / max(blocks - 1, 1) - 0.45)
    wave = 1 + 0.25 * np.sin(1.7 * b + 0.9 * s + 2.1 * r)
    out = (0.03 + early) * depth * wave * (1.25 - 0.4 * r) * k**0.8
    return np.where(s >= k, out, np.nan)


def tables_of(steps: int, blocks: int, legend: tuple[Predictor, ...] = ()) -> Tables:
    depth = np.arange(blocks)[:, None]
    tables = Tables(
        fixed_ms=3.1,
        compute_ms=np.hstack([1.0 + 0.01 * depth, 1.4 + 0.0 * depth]),
        reuse_ms=np.full((blocks, 2), 0.05),
        forecast_ms=0.02,
        fixed_macs=1_200_000,
        compute_macs=np.hstack([9_000_000 + 0 * depth, 12_000_000 + 0 * depth]),
        change=change(steps, blocks),
        source="invented for this demo",
        embed_macs=200_000,
        head_macs=300_000,
    )
    return with_shares(tables, legend, Family())  # type: ignore[arg-type]


def spec(state: ViewState) -> dict[str, Any]:
    steps, blocks, legend = state.schedule.steps, state.schedule.blocks, state.schedule.legend
    times = [round(999 * (1 - i / steps)) for i in range(steps)]
    return spec_of(state, tables_of(steps, blocks, legend), times, Family())  # type: ignore[arg-type]


def layer_of(steps: int, blocks: int) -> dict[str, Any]:
    values = change(steps, blocks)[..., 0]
    high = float(np.nanpercentile(values, 95))
    return grid_layer(values, label="change since previous step (rel. L1)", low=0.0, high=high)


def executed_of(schedule: Schedule) -> np.ndarray:
    """What a faultless engine would note: uint8 (S, L, R), Taylor without history lowered."""
    executed = schedule.actions.copy()
    stored = np.cumsum(schedule.computed, axis=0)
    for number, predictor in enumerate(schedule.legend, 1):
        short = (schedule.actions == number) & (stored < predictor.needs)
        executed[short] = number | LOWERED
    executed[schedule.covered] = COVERED
    return executed


def run(state: ViewState, pace: float, spoiled: bool) -> Iterator[Any]:
    """A pretended run; when spoiled, two cells of step 5 do something else than painted."""
    schedule = state.schedule
    executed = executed_of(schedule)
    if spoiled:
        executed[5, 3, 0] = 0 if executed[5, 3, 0] else 1
        executed[5, 7, 1] = REFUSED
    name, ms = f"run {time.time():.3f}", []
    for s in range(schedule.steps):
        time.sleep(pace)
        ms.append(20.0 + 5 * math.sin(s))
        yield gr.update(
            live=live_of(
                name, schedule, executed[: s + 1], schedule.step_actions[: s + 1],
                done=s == schedule.steps - 1, ms=ms,
            )
        )  # fmt: skip


def expected(state: ViewState) -> Expected:
    """An invented prediction: a tenth of a dB less than 50 for every cell not computed."""
    cells = int((state.schedule.actions != 0).sum())
    if not cells:
        return Expected(None, None, None, "nothing at all")
    db = 50 - cells / 10
    return Expected(db, db - 3, db + 2, "nothing at all")


def decided(state: ViewState) -> tuple[Schedule, list[tuple[float | None, float | None]]]:
    """What a pretended policy makes of a run: a score that grows until a step is computed."""
    schedule = Schedule.full(state.schedule.steps, state.schedule.blocks)
    scores: list[tuple[float | None, float | None]] = []
    steps, total = [], 0.0
    for s in range(schedule.steps):
        total += 0.02 + 0.01 * math.cos(s)
        waits = s < 2
        scores.append((None, None) if waits else (total, 0.05))
        if not waits and total < 0.05:
            steps.append(s)
        else:
            total = 0.0
    return schedule.paint_steps(np.array(steps), Residual()), scores


def decide(state: ViewState, pace: float) -> Iterator[Any]:
    """A pretended run under a policy."""
    schedule, scores = decided(state)
    executed, name = executed_of(schedule), f"policy {time.time():.3f}"
    for s in range(schedule.steps):
        time.sleep(pace)
        yield gr.update(
            live=live_of(
                name, schedule, executed[: s + 1], schedule.step_actions[: s + 1],
                done=s == schedule.steps - 1, decided=scores[: s + 1], policy="TestCache",
            )
        )  # fmt: skip


def build(steps: int = 20, blocks: int = 12) -> gr.Blocks:
    first = start(steps, blocks)
    with gr.Blocks(title="Painter demo") as demo:
        session = gr.State(Session(first))
        with gr.Row(), gr.Column(min_width=320):
            grid = ScheduleGrid(
                value_of(first, expected(first)),
                spec=spec(first),
                layer=layer_of(steps, blocks),
                elem_id="grid",
            )
        with gr.Row():
            buttons = {
                name: gr.Button(words, elem_id=name, min_width=80)
                for name, words in {
                    "preset": "Every 3rd", "reset": "Full", "run": "Run", "spoil": "Run, spoiled",
                    "decide": "Decide", "bake": "Bake", "stop": "Stop", "big": "28 x 50",
                    "small": "3 x 8", "brushes": "Forecast", "point": "Point", "hide": "Hide",
                    "show": "Show", "late": "Late answer", "afresh": "Afresh", "answer": "Answer",
                }.items()
            }  # fmt: skip
        with gr.Row():
            saw = gr.Textbox(label="Python holds", elem_id="saw", lines=2, max_lines=2)
            calls = gr.Number(0, label="calls", elem_id="calls")
            slow = gr.Number(0.0, label="handler delay (s)", elem_id="slow")
            late_said = gr.Textbox(label="late", elem_id="late_said")

        def answer(held: Session, before: ViewState) -> tuple[Any, str]:
            now = held.state
            update: dict[str, Any] = {"value": value_of(now, expected(now))}
            if now.now.canvas != before.now.canvas:
                update["spec"] = spec(now)
            return gr.update(**update), "\n".join(
                [*update["value"]["rows"], update["value"]["steps"]]
            )

        def on_input(ops: tuple[Op, ...], held: Session, delay: float, count: float) -> Any:
            if delay and delay < 0:
                GATE.wait(GATE_S)
            else:
                time.sleep(delay or 0.0)
            before = held.state
            with contextlib.suppress(Refused):
                held.dispatch(Strokes(ops))
            return *answer(held, before), count + 1

        def replaced(words: str, make: Callable[[Schedule], Schedule]) -> Any:
            def handler(held: Session) -> Any:
                before = held.state
                held.dispatch(Repaint(words, make(before.schedule)))
                return answer(held, before)

            return handler

        def every_nth(n: int) -> Callable[[Schedule], Schedule]:
            return lambda s: replace(s, actions=every(n, s.steps, s.blocks), step_actions=None)

        def sized(steps: int, blocks: int, **legends: Any) -> Any:
            def handler(held: Session) -> Any:
                full = replace(Schedule.full(steps, blocks), **legends)
                now = held.dispatch(UseModel(facts(blocks), SETTINGS, full))
                return gr.update(
                    value=value_of(now), spec=spec(now), layer=layer_of(steps, blocks), live=None
                )

            return handler

        quiet: dict[str, Any] = {
            "show_progress": "hidden", "api_visibility": "private", "queue": False,
        }  # fmt: skip
        grid.input(
            on_input, [grid, session, slow, calls], [grid, saw, calls],
            trigger_mode="always_last", **quiet,
        )  # fmt: skip

        def late(held: Session) -> Iterator[Any]:
            """An answer that what happens until `answer` overtakes."""
            then = value_of(held.state)
            yield gr.skip(), "made"
            GATE.wait(GATE_S)
            yield gr.update(value=then), "told"

        buttons["late"].click(
            late, session, [grid, late_said], show_progress="hidden", api_visibility="private"
        )
        for name, words, make in (
            ("preset", "every 3rd step", every_nth(3)), ("reset", "full", every_nth(1)),
            ("bake", "bake", lambda s: decided(start(s.steps, s.blocks))[0]),
        ):  # fmt: skip
            buttons[name].click(replaced(words, make), session, [grid, saw], **quiet)
        live: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        runs = [
            buttons[name].click(
                lambda held, go=go: (yield from go(held.state)), session, grid, **live
            )
            for name, go in {
                "run": lambda state: run(state, 0.05, False),
                "spoil": lambda state: run(state, 0.02, True),
                "decide": lambda state: decide(state, 0.05),
            }.items()
        ]
        buttons["stop"].click(lambda: gr.update(live=None), None, grid, cancels=runs, **quiet)
        for name, shape in {
            "big": sized(50, 28), "small": sized(8, 3),
            "brushes": sized(20, 12, legend=LEGEND, step_legend=STEP_LEGEND),
        }.items():  # fmt: skip
            buttons[name].click(shape, session, grid, **quiet)
        for name, visible in (("hide", False), ("show", True)):
            buttons[name].click(lambda v=visible: gr.update(visible=v), None, grid, **quiet)

        def afresh() -> tuple[Any, ...]:
            """All as in a page just opened; the painter itself must be hidden meanwhile."""
            GATE.clear()
            value = value_of(first, expected(first))
            shown = gr.update(
                value=value, spec=spec(first), layer=layer_of(steps, blocks), live=None,
                spot=None, visible=True,
            )  # fmt: skip
            return shown, Session(first), "", 0, 0.0, ""

        everything = [grid, session, saw, calls, slow, late_said]
        buttons["answer"].click(GATE.set, **quiet)
        buttons["afresh"].click(afresh, None, everything, **quiet)
        buttons["point"].click(lambda: gr.update(spot={"row": 6, "step": 9}), None, grid, **quiet)
    return demo


if __name__ == "__main__":
    look_less_often()
    port = int(sys.argv[1]) if len(sys.argv) > 1 else None
    build().launch(
        server_name="127.0.0.1", server_port=port, run_history=False, quiet=True,
        app_kwargs={"routes": served.routes()},
    )  # fmt: skip
