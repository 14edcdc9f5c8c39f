"""Runs contenders over many pictures and says how close each came to its own full run."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from caching.engine.fits import Fits
from caching.engine.run import Run, iter_sample
from caching.errors import RequestError
from caching.measure.cost import cost_of
from caching.measure.fidelity import picture_fidelity
from caching.measure.timing import setting_of, time_runs
from caching.methods.base import Plan
from caching.models.model import Model
from caching.schedule import Schedule
from caching.study.ledger import Conditions, Scores, Timed
from caching.study.rivals import Contender

if TYPE_CHECKING:
    from caching.measure.classifier import SceneClassifier

EQUAL_DB = 100.0
"""What a picture equal to the full run's counts as in a mean of PSNR."""


class Judge:
    """One model under the conditions of a study; the full runs are made once, when needed.

    A schedule runs in batches. A policy runs one picture at a time, as the page does: in a batch it
    would decide for all pictures by their mean, which is another method.

    Args:
        model: what runs.
        conditions: of the runs; its model must be this one.
        classifier: names classes of pictures; None: class agreement is not judged.
        batch: pictures that run together.
        kept: a file for the full runs, so that a study that goes on has them; None: made anew.
        tell: told of the pictures of a contender that are done, of how many.
    """

    def __init__(
        self,
        model: Model,
        conditions: Conditions,
        *,
        classifier: SceneClassifier | None = None,
        batch: int = 8,
        kept: Path | None = None,
        tell: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.model, self.conditions = model, conditions
        self.classifier, self.batch, self.tell = classifier, batch, tell
        self.kept = kept
        self.fits = Fits()
        self.warm = False
        classes = len(model.class_names)
        self.labels = [i % classes for i in range(len(conditions.seeds))]
        self.tuning_labels = [i % classes for i in range(len(conditions.tuning_seeds))]
        self.full_plan = Schedule.full(conditions.steps, model.blocks, branches=model.branches)

    def work(self, schedule: Schedule) -> float:
        """Share of the full run's products, exact, without running it."""
        mine, full = cost_of(self.model, schedule), cost_of(self.model, self.full_plan)
        return mine.macs / full.macs

    def speedup(self, plan: Plan, pictures: int | None = None) -> float:
        """In MACs; of a policy the mean work over the tuning pictures decides, or the first few."""
        if plan.policy is None:
            return 1 / self.work(plan.schedule)
        works = []
        asked = zip(self.tuning_labels, self.conditions.tuning_seeds, strict=True)
        for label, seed in islice(asked, pictures):
            run = self._run(plan, [label], [seed])
            works.append(run.cost.macs / run.cost.macs_full)
        return 1 / float(np.mean(works))

    def scores(self, contender: Contender) -> Scores:
        """Every judged picture against the full run of its label and seed."""
        full_images, full_latents, full_classes = self._full
        each = 1 if contender.plan(0).policy is not None else self.batch
        found: dict[str, list[float]] = {n: [] for n in ("work", "psnr", "ssim", "latent")}
        classes: list[int] = []
        steps, decided = self.conditions.steps, False
        for number, first in enumerate(range(0, len(self.labels), each)):
            plan = contender.plan(number)
            steps, decided = plan.schedule.steps, plan.policy is not None
            mine = slice(first, first + each)
            run = self._run(plan, self.labels[mine], list(self.conditions.seeds[mine]))
            count = len(run.images)
            work = run.cost.macs / (run.cost.macs_full / steps * self.conditions.steps)
            found["work"] += [work] * count
            for image, reference in zip(run.images, full_images[mine], strict=True):
                psnr, ssim = picture_fidelity(image, reference)
                found["psnr"].append(EQUAL_DB if math.isinf(psnr) else psnr)
                found["ssim"].append(ssim)
            reference = full_latents[mine].flatten(1)
            gap = (run.latents.flatten(1) - reference).norm(dim=1) / reference.norm(dim=1)
            found["latent"] += gap.tolist()
            classes += self._classes(run.images)
            self.tell(first + count, len(self.labels))
        return Scores(
            steps=steps,
            decided=decided,
            work=tuple(found["work"]),
            psnr_db=tuple(found["psnr"]),
            ssim=tuple(found["ssim"]),
            latent_rel_l2=tuple(found["latent"]),
            agrees=tuple(float(a == b) for a, b in zip(classes, self.labels, strict=False)),
            same=tuple(float(a == b) for a, b in zip(classes, full_classes, strict=False)),
        )

    def time(self, contender: Contender, repeats: int) -> Timed:
        """The first judged pictures, one at a time, full run and this in turn; nothing else runs
        and nothing is kept of them. The first pair of all warms up."""
        plan = contender.plan(0)
        taken: dict[str, list[float]] = {"full": [], "mine": []}
        for turn in range(repeats if self.warm else repeats + 1):
            picture = turn % len(self.labels)
            timing = time_runs(
                self.model,
                {"full": self.full_plan, "mine": plan.policy or plan.schedule},
                label=self.labels[picture],
                seed=self.conditions.seeds[picture],
                cfg_scale=self.conditions.cfg_scale,
                sampler=self.conditions.sampler,
                steps=self.conditions.steps,
                repeats=1,
                fits=self.fits,
            )
            assert timing is not None
            if self.warm:
                for name, (ms,) in zip(timing.names, timing.total_ms, strict=True):
                    taken[name].append(ms)
            self.warm = True
        return Timed(setting_of(self.model), tuple(taken["mine"]), tuple(taken["full"]))

    @cached_property
    def _full(self) -> tuple[np.ndarray, torch.Tensor, list[int]]:
        """Pictures (N, H, W, 3), latents (N, C, h, w) and classes of all full runs."""
        if self.kept is not None and self.kept.is_file():
            with np.load(self.kept, allow_pickle=False) as file:
                together = file["images"]
                return together, torch.from_numpy(file["latents"]), self._classes(together)
        images, latents = [], []
        for first in range(0, len(self.labels), self.batch):
            mine = slice(first, first + self.batch)
            run = self._run(Plan(self.full_plan), self.labels[mine], self.conditions.seeds[mine])
            images.append(run.images)
            latents.append(run.latents)
        together, ends = np.concatenate(images), torch.cat(latents)
        if self.kept is not None:
            self.kept.parent.mkdir(parents=True, exist_ok=True)
            part = self.kept.with_suffix(f".{os.getpid()}.npz")
            np.savez_compressed(part, images=together, latents=ends.numpy())
            part.replace(self.kept)
        return together, ends, self._classes(together)

    def _run(self, plan: Plan, labels: list[int], seeds: list[int] | tuple[int, ...]) -> Run:
        events = iter_sample(
            self.model,
            None if plan.policy is not None else plan.schedule,
            steps=plan.schedule.steps,
            policy=plan.policy,
            fits=self.fits,
            label=labels,
            seed=seeds,
            cfg_scale=self.conditions.cfg_scale,
            sampler=self.conditions.sampler,
        )
        (run,) = deque(events, maxlen=1)
        assert isinstance(run, Run)
        if not bool(run.latents.isfinite().all()):
            raise RequestError("its latents end as NaN or infinity.")
        return run

    @torch.inference_mode()
    def _classes(self, images: np.ndarray) -> list[int]:
        """The classifier's class of each picture; none without a classifier."""
        if self.classifier is None:
            return []
        given = torch.tensor(images).permute(0, 3, 1, 2)
        found: list[int] = self.classifier(given).argmax(1).tolist()
        return found
