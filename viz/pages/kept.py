"""Results of this visit, so that going back to a schedule brings its pictures and numbers back.

Bounded by what the pictures take in memory; the result used longest ago goes first. What a policy
decided is not kept: the same paint does not bring it about again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from caching.measure.result import Result
from caching.schedule import Schedule
from viz.compare.values import Comparison
from viz.numbers import psnr_words
from viz.pages import studio
from viz.state import Entry, Settings, ViewState

MAX_MIB = 96.0


class Kept:
    """The results of one visit by what decides them, the last `max_mib` of them."""

    def __init__(self, max_mib: float = MAX_MIB) -> None:
        self._max_mib = max_mib
        self._found: OrderedDict[Hashable, Result] = OrderedDict()
        self._pictures: dict[int, Comparison] = {}  # of the results above, by their identity

    def __len__(self) -> int:
        return len(self._found)

    def keep(self, result: Result) -> None:
        """Keep a result; one that alone is too large stays until the next comes."""
        if result.policy is not None:
            return
        settings = Settings(result.label, result.seed, result.cfg_scale, result.sampler)
        key = (result.model, settings, paint_of(result.schedule))
        self._found[key] = result
        self._found.move_to_end(key)
        while len(self._found) > 1 and sum(map(size_mib, self._found.values())) > self._max_mib:
            _, gone = self._found.popitem(last=False)
            self._pictures.pop(id(gone), None)

    def find(self, state: ViewState, entry: Entry | None = None) -> Result | None:
        """The result of an entry of the history, by default the present one."""
        key = _key(state, entry or state.now)
        result = self._found.get(key)
        if result is not None:
            self._found.move_to_end(key)
        return result

    def pictures(self, result: Result, rev: int) -> Comparison:
        """The comparison that shows a result; a kept one is made once, which takes its time."""
        known = self._pictures.get(id(result))
        if known is not None:
            return replace(known, rev=rev)
        made = studio.comparison_of(result, rev)
        if any(result is one for one in self._found.values()):
            self._pictures[id(result)] = made
        return made

    def words(self, state: ViewState, entry: Entry) -> str | None:
        """The result of an entry in few words, or None; using it is not meant."""
        result = self._found.get(_key(state, entry))
        if result is None:
            return None
        figures = result.figures["cached"]
        psnr = "" if figures.psnr_db is None else f"{psnr_words(figures.psnr_db)}, "
        return f"{psnr}{figures.speedup:.2f}×"


def size_mib(result: Result) -> float:
    """What the pictures of a result take in memory at most, those made ready to send included."""
    return 2 * float(sum(p.frames.nbytes for p in result.pictures.values())) / 2**20


def _key(state: ViewState, entry: Entry) -> Hashable:
    return (state.model.name, entry.settings or state.settings, paint_of(entry.schedule))


@lru_cache(maxsize=2048)  # a history asks for all of its schedules after every stroke
def paint_of(schedule: Schedule) -> Hashable:
    """A schedule by what its cells and steps do, however its legends are sorted."""
    return (
        schedule.actions.shape,
        schedule.branches,
        *_sorted(schedule.actions, schedule.legend),
        *_sorted(schedule.step_actions, schedule.step_legend),
    )


def _sorted(numbers: np.ndarray, legend: Sequence[object]) -> tuple[tuple[str, ...], bytes]:
    used = sorted(set(np.unique(numbers).tolist()) - {0}, key=lambda k: repr(legend[k - 1]))
    table = np.zeros(len(legend) + 1, np.uint8)
    table[used] = np.arange(1, len(used) + 1)
    return tuple(repr(legend[k - 1]) for k in used), table[numbers].tobytes()
