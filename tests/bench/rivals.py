"""Who the slider is compared with: tuned to a speed-up by their own control, judged, and timed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from caching.errors import CachebrushError
from caching.formats.native import from_json, to_json
from caching.measure.timing import time_runs
from caching.methods import method_of
from caching.methods.base import Method, Plan
from caching.methods.setting import ModelSetting
from caching.study import rivals
from caching.study.judge import Judge
from caching.study.ledger import Chosen, Ledger, Scores
from caching.study.rivals import Contender
from caching.study.tune import NEAR, Tuner, matched

REUSES = (
    "fora", "smoothcache", "l2c", "harmonica", "perblock", "bac", "ends", "pab", "procache",
    "ecad", "invardiff", "profilingdit", "deepcache", "deltadit", "ebcache",
)  # fmt: skip
"""Methods that put back what was stored, of branches, blocks or steps, without forecast, correction
or work on single tokens; EB-Cache scales what the model says besides."""
DECIDES = (
    "teacache", "fbcache", "dbcache", "magcache", "sencache", "easycache", "dicache", "lazydit",
)  # fmt: skip
"""Likewise, but each run decides for itself when."""
FORECASTS = ("taylorseer",)


@dataclass(frozen=True, eq=False)
class Judged:
    """A contender and what was found.

    Attributes:
        contender: who.
        psnr_db: (N,) of every picture; N may be less than all where it lies far behind.
        work: share of a full run's products, in the mean.
    """

    contender: Contender
    psnr_db: np.ndarray
    work: float

    @property
    def name(self) -> str:
        return "/".join(self.contender.key)

    def plan(self) -> Plan:
        return self.contender.plan(0)


class Ring:
    """Tunes, judges and times; what is done is kept in a folder.

    Args:
        judge, ledger: over all pictures.
        few: likewise over the first of them, for a first look.
        setting: what methods plan for.
        folder: for the times.
        near: of `Tuner`.
        tuning: pictures that say how fast a policy is; None: all that there are.
    """

    def __init__(
        self,
        judge: Judge,
        ledger: Ledger,
        few: tuple[Judge, Ledger],
        setting: ModelSetting,
        folder: Path,
        *,
        near: float = NEAR,
        tuning: int | None = None,
    ) -> None:
        self.judge, self.ledger, self.few, self.setting = judge, ledger, few, setting
        self._times = folder / f"rounds-{ledger.conditions.key}.json"
        self._plans = folder / f"plans-{ledger.conditions.key}.json"
        self.rounds: list[dict[str, float]] = _read(self._times).get("rounds", [])
        """Milliseconds by name, one picture of each in turn."""
        self._grids: dict[str, Any] = _read(self._plans)
        self._near, self._tuning = near, tuning
        self._tuners: dict[str, Tuner] = {}

    def tuned(self, name: str, target: float) -> Contender | str:
        """A method at its setting for a speed-up, as studies tune it; or why there is none."""
        kept = self.ledger.chosen.get((name, target))
        if kept is None or kept.speedup is None:
            try:
                rung = self._tuner(name).find(target)
            except CachebrushError as error:
                return " ".join(str(error).split())
            one = rivals.of_method(rung.method, rung.plan)
            why = (
                "" if matched(rung.speedup, target) else f"comes no nearer than {rung.speedup:.2f}×"
            )
            kept = Chosen(dict(one.controls), one.words, rung.speedup, why)
            self.ledger.choose(name, target, kept)
        if kept.why:
            return kept.why
        method = replace(method_of(name), **dict(kept.controls or {}))
        one = Contender(name, dict(kept.controls or {}), kept.words, lambda _: planned())

        @cache
        def planned() -> Plan:
            return self._planned(method, "/".join(one.key))

        return one

    def _tuner(self, name: str) -> Tuner:
        """One for all targets: what decides by itself is measured by runs."""
        if name not in self._tuners:
            self._tuners[name] = Tuner(
                method_of(name),
                self.setting,
                lambda plan: self.judge.speedup(plan, self._tuning),
                near=self._near,
            )
        return self._tuners[name]

    def _planned(self, method: Method, key: str) -> Plan:
        """A plan may need a calibration of a minute; grids are kept, what decides is made anew."""
        if key in self._grids:
            return Plan(from_json(self._grids[key]))
        plan = method.plan(self.setting)
        if plan.policy is None:
            self._grids[key] = to_json(plan.schedule)
            self._plans.write_text(json.dumps(self._grids), encoding="utf-8")
        return plan

    def judged(self, contender: Contender, behind: float | None = None) -> Judged:
        """Over all pictures; over the first few where these are enough.

        Args:
            behind: PSNR of the first few that is enough not to go on; None: all are judged.
        """
        if contender.key not in self.ledger.judged and behind is not None:
            scores = self._scores(contender, *self.few)
            if np.mean(scores.psnr_db) < behind:
                return _judged(contender, scores)
        return _judged(contender, self._scores(contender, self.judge, self.ledger))

    def time(self, all_: Sequence[Judged], repeats: int) -> None:
        """Every plan in turn, one picture at a time; the first round warms up.

        Each round has another order: a machine is faster for some seconds and slower for others,
        and neighbours in the order would share that in every round.
        """
        plans = {one.name: one.plan() for one in all_}
        for turn in range(-1, repeats):
            order = np.random.default_rng(len(self.rounds)).permutation(sorted(plans)).tolist()
            of = self.judge.conditions
            timing = time_runs(
                self.judge.model,
                {name: plans[name].policy or plans[name].schedule for name in order},
                label=self.judge.labels[max(turn, 0)],
                seed=of.seeds[max(turn, 0)],
                cfg_scale=of.cfg_scale,
                sampler=of.sampler,
                steps=of.steps,
                repeats=1,
                fits=self.judge.fits,
            )
            assert timing is not None
            if turn < 0:
                continue
            taken = zip(timing.names, timing.total_ms, strict=True)
            self.rounds.append({name: ms for name, (ms,) in taken})
            self._times.write_text(json.dumps({"rounds": self.rounds}), encoding="utf-8")

    def times(self, all_: Sequence[Judged]) -> tuple[dict[str, float], int]:
        """What each one takes, and in how many rounds: those that timed all, so that each met what
        else the machine did as often as the others. Nothing where none did.

        The median of its milliseconds over the round's pace, which is the median of what all took
        in that round, each as a share of its own median.
        """
        names = sorted({one.name for one in all_})
        shared = [taken for taken in self.rounds if taken.keys() >= set(names)]
        if not shared:
            return {}, 0
        taken = np.array([[one[name] for name in names] for one in shared])
        pace = np.median(taken / np.median(taken, axis=0), axis=1, keepdims=True)
        return dict(zip(names, np.median(taken / pace, axis=0).tolist(), strict=True)), len(shared)

    def _scores(self, contender: Contender, judge: Judge, ledger: Ledger) -> Scores:
        ledger.catch_up()
        if contender.key not in ledger.judged:
            ledger.judge(contender.key, judge.scores(contender))
        return ledger.judged[contender.key]


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _judged(contender: Contender, scores: Scores) -> Judged:
    return Judged(contender, np.array(scores.psnr_db), float(np.mean(scores.work)))
