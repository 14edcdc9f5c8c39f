"""A tiny app around the painter with invented numbers: what the browser tests drive.

Run it by hand with `python -m tests.ui.grid_demo [port]` to try the painter without a model.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # must precede the import of gradio

import gradio as gr
import numpy as np

from viz.grid import (
    REUSE,
    Brush,
    Op,
    Paint,
    ScheduleGrid,
    Tables,
    Undo,
    check,
    grid_layer,
    grid_live,
    grid_spec,
    grid_value,
    paint,
)
from viz.grid.encode import REFUSED

FORECAST = Brush("taylor1", "forecast", "Forecast")
LAGS = 4


@dataclass(frozen=True, eq=False)
class State:
    """The schedule, what came before and after it, and how far the page has been followed."""

    actions: np.ndarray  # uint8 (S, L, R)
    legend: tuple[Brush, ...] = (REUSE,)
    past: tuple[tuple[str, np.ndarray], ...] = ()
    future: tuple[tuple[str, np.ndarray], ...] = ()
    ack: int = 0

    def push(self, label: str, actions: np.ndarray) -> State:
        past = (*self.past, (label, self.actions))[-100:]
        return replace(self, actions=actions, past=past, future=())


def reduce(state: State, ops: tuple[Op, ...]) -> State:
    """Apply what is new, in order; a refused operation is acknowledged and changes nothing."""
    for op in ops:
        if op.rev <= state.ack:
            continue
        state = replace(_apply(state, op), ack=op.rev)
    return state


def _apply(state: State, op: Op) -> State:
    s, blocks, branches = state.actions.shape
    try:
        check(op, state.actions.size, len(state.legend))
    except ValueError:
        return state
    if isinstance(op, Paint):
        flat = state.actions.transpose(1, 2, 0).reshape(-1)
        painted = paint(flat, op, steps=s).reshape(blocks, branches, s).transpose(2, 0, 1)
        return state.push("stroke", painted.copy())
    here, there = (state.past, state.future) if isinstance(op, Undo) else (state.future, state.past)
    if not here:
        return state
    label, actions = here[-1]
    here, there = here[:-1], (*there, (label, state.actions))
    past, future = (here, there) if isinstance(op, Undo) else (there, here)
    return replace(state, actions=actions, past=past, future=future)


def value_of(state: State) -> dict[str, Any]:
    undo = state.past[-1][0] if state.past else None
    redo = state.future[-1][0] if state.future else None
    return grid_value(state.actions, ack=state.ack, undo=undo, redo=redo)


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


def spec_of(steps: int, blocks: int, legend: tuple[Brush, ...]) -> dict[str, Any]:
    depth = np.arange(blocks)[:, None]
    tables = Tables(
        fixed_ms=3.1,
        compute_ms=np.hstack([1.0 + 0.01 * depth, 1.4 + 0.0 * depth]),
        reuse_ms=np.full((blocks, 2), 0.05),
        fixed_macs=1_200_000,
        compute_macs=np.hstack([9_000_000 + 0 * depth, 12_000_000 + 0 * depth]),
        change=change(steps, blocks),
        source="invented for this demo",
    )
    t = [round(999 * (1 - i / steps)) for i in range(steps)]
    return grid_spec(steps=steps, blocks=blocks, timesteps=t, legend=legend, tables=tables)


def layer_of(steps: int, blocks: int) -> dict[str, Any]:
    values = change(steps, blocks)[..., 0]
    high = float(np.nanpercentile(values, 95))
    return grid_layer(values, label="change since previous step (rel. L1)", low=0.0, high=high)


def run(state: State, pace: float, spoiled: bool) -> Iterator[Any]:
    """A pretended run; when spoiled, two cells of step 5 do something else than painted."""
    executed = state.actions.copy()
    if spoiled:
        executed[5, 3, 0] = 0 if executed[5, 3, 0] else 1
        executed[5, 7, 1] = REFUSED
    name, ms = f"run {time.time():.3f}", []
    steps = executed.shape[0]
    for s in range(steps):
        time.sleep(pace)
        ms.append(20.0 + 5 * math.sin(s))
        yield gr.update(
            live=grid_live(
                name, executed[: s + 1], total=steps, done=s == steps - 1, ms=ms,
                asked=state.actions,
            )
        )  # fmt: skip


def sized(steps: int, blocks: int, legend: tuple[Brush, ...], ack: int) -> tuple[State, Any]:
    state = State(every(1, steps, blocks), legend, ack=ack)
    update = gr.update(
        value=value_of(state),
        spec=spec_of(steps, blocks, legend),
        layer=layer_of(steps, blocks),
        live=None,
    )
    return state, update


def build(steps: int = 20, blocks: int = 12) -> gr.Blocks:
    first = State(every(1, steps, blocks))
    with gr.Blocks(title="Painter demo") as demo:
        state = gr.State(first)
        with gr.Row(), gr.Column(min_width=320):
            grid = ScheduleGrid(
                value_of(first),
                spec=spec_of(steps, blocks, first.legend),
                layer=layer_of(steps, blocks),
                elem_id="grid",
            )
        with gr.Row():
            preset = gr.Button("Every 3rd", elem_id="preset", min_width=80)
            reset = gr.Button("Full", elem_id="reset", min_width=80)
            go = gr.Button("Run", elem_id="run", min_width=80)
            spoil = gr.Button("Run, spoiled", elem_id="spoil", min_width=80)
            stop = gr.Button("Stop", elem_id="stop", min_width=80)
            big = gr.Button("28 x 50", elem_id="big", min_width=80)
            small = gr.Button("3 x 8", elem_id="small", min_width=80)
            brushes = gr.Button("Forecast", elem_id="brushes", min_width=80)
            point = gr.Button("Point", elem_id="point", min_width=80)
            hide = gr.Button("Hide", elem_id="hide", min_width=80)
            show = gr.Button("Show", elem_id="show", min_width=80)
        with gr.Row():
            saw = gr.Textbox(label="Python holds", elem_id="saw", lines=2, max_lines=2)
            calls = gr.Number(0, label="calls", elem_id="calls")
            slow = gr.Number(0.0, label="handler delay (s)", elem_id="slow")

        def on_input(ops: tuple[Op, ...], held: State, delay: float, count: float) -> Any:
            time.sleep(delay or 0.0)
            held = reduce(held, ops)
            value = value_of(held)
            return held, value, "\n".join(value["rows"]), count + 1

        def replaced(label: str, n: int) -> Any:
            def handler(held: State) -> Any:
                steps, blocks, _ = held.actions.shape
                held = held.push(label, every(n, steps, blocks))
                value = value_of(held)
                return held, value, "\n".join(value["rows"])

            return handler

        quiet: dict[str, Any] = {
            "show_progress": "hidden", "api_visibility": "private", "queue": False,
        }  # fmt: skip
        grid.input(
            on_input, [grid, state, slow, calls], [state, grid, saw, calls],
            trigger_mode="always_last", **quiet,
        )  # fmt: skip
        preset.click(replaced("every 3rd step", 3), state, [state, grid, saw], **quiet)
        reset.click(replaced("full", 1), state, [state, grid, saw], **quiet)
        live: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        one = go.click(lambda held: (yield from run(held, 0.05, False)), state, grid, **live)
        two = spoil.click(lambda held: (yield from run(held, 0.02, True)), state, grid, **live)
        stop.click(lambda: gr.update(live=None), None, grid, cancels=[one, two], **quiet)
        for button, shape in ((big, (50, 28, (REUSE,))), (small, (8, 3, (REUSE,))),
                              (brushes, (20, 12, (REUSE, FORECAST)))):  # fmt: skip
            button.click(
                lambda held, shape=shape: sized(*shape, held.ack), state, [state, grid], **quiet
            )
        for button, visible in ((hide, False), (show, True)):
            button.click(lambda v=visible: gr.update(visible=v), None, grid, **quiet)
        point.click(lambda: gr.update(spot={"row": 6, "step": 9}), None, grid, **quiet)
    return demo


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else None
    build().launch(server_name="127.0.0.1", server_port=port, run_history=False, quiet=True)
