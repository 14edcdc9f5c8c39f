"""Learning-to-Cache: routers trained on pairs of steps, the second of which may reuse the first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caching.learn.base import Data, Job, LearnStep, Stop, Trainer
from caching.learn.forward import forward
from caching.learn.pictures import pictures_for
from caching.learn.routers import Routers, conditioning, share_of, some_rows
from caching.learn.store import Learned
from caching.methods.base import choice, number, whole
from caching.methods.l2c import LearningToCache, cache_steps

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from caching.models.model import Model

__all__ = ["L2cTrainer", "Pairs", "cache_steps"]

LABEL_DROP = 0.1
ERRORS = ("output", "noise", "clean")


@dataclass(frozen=True)
class L2cTrainer(Trainer):
    """Learning-to-Cache (arXiv 2406.01733, section 3.3; train_router.py of its reference).

    One iteration: a pair of steps for the whole batch; the first computes in full and stores every
    branch output before its gate; DDIM moves on; at the second the student mixes stored and fresh
    outputs by w = sigmoid(logit) and is compared, over all output channels, with the model itself:

        loss = mean (teacher - student)^2 + lambda * sum over branches of w

    AdamW on the logits alone, which stay in -5..5. Labels are dropped with probability 0.1 and
    there is no guidance.

    What an error of the output does to the picture depends on the step and on what a model
    predicts. The paper's predicts noise and the loss is on its output ("output"). Of a model that
    predicts v, as the shipped one does, 1 - alpha of the squared error reaches the clean latents:
    all of it at the first steps, 1e-4 of it at the last. "clean", the default, compares clean
    latents instead, as the outputs have them; "noise" compares noise, alpha of the squared error of
    v, which cares for the last steps alone. Variance channels count in "output" only. On the
    shipped model, at 1.5 times less work, routers of "clean" come out ahead of evenly
    spread whole steps, those of "output" behind.

    The paper learns for 50,000 iterations and more at a rate of 0.001 with a batch of 64; here the
    rate is a hundred times that, so that some 70 updates of each router, minutes on a CPU, take
    most logits to their bounds. Its lambda of 5e-6 belongs to the size of DiT-XL's errors and its
    56 branches; ours is for the shipped model.
    """

    weight: float = number(
        1e-4, 0, 1, "λ", "price of computing a branch, against the squared error", step=1e-6
    )
    theta: float = number(0.1, 0.01, 0.99, "θ", "at most this probability is reused")
    iterations: int = whole(700, 1, 200_000, "iterations")
    rate: float = number(0.1, 0.0001, 1, "learning rate", "of AdamW; 0.001 in the paper")
    batch: int = whole(8, 1, 256, "batch", "pictures at a time; 64 in the paper")
    pool: int = whole(
        64, 1, 4096, "own pictures", "where no others are at hand, it draws these to learn from"
    )
    error: str = choice(
        "clean", ERRORS, "error of", "what the model says (the paper), or what follows from it"
    )

    name = "l2c"
    title = LearningToCache.title
    about = (
        "Learns, for every second step, which branches may repeat the step before: soft mixing of "
        "old and new outputs, squared error plus λ per computed branch."
    )
    source = LearningToCache.source
    takes_data = True
    takes_guidance = False

    def _learn(self, job: Job) -> Iterator[LearnStep | Learned]:
        import torch

        from caching.engine.executor import Stopped

        model, steps = job.model, job.steps
        shape = (steps, model.blocks, len(model.branches))
        routers = Routers(
            shape, cache_steps(steps), rate=self.rate, seed=job.seed, device=model.device
        )
        diary = self._diary(job)
        data = yield from pictures_for(job, diary, self.pool, routers.probs())
        if data is None:
            return
        diary.start()
        pairs = Pairs(model, steps)
        generator = torch.Generator().manual_seed(job.seed + 1)
        while diary.done < self.iterations and not job.is_over:
            draw = pairs.draw(data, self.batch, generator)
            try:
                loss = pairs.loss(
                    draw, routers.logits[draw.s], self.weight, error=self.error, stopped=job.stopped
                )
            except Stopped:
                break
            routers.update(draw.s, loss)
            probs = routers.probs()
            yield diary.step(float(loss.detach()), share_of(probs, self.theta), probs)
        if diary.done:
            yield diary.learned(
                {
                    "logits": routers.table()[None],
                    "weights": np.array([self.weight]),
                }
            )


@dataclass(frozen=True, eq=False)
class Draw:
    """What one iteration learns from: the cache step, and what the step before it is told."""

    s: int
    clean: Tensor  # (N, C, h, w)
    labels: Tensor  # (N,), the null class where a label was dropped
    noise: Tensor  # (N, C, h, w)


class Pairs:
    """Draws pairs of steps and says what is lost when the second reuses the first."""

    def __init__(self, model: Model, steps: int) -> None:
        from caching.engine.samplers import RespacedDDIM

        self.model, self.steps = model, cache_steps(steps)
        self.solver = RespacedDDIM.make(model.noise, steps)

    def draw(self, data: Data, batch: int, generator: Generator) -> Draw:
        """One step for the whole batch; labels are dropped with probability 0.1."""
        import torch

        s = self.steps[int(torch.randint(len(self.steps), (1,), generator=generator))]
        clean, labels = some_rows(data, batch, generator)
        dropped = torch.rand(batch, generator=generator) < LABEL_DROP
        labels = torch.where(dropped, self.model.family.classes, labels)
        return Draw(s, clean, labels, torch.randn(clean.shape, generator=generator))

    def loss(
        self,
        draw: Draw,
        logits: Tensor,
        weight: float,
        *,
        error: str = "output",
        stopped: Stop | None = None,
    ) -> Tensor:
        """The objective as a function of the logits (L R,) of the draw's cache step."""
        import torch

        model, family, s = self.model, self.model.family, draw.s
        given = conditioning(family, self.solver.timesteps[s - 1 : s + 1], draw.labels)
        alpha = self.solver.alphas[s - 1]
        x = (alpha**0.5 * draw.clean + (1 - alpha) ** 0.5 * draw.noise).to(model.device)
        with torch.no_grad():
            output, stored = forward(family, x.to(model.dtype), given, 0, stopped=stopped)
            x, _ = self.solver.step(output[:, : x.shape[1]].float(), x, s - 1)
            x = x.to(model.dtype)
            teacher, _ = forward(family, x, given, 1, stopped=stopped)
        w = logits.sigmoid()
        mixing = w.to(model.dtype)
        student, _ = forward(family, x, given, 1, stored=stored, weights=mixing, stopped=stopped)
        gap = self._said(error, teacher, x, s) - self._said(error, student, x, s)
        return gap.square().mean() + weight * w.sum()

    def _said(self, error: str, output: Tensor, x: Tensor, s: int) -> Tensor:
        """Of an output (N, C', h, w) at the latents of step `s`, what is compared."""
        from caching.engine.samplers import clean_and_noise

        output = output.float()
        if error == "output":
            return output
        kind, alpha = self.solver.kind, self.solver.alphas[s]
        clean, noise = clean_and_noise(kind, output[:, : x.shape[1]], x.float(), alpha)
        return clean if error == "clean" else noise
