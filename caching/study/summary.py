"""A ledger's judged pictures as the rows of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from caching.methods import METHODS
from caching.study.bootstrap import Interval, interval
from caching.study.ledger import Ledger, Scores
from caching.study.rivals import PLAIN, Contender, plain_steps
from caching.study.store import Missing, Row, Study
from caching.study.tune import LEAST, MOST, matched


def summarise(
    ledger: Ledger,
    *,
    methods: Sequence[str],
    rivals: Mapping[float, Sequence[Contender]],
    setting: str,
    command: str,
    date: str,
) -> Study:
    """Everything the ledger knows at the targets that `rivals` has, as a study.

    Args:
        ledger: what was judged.
        methods: names of those that take part.
        rivals: target -> contenders in its group.
        setting: of the times that are shown; those of other machines are left out.
        command, date: when and how, for the record.
    """
    rows: list[Row] = []
    missing: list[Missing] = []
    for target, contenders in rivals.items():
        group = []
        for one in contenders:
            group += _rows(ledger, one.name, one.controls, one.words, target, setting, ())
        for name in methods:
            kept = ledger.chosen.get((name, target))
            if kept is None:
                missing.append(Missing(name, target, None, "not judged yet"))
            elif kept.why or kept.controls is None:
                missing.append(Missing(name, target, kept.speedup, kept.why))
            else:
                found = _rows(ledger, name, kept.controls, kept.words, target, setting, kept.notes)
                group += found
                for row in found:
                    if not row.matched:
                        why = (
                            f"tuned to {kept.speedup:.2f}× and judged at {row.speedup:.2f}×, "
                            f"outside {LEAST:g} to {MOST:g} times the target"
                        )
                        missing.append(Missing(name, target, row.speedup, why))
        rows += sorted(group, key=lambda row: -row.psnr_db.mean)
    steps = ledger.conditions.steps
    plain = []
    for count in range(1, steps + 1):
        words = f"{count} plain steps"
        plain += _rows(ledger, PLAIN, {"steps": count}, words, None, setting, ())
    times = [t for t in ledger.timed.values() if t.setting == setting]
    asked = ledger.conditions
    for name, kind in METHODS.items():
        if kind.faithfulness == "does not apply":
            missing.append(Missing(name, None, None, kind.because))
    return Study(
        model=asked.model,
        weights_hash=asked.weights_hash,
        steps=steps,
        cfg_scale=asked.cfg_scale,
        sampler=asked.sampler,
        pictures=len(asked.seeds),
        first_seed=asked.seeds[0],
        targets=tuple(rivals),
        command=command,
        setting=setting if times else "",
        date=date,
        full_ms=float(np.median([ms for t in times for ms in t.full_ms])) if times else None,
        rows=tuple(rows),
        plain=tuple(plain),
        missing=tuple(missing),
    )


def _rows(
    ledger: Ledger,
    name: str,
    controls: Mapping[str, Any],
    words: str,
    target: float | None,
    setting: str,
    notes: tuple[str, ...],
) -> list[Row]:
    """One row, or none where the ledger lacks it."""
    key = Contender(name, controls, words, _nothing).key
    scores = ledger.judged.get(key)
    if scores is None:
        return []
    work = np.array(scores.work)
    speedup = float(1 / work.mean())
    count = plain_steps(ledger.conditions.steps, float(work.mean()))
    rival = ledger.judged.get(Contender(PLAIN, {"steps": count}, "", _nothing).key)
    timed = ledger.timed.get(key)
    if timed is not None and timed.setting != setting:
        timed = None
    kind = METHODS.get(name)
    return [
        Row(
            method=name,
            controls=dict(controls),
            words=words,
            faithfulness="rival" if kind is None else kind.faithfulness,
            target=target,
            speedup=speedup,
            least_speedup=float(1 / work.max()),
            most_speedup=float(1 / work.min()),
            matched=target is None or kind is None or matched(speedup, target),
            decided=scores.decided,
            steps=scores.steps,
            ms=None if timed is None else float(np.median(timed.ms)),
            ms_speedup=None if timed is None else _median_ratio(timed.full_ms, timed.ms),
            psnr_db=interval(scores.psnr_db),
            ssim=interval(scores.ssim),
            latent_rel_l2=interval(scores.latent_rel_l2),
            agrees=_share(scores.agrees),
            same=_share(scores.same),
            rival_steps=count,
            gain_db=None if name == PLAIN or rival is None else _gain(scores, rival),
            notes=notes,
        )
    ]


def _nothing(batch: int) -> Any:
    raise AssertionError("only the key of this contender is asked for")


def _share(values: tuple[float, ...]) -> Interval | None:
    return interval(values) if values else None


def _gain(scores: Scores, rival: Scores) -> Interval:
    """Picture by picture: what differs from picture to picture alike in both is not in it."""
    return interval(np.array(scores.psnr_db) - np.array(rival.psnr_db))


def _median_ratio(full_ms: tuple[float, ...], ms: tuple[float, ...]) -> float:
    return float(np.median(np.array(full_ms) / np.array(ms)))
