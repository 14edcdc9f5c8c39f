"""The studio: what each part of the page shows for a state, a result and the tables at hand."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from caching.context import Context
from caching.formats.exporters import EXPORTERS
from caching.measure.result import Result
from caching.predict.proxy import Tables
from caching.schedule import Schedule
from viz.compare.values import Comparison, source
from viz.figures.curves import text_summary
from viz.grid import show
from viz.grid.encode import grid_layer
from viz.numbers import psnr_words, title_of
from viz.state import Entry, ModelFacts, Settings, ViewState

if TYPE_CHECKING:
    from caching.models.family import Family

SAMPLER_NAMES: Mapping[str, str] = {
    "ddim": "DDIM (papers' spacing)",
    "ddim-diffusers": "DDIM (diffusers' spacing)",
    "dpmsolver++": "DPM-Solver++ 2M",
    "euler": "Euler",
    "ddpm": "DDPM (stochastic)",
}
# They draw noise at every step, so that errors of caching grow; a test holds this to the engine.
STOCHASTIC = frozenset({"ddpm"})


SHORT_NOTICE = 90  # characters that every width of the page has room for
# Ours is what Save gives.
EXPORTS = [(e.label, name) for name, e in EXPORTERS.items() if name != "cachebrush"]


def start_state(result: Result) -> ViewState:
    """The state a page opens in: the recorded run's own."""
    model = ModelFacts(result.model, result.blocks, result.branches, result.class_names)
    settings = Settings(result.label, result.seed, result.cfg_scale, result.sampler)
    return ViewState(model, settings, Entry("start", result.schedule))


def changes_known(tables: Tables) -> bool:
    """Whether a full run has been measured; a model that was just loaded has zeros instead."""
    return bool(tables.change.any())


def timesteps_of(result: Result, state: ViewState) -> tuple[float, ...] | None:
    """(S,) the timesteps the page's steps visit, when `result` ran the same ones."""
    s = state.settings
    same = (result.model, result.sampler) == (state.model.name, s.sampler)
    return result.timesteps if same and len(result.timesteps) == state.schedule.steps else None


def tables_for(tables: Tables, steps: int) -> Tables:
    """The tables at another step count, marked as carried over until a run refreshes them."""
    return tables if tables.change.shape[0] == steps else tables.resample(steps)


def spec_of(
    state: ViewState,
    tables: Tables,
    timesteps: tuple[float, ...] | None,
    family: Family | None = None,
) -> dict[str, Any]:
    """What the painter must know besides the schedule; `family`: of the loaded model, if any."""
    steps = state.schedule.steps
    known = timesteps if timesteps and len(timesteps) == steps else None
    return show.spec_of(state, tables_for(tables, steps), known, family)


def last_change(tables: Tables) -> np.ndarray:
    """Relative L1 change since the step before, float32 (S, L, R), NaN at step 0 and if unknown."""
    change: np.ndarray = tables.change[..., 0].astype(np.float32)
    change = change.copy()
    change[0] = np.nan
    return change if changes_known(tables) else np.full_like(change, np.nan)


def layer_of(tables: Tables) -> dict[str, Any] | None:
    """The colour layer, or None when nothing has been measured yet."""
    if not changes_known(tables):
        return None
    change = last_change(tables)
    # A few cells change several times as much as the rest and would leave it all one colour.
    high = max(1e-3, float(np.nanpercentile(change, 95))) if len(change) > 1 else 1.0
    return grid_layer(
        change, label="change since the step before (relative L1)", low=0.0, high=high, lag=1
    )


def executed_of(result: Result) -> dict[str, Any]:
    """The executed marks of a finished run."""
    return show.live_of(
        f"{result.model}-{result.seed}-{hash((result.schedule, result.policy))}",
        result.schedule,
        result.executed,
        result.executed_actions,
        done=True,
        ms=result.step_ms,
        decided=result.decided,
        policy=result.policy,
    )


def held_words(result: Result) -> str:
    """What is equal in all pictures of a comparison."""
    return held_of(result, result.class_names)


def held_of(of: Settings | Result, class_names: Sequence[str]) -> str:
    """The same of what is asked for, run or not."""
    # Class names come with a model, and a stage refuses long words.
    name = shortened(class_names[of.label], 50)
    return (
        f"same noise, seed {of.seed} · {name} · "
        f"guidance {of.cfg_scale:g} · {SAMPLER_NAMES.get(of.sampler, of.sampler)}"
    )


def shortened(text: str, most: int) -> str:
    """At most `most` characters, the end of a path being the part that tells."""
    return text if len(text) <= most else "…" + text[1 - most :]


def comparison_of(result: Result, rev: int, *, other_model: bool = False) -> Comparison:
    """The three pictures with their trajectories; `other_model`: not of the one in use now."""
    sources = {}
    for name, pictures in result.pictures.items():
        f = result.figures[name]
        time_words = f"{f.median_ms:.0f} ms"
        caption = f"{f.work:.0%} of the work · {time_words}"
        if f.psnr_db is not None:
            caption += f" · {psnr_words(f.psnr_db)}"
        sources[name] = source(
            title_of(name, f, result.policy), caption, pictures.frames, pictures.final
        )
    badge = "recorded" if result.recorded else None
    if other_model:
        badge = f"of {shortened(result.model, 60)}"
    return Comparison(rev, held_words(result), sources, badge)


def curves_words(tables: Tables, branches: tuple[str, ...]) -> str:
    return text_summary(last_change(tables), branches=branches)


def notice_html(text: str, kind: str = "info") -> str:
    """One line for the page: kind info, busy, ready or error."""
    if not text:
        return ""
    role = "alert" if kind == "error" else "status"
    stop = ' tabindex="0"' if len(text) > SHORT_NOTICE else ""  # the page cuts it until looked at
    return (
        f'<div class="cb-notice cb-{kind}" role="{role}" data-testid="notice" data-kind="{kind}"'
        f"{stop}><span>{html.escape(text)}</span></div>"
    )


def is_stale(result: Result, state: ViewState) -> bool:
    """Whether `result` was measured for something else than what the page now asks for."""
    return is_of_other_request(result, state) or not same_paint(result.schedule, state.schedule)


def is_of_other_request(result: Result, state: ViewState) -> bool:
    """Whether class, seed, guidance, sampler, model or number of steps are others."""
    s = state.settings
    same = (result.label, result.seed, result.cfg_scale, result.sampler, result.model)
    return (
        same != (s.label, s.seed, s.cfg_scale, s.sampler, state.model.name)
        or result.schedule.actions.shape != state.schedule.actions.shape
    )


def same_paint(a: Schedule, b: Schedule) -> bool:
    """Whether two schedules of one shape ask for the same, whatever else their legends hold."""
    found = a.diff(b)
    return not found.changed and not found.steps


def is_of_other_model(result: Result, state: ViewState) -> bool:
    return result.model != state.model.name


def context_of(state: ViewState, result: Result) -> Context:
    """What a schedule would run under on this page, as far as it is known."""
    return Context(
        steps=state.schedule.steps,
        sampler=state.settings.sampler,
        timesteps=timesteps_of(result, state),
        model_id=state.model.name,
        # At a guidance of 1 there is no null pass to double the batch with.
        guidance="doubled batch" if state.settings.cfg_scale > 1 else "none",
    )


def file_of(state: ViewState, result: Result) -> Schedule:
    """The schedule as it should be saved: with the context it was painted in.

    The context it came with says more, and stays for as long as it is true of this page.
    """
    s, here = state.schedule, context_of(state, result)
    agrees = s.context is not None and not s.mismatches(here)
    return replace(s.compact(), context=s.context if agrees else here)
