"""HarmoniCa: routers trained along whole runs, each step priced by what it does to the picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caching.learn.base import Job, LearnStep, Stop, Trainer
from caching.learn.forward import forward
from caching.learn.routers import Routers, conditioning, share_of
from caching.learn.store import Learned
from caching.methods.base import number, whole
from caching.methods.harmonica import HarmoniCa

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from caching.models.model import Model


@dataclass(frozen=True)
class HarmonicaTrainer(Trainer):
    """HarmoniCa (arXiv 2410.01723): step-wise denoising training, image error proxy objective.

    One iteration is one run from noise, with random labels and guidance: at every step but the
    first a teacher (all computed) and a student (soft mixing by w = sigmoid(logit)) read the
    student's latents; the router of that step learns from

        loss = lambda_t * mean (teacher - student)^2 + beta * sum over branches of w

    on the guided output, and the run goes on with the student. What the student stored of a branch
    is replaced by its computed output where w > theta only, else it stays, so that the runs of the
    training age as runs under the routers do. lambda_t, anew every `every` runs, is the mean
    squared change of the final latents when the router of step t joins those of all steps before
    it, in a run that else computes everything (the code of the reference; its paper writes the
    error of the cache of step t alone). AdamW on the logits, which stay in -5..5.

    The reference trains 2,000 runs of a batch of 64 at a rate of 0.01 with beta 7e-8 for 10 steps
    of DiT-XL; here a higher rate and a smaller batch do in minutes, beta is the shipped model's.
    With C of 50 runs, as in the reference, a router could cross its whole range on one measurement
    of lambda_t at this rate, so C is smaller by default. As lambda_t is measured with the router
    itself, what a step errs counts twice, and reuse spreads over the steps more evenly than their
    effect on the picture would have it; whole steps do better on the shipped model, and longer and
    finer training (138 runs, rate 0.05, C 10) comes to the same.
    """

    weight: float = number(
        1e-8, 0, 1, "β", "price of computing a branch, against the weighted error", step=1e-9
    )
    theta: float = number(0.1, 0.01, 0.99, "θ", "at most this probability is reused")
    iterations: int = whole(70, 1, 20_000, "runs", "one run from noise is one iteration")
    rate: float = number(0.1, 0.0001, 1, "learning rate", "of AdamW; 0.01 in the paper")
    batch: int = whole(2, 1, 256, "batch", "pictures at a time; 64 in the paper")
    every: int = whole(5, 1, 10_000, "C", "runs between two measurements of λ of the steps")

    name = "harmonica"
    title = HarmoniCa.title
    about = (
        "Learns which branches may repeat their last output at any step, along whole runs from "
        "noise, with each step's error weighted by what it does to the final picture."
    )
    source = HarmoniCa.source

    def _learn(self, job: Job) -> Iterator[LearnStep | Learned]:
        import torch

        from caching.engine.executor import Stopped

        model, steps = job.model, job.steps
        shape = (steps, model.blocks, len(model.branches))
        routers = Routers(
            shape, range(1, steps), rate=self.rate, seed=job.seed, device=model.device
        )
        diary = self._diary(job, "noise and random labels (image-free)")
        unroll = Unrolled(model, steps, job.cfg_scale, self.theta, job.stopped)
        generator = torch.Generator().manual_seed(job.seed + 1)
        prices = np.ones(steps)
        while diary.done < self.iterations:
            try:
                if diary.done % self.every == 0:
                    yield diary.preparing("weighing the steps", routers.probs())
                    start = unroll.begin(self.batch, generator)
                    prices = unroll.prices(routers, *start)
                start = unroll.begin(self.batch, generator)
                loss = unroll.train(routers, *start, prices=prices, weight=self.weight)
            except Stopped:
                break
            probs = routers.probs()
            yield diary.step(loss, share_of(probs, self.theta), probs)
        if diary.done:
            yield diary.learned(
                {
                    "logits": routers.table()[None],
                    "weights": np.array([self.weight]),
                    "prices": prices,
                }
            )


class Unrolled:
    """Runs from noise in which a router decides, step by step, how much is reused."""

    def __init__(
        self, model: Model, steps: int, cfg_scale: float, theta: float, stopped: Stop | None
    ) -> None:
        from caching.engine.samplers import RespacedDDIM

        self.model, self.steps, self.cfg_scale = model, steps, cfg_scale
        self.theta, self.stopped = theta, stopped
        self.solver = RespacedDDIM.make(model.noise, steps)
        self.guided = cfg_scale > 1

    def begin(self, batch: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Noise (N, C, h, w) and labels (N,) of a run."""
        import torch

        model = self.model
        labels = torch.randint(len(model.class_names), (batch,), generator=generator)
        noise = torch.randn(batch, *model.family.latent_shape, generator=generator)
        return noise.to(model.device), labels

    def train(
        self,
        routers: Routers,
        x: Tensor,
        labels: Tensor,
        *,
        prices: np.ndarray,
        weight: float,
    ) -> float:
        """One run; every router but that of step 0 learns once. The mean loss of the steps."""
        import torch

        given = self._given(labels)
        with torch.no_grad():
            output, stored = self._step(x, given, 0)
            x = self._next(output, x, 0)
        losses = []
        for s in range(1, self.steps):
            with torch.no_grad():
                teacher, _ = self._step(x, given, s)
            w = routers.logits[s].sigmoid()
            student, fresh = self._step(x, given, s, stored, w)
            error = (teacher - student).square().mean()
            loss = float(prices[s]) * error + weight * w.sum()
            losses.append(float(loss.detach()))
            # With the router as it was when the step ran, not as it is after it has learned.
            stored = self._kept(stored, fresh, w)
            routers.update(s, loss)
            x = self._next(student.detach(), x, s)
        return sum(losses) / len(losses)

    def prices(self, routers: Routers, x: Tensor, labels: Tensor) -> np.ndarray:
        """lambda_t (S,) of the routers as they are; 0 for step 0, which always computes."""
        import torch

        found = np.zeros(self.steps)
        with torch.no_grad():
            given = self._given(labels)
            output, stored = self._step(x, given, 0)
            x = self._next(output, x, 0)
            before = self._finish(x, given, 1)
            for s in range(1, self.steps):
                w = routers.logits[s].sigmoid()
                output, fresh = self._step(x, given, s, stored, w)
                stored = self._kept(stored, fresh, w)
                x = self._next(output, x, s)
                after = self._finish(x, given, s + 1)
                found[s] = float((after - before).square().mean())
                before = after
        return found

    def _finish(self, x: Tensor, given: object, s: int) -> Tensor:
        """The final latents of a run that computes everything from step `s` on."""
        for later in range(s, self.steps):
            output, _ = self._step(x, given, later)
            x = self._next(output, x, later)
        return x

    def _given(self, labels: Tensor) -> object:
        return conditioning(self.model.family, self.solver.timesteps, labels, guided=self.guided)

    def _step(
        self,
        x: Tensor,
        given: object,
        s: int,
        stored: list[Tensor] | None = None,
        w: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Guided output (N, C', h, w) in float32, and the computed outputs of all cells."""
        import torch

        scaled = x.to(self.model.dtype)
        output, fresh = forward(
            self.model.family,
            torch.cat([scaled, scaled]) if self.guided else scaled,
            given,
            s,
            stored=stored,
            weights=None if w is None else w.to(self.model.dtype),
            stopped=self.stopped,
        )
        output = output.float()
        if self.guided:
            conditional, null = output.chunk(2)
            output = null + self.cfg_scale * (conditional - null)
        return output, fresh

    def _kept(self, stored: list[Tensor], fresh: list[Tensor], w: Tensor) -> list[Tensor]:
        pairs = zip(stored, fresh, (w > self.theta).tolist(), strict=True)
        return [new.detach() if computes else old for old, new, computes in pairs]

    def _next(self, output: Tensor, x: Tensor, s: int) -> Tensor:
        after, _ = self.solver.step(output[:, : x.shape[1]], x, s)
        return after
