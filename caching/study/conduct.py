"""Conducts a study: tunes every method to every target, judges and times it, once each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from caching.errors import CachebrushError, RequestError
from caching.methods import METHODS, method_of
from caching.methods.base import Method, Plan, Setting, settings_of
from caching.study import rivals
from caching.study.judge import Judge
from caching.study.ledger import Chosen, Ledger, Scores
from caching.study.rivals import Contender
from caching.study.tune import LEAST, MOST, Tuner, matched

RIVALS_ALREADY = frozenset({"full", "random"})
"""Methods of the page that stand in every group of a study under another name."""


@dataclass(frozen=True)
class Done:
    """One method or rival at one target is done.

    Attributes:
        name, target: which.
        words: what was found, for people.
        done, total: targets of methods.
        left_s: seconds left by what the others took; 0 at the end.
    """

    name: str
    target: float
    words: str
    done: int
    total: int
    left_s: float


def chosen_methods(names: Sequence[str] | None) -> tuple[str, ...]:
    """Names asked for, or all that apply to this kind of model, less those that are rivals anyway.

    Raises:
        RequestError: an unknown name, or one that does not apply.
    """
    if names is None:
        applying = [n for n, m in METHODS.items() if m.faithfulness != "does not apply"]
        return tuple(n for n in applying if n not in RIVALS_ALREADY)
    for name in names:
        if METHODS[method_of(name).name].faithfulness == "does not apply":
            raise RequestError(f"{name} does not apply: {METHODS[name].because}")
    return tuple(dict.fromkeys(names))


def conduct(
    judge: Judge,
    ledger: Ledger,
    setting: Setting,
    *,
    methods: Sequence[str],
    targets: Sequence[float],
    repeats: int = 0,
    made: Callable[[str], Method] = method_of,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Done]:
    """Does what the ledger lacks, rivals first; yields after every target of every method.

    A method that fails is noted with the reason and the study goes on; it is tried again next time.

    Args:
        judge: runs and compares.
        ledger: what is done already; gets what is new.
        setting: what methods plan for; of the judge's model and conditions.
        methods: names.
        targets: speed-ups in MACs.
        repeats: timed pictures of each row, 0: not timed.
        made: a method by its name.
        clock: seconds.
    """
    at = {target: rivals_at(judge, target) for target in targets}
    total = len(methods) * len(targets) + sum(map(len, at.values()))
    done, began = 0, clock()

    def report(name: str, target: float, words: str) -> Done:
        nonlocal done
        done += 1
        return Done(name, target, words, done, total, (clock() - began) / done * (total - done))

    for target, contenders in at.items():
        for contender in contenders:
            scores = _judged(judge, ledger, contender, repeats)
            yield report(contender.name, target, _words(contender, scores))
    _judged(judge, ledger, rivals.plain(judge.full_plan, judge.conditions.steps), 0)
    for name in methods:
        tuner: Tuner | None = None
        for target in targets:
            ledger.catch_up()
            kept = ledger.chosen.get((name, target))
            try:
                if kept is None or kept.speedup is None:
                    tuner = tuner or Tuner(made(name), setting, judge.speedup)
                    words = _tuned(judge, ledger, tuner, name, target, repeats)
                else:
                    method = replace(made(name), **dict(kept.controls or {}))
                    words = kept.why or _again(judge, ledger, setting, method, kept, repeats)
            except Exception as error:  # a faulty method must not end a study of hours
                kind = "" if isinstance(error, CachebrushError) else f"{type(error).__name__}: "
                words = f"{kind}{' '.join(str(error).split()):.300}"
                ledger.choose(name, target, Chosen(None, name, None, words))
            yield report(name, target, words)


def rivals_at(judge: Judge, target: float) -> tuple[Contender, ...]:
    """Fewer plain steps, even steps and random cells at one target."""
    full = judge.full_plan
    return (
        rivals.plain(full, rivals.plain_steps(full.steps, 1 / target)),
        rivals.even(full, target, judge.work),
        rivals.random_cells(full, target, judge.work),
    )


def _tuned(
    judge: Judge, ledger: Ledger, tuner: Tuner, name: str, target: float, repeats: int
) -> str:
    """Tunes, then judges what came out unless it misses the target."""
    rung = tuner.find(target)
    contender = rivals.of_method(rung.method, rung.plan)
    why = ""
    if not matched(rung.speedup, target):
        slower = rung.speedup < target
        why = (
            f"its {'fastest' if slower else 'slowest that is fast enough'} is "
            f"{rung.speedup:.2f}×, {contender.words}: outside {LEAST:g} to {MOST:g} times "
            "the target"
        )
    words = why
    if not why:
        words = _words(contender, _judged(judge, ledger, contender, repeats))
    controls = dict(contender.controls)
    chosen = Chosen(controls, contender.words, rung.speedup, why, tuple(rung.plan.notes))
    ledger.choose(name, target, chosen)
    return words


def _again(
    judge: Judge, ledger: Ledger, setting: Setting, method: Method, kept: Chosen, repeats: int
) -> str:
    """What an earlier study chose: judged and timed where that one did not come to it."""

    @cache
    def plan() -> Plan:
        return method.plan(setting)

    contender = Contender(method.name, settings_of(method), kept.words, lambda batch: plan())
    return _words(contender, _judged(judge, ledger, contender, repeats))


def _judged(judge: Judge, ledger: Ledger, contender: Contender, repeats: int) -> Scores:
    """The contender's scores, and the plain steps of the same work beside it."""
    ledger.catch_up()  # another process may have judged it meanwhile
    if contender.key not in ledger.judged:
        ledger.judge(contender.key, judge.scores(contender))
    scores = ledger.judged[contender.key]
    if contender.name != rivals.PLAIN:
        work = sum(scores.work) / len(scores.work)
        count = rivals.plain_steps(judge.full_plan.steps, work)
        _judged(judge, ledger, rivals.plain(judge.full_plan, count), 0)
    timed = ledger.timed.get(contender.key)
    if repeats and (timed is None or len(timed.ms) < repeats):
        ledger.time(contender.key, judge.time(contender, repeats))
    return scores


def _words(contender: Contender, scores: Scores) -> str:
    work = sum(scores.work) / len(scores.work)
    psnr = sum(scores.psnr_db) / len(scores.psnr_db)
    return f"{1 / work:.2f}×, {psnr:.2f} dB: {contender.words}"
