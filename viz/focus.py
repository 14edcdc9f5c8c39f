"""Attention to foreground and background: measured on request, and told in words."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from viz import text
from viz.images import picture_uri
from viz.state import ViewState
from viz.work import Asked, Pace, Told, in_turn

if TYPE_CHECKING:
    from caching.measure.focus import Focus
    from viz.live import Engine

FAINT = 0.25  # how much of a background pixel is left in the little picture


def key_of(state: ViewState) -> tuple[object, ...]:
    """What a measurement is of: everything but the paint."""
    return (state.model, state.settings, state.schedule.steps)


def measure(engine: Engine, state: ViewState, stopped: Asked) -> Iterator[Any]:
    """Yields Told on the way and Made[Focus] at last; ends early when stopped."""
    loaded = engine.wait_unless(state.model.name, stopped)
    if loaded is None:
        return

    def work(report: Callable[[Told], None], halt: Asked) -> Focus:
        from caching.measure.focus import measure_focus

        pace, s = Pace(), state.settings
        return measure_focus(
            loaded.model, label=s.label, seed=s.seed, steps=state.schedule.steps,
            cfg_scale=s.cfg_scale, sampler=s.sampler, stopped=halt,
            tell=lambda what, done, total: report(pace.told(what, done, total)),
        )  # fmt: skip

    yield from in_turn(work, engine.turn, stopped)


def words_of(focus: Focus) -> str:
    """The figure in words."""
    area = float(focus.foreground.mean())
    lift = focus.lift
    if not np.isfinite(lift).all():
        return text.FOCUS_FLAT
    blocks = lift.mean(0)
    most, least = int(blocks.argmax()), int(blocks.argmin())
    halves = np.array_split(lift.mean(1), 2) if len(lift) > 1 else [lift.mean(1)] * 2
    return text.FOCUS_WORDS.format(
        area=f"{area:.0%}", most=most, by=f"{blocks[most]:.2f}", least=least,
        under=f"{blocks[least]:.2f}", early=f"{halves[0].mean():.2f}",
        late=f"{halves[1].mean():.2f}",
    )  # fmt: skip


def focus_html(focus: Focus) -> str:
    """The words, beside the picture with its background faint."""
    side = round(len(focus.foreground) ** 0.5)
    tall, wide = focus.picture.shape[:2]
    mask = focus.foreground.reshape(side, side)
    mask = mask.repeat(tall // side, 0).repeat(wide // side, 1)[..., None]
    grey = 128 + (focus.picture.astype(np.float64) - 128) * FAINT
    shown = np.where(mask, focus.picture, np.rint(grey)).astype(np.uint8)
    alt = html.escape(text.FOCUS_ALT)
    image = f'<img src="{picture_uri(shown)}" width="96" height="96" alt="{alt}">'
    return (
        f'<div class="cb-focus">{image}<p class="cb-figure-words">{html.escape(words_of(focus))} '
        f"{html.escape(text.FOCUS_HOW)}</p></div>"
    )
