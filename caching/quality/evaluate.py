"""Draws pictures with the full model and with every arm from the same noises, and judges them."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from caching.engine.fits import Fits
from caching.engine.request import prepare
from caching.engine.run import Run, iter_sample
from caching.errors import RequestError
from caching.measure.fidelity import picture_fidelity
from caching.models.model import Model
from caching.quality import store
from caching.quality.features import Net, Seen
from caching.quality.judged import FULL, NOTHING, Arm, Conditions, Judged
from caching.quality.store import MAX_PICTURES, Saved
from caching.schedule import Schedule

BATCH = 8
FIRST_SEED = 10_000_000
"""Far from the seeds that calibrations, trainings and the study draw from."""

SAVE_EVERY_S = 5.0
EQUAL_DB = 100.0
"""What a picture equal to the full run's counts as in a mean of PSNR."""

Gap = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""LPIPS: two sets of pictures uint8 (N, H, W, 3) -> (N,)."""


class Turn(Protocol):
    """What must be held while a batch runs."""

    def __enter__(self) -> object: ...

    def __exit__(self, *error: object) -> object: ...


class Free:
    """A turn that nobody else wants."""

    def __enter__(self) -> object:
        return self

    def __exit__(self, *error: object) -> object:
        return None


@dataclass(frozen=True, eq=False)
class Progress:
    """Where an evaluation stands after a batch.

    Attributes:
        done, total: pictures of each arm.
        left_s: estimated, None before there is anything to estimate from.
        saved: what is known.
    """

    done: int
    total: int
    left_s: float | None
    saved: Saved


def conditions_of(
    model: Model,
    net: Net,
    *,
    steps: int,
    cfg_scale: float,
    sampler: str,
    first_seed: int = FIRST_SEED,
    lpips: bool = False,
) -> Conditions:
    """What was asked for, checked as a run's own request is."""
    request, _, _ = prepare(
        model, None, label=0, seed=first_seed, steps=steps, cfg_scale=cfg_scale, sampler=sampler
    )
    return Conditions(
        model=model.name,
        weights_hash=model.weights_hash,
        steps=request.steps,
        cfg_scale=request.cfg_scale,
        sampler=request.sampler,
        dtype=request.dtype,
        first_seed=first_seed,
        net=net.key,
        lpips=lpips,
    )


def begin(conditions: Conditions, arms: Sequence[Arm], path: Path | None) -> Saved:
    """What a file knows already, nothing where there is none.

    Raises:
        RequestError: it cannot be read, or is of other runs.
    """
    wanted = {arm.key: arm.words for arm in arms}
    if path is None or not path.exists():
        return Saved(conditions, wanted, dict.fromkeys((FULL, *wanted), NOTHING))
    found = store.load(path)
    if found.conditions != conditions:
        differ = [
            f"{name} {value!r:.60}, not {getattr(conditions, name)!r:.60}"
            for name, value in vars(found.conditions).items()
            if value != getattr(conditions, name)
        ]
        raise RequestError(
            f"{path} holds an evaluation of other runs ({'; '.join(differ)}): give another --out, "
            "or ask for the same."
        )
    if set(found.arms) != set(wanted):
        held = ", ".join(found.arms.values()) or "the full model alone"
        raise RequestError(
            f"{path} holds an evaluation of {held:.200}, expected one of "
            f"{', '.join(wanted.values()) or 'the full model alone':.200}: give another --out."
        )
    return Saved(conditions, wanted, found.judged)


class Kept:
    """Full runs of some pictures, kept for the next evaluation under the same conditions."""

    def __init__(self, budget_mib: float = 64.0) -> None:
        self.budget_mib, self._key = budget_mib, ""
        self._runs: dict[int, tuple[np.ndarray, np.ndarray, Seen]] = {}

    def get(self, key: str, first: int, count: int) -> tuple[np.ndarray, np.ndarray, Seen] | None:
        """Pictures, latents and what was seen of the batch that began at `first`."""
        found = self._runs.get(first) if key == self._key else None
        return found if found is not None and len(found[0]) == count else None

    def add(self, key: str, first: int, batch: tuple[np.ndarray, np.ndarray, Seen]) -> None:
        """Keeps a batch, if there is room; other conditions make room."""
        if key != self._key:
            self._key, self._runs = key, {}
        held = sum(images.nbytes + latents.nbytes for images, latents, _ in self._runs.values())
        if held + batch[0].nbytes + batch[1].nbytes <= self.budget_mib * 2**20:
            self._runs[first] = batch


def iter_evaluate(
    model: Model,
    arms: Sequence[Arm],
    net: Net,
    conditions: Conditions,
    *,
    samples: int,
    path: Path | None = None,
    batch: int = BATCH,
    lpips: Gap | None = None,
    kept: Kept | None = None,
    turn: Turn | None = None,
    stopped: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Progress]:
    """Judge `samples` pictures of the full model and of every arm; yields after every batch.

    A file is gone on from and written every few seconds; closing the iterator, an error and
    `stopped` leave it with every whole batch in it.

    Args:
        model: what runs.
        arms: what is compared with the full model; none: the full model alone.
        net: what judges.
        conditions: of `conditions_of`.
        samples: N.
        path: where it is kept; None: nowhere.
        batch: pictures that run together.
        lpips: takes LPIPS too.
        kept: full runs of earlier evaluations.
        turn: held while a batch runs, and let go of in between.
        stopped: ends it.

    Raises:
        RequestError: too many pictures; a file of other runs; a run ends as NaN.
    """
    if not 2 <= samples <= MAX_PICTURES:
        raise RequestError(
            f"{samples} pictures were asked for, expected 2 to {MAX_PICTURES}; 64 is quick, 5000 "
            "is what papers compare."
        )
    saved = begin(conditions, arms, path)
    maker = _Maker(model, conditions, net, lpips, kept)
    first = len(saved)
    done, began, written = first, clock(), clock()
    fresh = False
    try:
        if done >= samples:
            cut = {key: judged.first(samples) for key, judged in saved.judged.items()}
            yield Progress(samples, samples, 0.0, Saved(conditions, saved.arms, cut))
            return
        while done < samples and not stopped():
            numbers = range(done, min(samples, done + batch))
            with turn or Free():
                made = maker.batch(numbers, arms, stopped)
            if made is None:
                return
            saved = Saved(
                conditions,
                saved.arms,
                {key: saved.judged[key].and_then(made[key]) for key in (FULL, *saved.arms)},
            )
            done, fresh = len(saved), True
            if path is not None and clock() - written >= SAVE_EVERY_S:
                store.save(saved, path)
                written, fresh = clock(), False
            left = (clock() - began) / (done - first) * (samples - done)
            yield Progress(done, samples, left, saved)
    finally:
        if path is not None and fresh:
            store.save(saved, path)


class _Maker:
    """Makes and judges batches."""

    def __init__(
        self, model: Model, conditions: Conditions, net: Net, lpips: Gap | None, kept: Kept | None
    ) -> None:
        self.model, self.conditions, self.net, self.lpips = model, conditions, net, lpips
        self.kept = kept or Kept(0.0)
        self.fits = Fits()
        steps = conditions.steps
        self.full = Arm(FULL, Schedule.full(steps, model.blocks, branches=model.branches))

    def batch(
        self, numbers: range, arms: Sequence[Arm], stopped: Callable[[], bool]
    ) -> dict[str, Judged] | None:
        """Pictures of these numbers, of the full model and every arm; None when stopped."""
        classes = len(self.model.class_names)
        labels = [i % classes for i in numbers]
        seeds = [self.conditions.first_seed + i for i in numbers]
        full = self.kept.get(self.conditions.key, numbers[0], len(numbers))
        if full is None:
            ran = self._run(self.full, labels, seeds, stopped)
            if ran is None:
                return None
            images, latents, _ = ran
            full = images, latents, self.net.see(images)
            self.kept.add(self.conditions.key, numbers[0], full)
        found = {FULL: _judged(full[2], np.ones(len(labels)))}
        for arm in arms:
            ran = self._run(arm, labels, seeds, stopped)
            if ran is None:
                return None
            images, latents, work = ran
            close = self._closeness(images, latents, full[0], full[1])
            found[arm.key] = _judged(self.net.see(images), work, close)
        return found

    def _run(
        self, arm: Arm, labels: list[int], seeds: list[int], stopped: Callable[[], bool]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Pictures, latents and work of an arm. A policy runs one picture at a time, as the page
        does: in a batch it would decide for all pictures by their mean."""
        each = 1 if arm.policy is not None else len(labels)
        images, latents, work = [], [], []
        for first in range(0, len(labels), each):
            mine = slice(first, first + each)
            events = iter_sample(
                self.model,
                None if arm.policy is not None else arm.schedule,
                steps=arm.schedule.steps,
                policy=arm.policy,
                fits=self.fits,
                label=labels[mine],
                seed=seeds[mine],
                cfg_scale=self.conditions.cfg_scale,
                sampler=self.conditions.sampler,
                stopped=stopped,
            )
            last = deque(events, maxlen=1)
            run = last.pop() if last else None
            if not isinstance(run, Run):  # stopped
                return None
            if not bool(run.latents.isfinite().all()):
                raise RequestError(f"{arm.words}: its latents end as NaN or infinity.")
            images.append(run.images)
            latents.append(run.latents.float().numpy())
            full = run.cost.macs_full / arm.schedule.steps * self.conditions.steps
            work += [run.cost.macs / full] * len(run.images)
        return np.concatenate(images), np.concatenate(latents), np.array(work, np.float64)

    def _closeness(
        self, images: np.ndarray, latents: np.ndarray, full: np.ndarray, full_latents: np.ndarray
    ) -> dict[str, np.ndarray]:
        """(N,) PSNR, SSIM and latent error against the full run of each picture."""
        pairs = [picture_fidelity(a, b) for a, b in zip(images, full, strict=True)]
        flat, base = (x.reshape(len(x), -1).astype(np.float64) for x in (latents, full_latents))
        gap = np.linalg.norm(flat - base, axis=1) / np.linalg.norm(base, axis=1)
        found = {
            "psnr_db": np.array([EQUAL_DB if math.isinf(p) else p for p, _ in pairs]),
            "ssim": np.array([s for _, s in pairs]),
            "latent_rel_l2": gap,
        }
        if self.lpips is not None:
            found["lpips"] = self.lpips(images, full).astype(np.float64)
        return found


def _judged(seen: Seen, work: np.ndarray, close: dict[str, np.ndarray] | None = None) -> Judged:
    found = {"features": seen.features, "work": work, **(close or {})}
    if seen.classes is not None:
        found["classes"] = seen.classes.astype(np.int32)
    if seen.spatial is not None:
        found["spatial"] = seen.spatial
    if seen.logits is not None:
        found["logits"] = seen.logits
    if not all(np.isfinite(values).all() for values in found.values()):
        raise RequestError("a picture's features are not finite: the net cannot judge it.")
    return Judged(found)
