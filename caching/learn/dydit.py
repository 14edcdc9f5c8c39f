"""DyDiT's routers: how many heads and hidden channels each block computes, by timestep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from caching.learn.base import Data, Job, LearnStep, Stop, Trainer
from caching.learn.forward import forward
from caching.learn.l2c import LABEL_DROP, Draw
from caching.learn.pictures import pictures_for
from caching.learn.routers import conditioning, some_rows
from caching.learn.store import Learned
from caching.methods.base import number, whole
from caching.methods.dydit import DyDiT

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from caching.models.family import Conditioning, Family
    from caching.models.model import Model

WIDTHS = (0.25, 0.5, 0.75, 1.0)
FREQUENCIES = (0.5, 1.0, 2.0, 4.0)
FIT_LABEL = 0


@dataclass(frozen=True)
class DyDiTTrainer(Trainer):
    """DyDiT (arXiv 2410.03456), its timestep-wise dynamic width alone.

    A router, one linear of the timestep's sines and cosines for each branch, gives a score to each
    width: 1/4, 1/2, 3/4 or all of the heads or hidden channels. A hard choice is drawn from the
    scores with Gumbel noise and gradients pass straight through it. In every iteration one step of
    the run is drawn and pictures are noised to it:

        loss = mean (teacher - student)^2 + press (computed / all - target)^2

    with the products of the branches over all steps. The paper's routers turn every head and every
    group of channels on and off by a sigmoid, all weights are fine-tuned with them for under 3 % of
    the iterations of pre-training, and tokens have routers of their own. Here units are nested by
    importance, so that their number is all there is to choose, weights are as the Narrow brush fits
    them, and the full model is the teacher. Tokens are not routed.
    """

    target: float = number(0.6, 0.3, 0.95, "target", "share of all products of branches")
    press: float = number(1.0, 0, 1000, "press", "weight of missing the target", step=0.1)
    iterations: int = whole(600, 1, 200_000, "iterations")
    rate: float = number(0.05, 0.0001, 1, "learning rate", "of AdamW")
    batch: int = whole(8, 1, 256, "batch", "pictures at a time")
    pool: int = whole(
        64, 1, 4096, "own pictures", "where no others are at hand, it draws these to learn from"
    )

    name = "dydit"
    title = DyDiT.title
    about = (
        "Routers learn how many heads and hidden channels each block computes at each timestep, "
        "against the full model and a target share of its products."
    )
    source = DyDiT.source
    takes_data = True
    takes_guidance = True

    def _learn(self, job: Job) -> Iterator[LearnStep | Learned]:
        import torch

        from caching.engine.executor import Stopped
        from caching.engine.samplers import RespacedDDIM

        model, steps = job.model, job.steps
        family = model.family
        grid = (steps, family.blocks, len(family.branches))
        probs = np.ones(grid)
        diary = self._diary(job, widths=list(WIDTHS))
        data = yield from pictures_for(job, diary, self.pool, probs)
        if data is None:
            return
        yield diary.preparing("fitting narrow branches on full runs", probs)
        try:
            stacks = stacked(model, steps=steps, cfg_scale=job.cfg_scale, stopped=job.stopped)
        except Stopped:
            return
        diary.start()
        solver = RespacedDDIM.make(model.noise, steps)
        clock = torch.from_numpy(time_features(solver.timesteps)).to(model.device)  # (S, E)
        router = torch.zeros(clock.shape[1], *grid[1:], len(WIDTHS), device=model.device)
        router.requires_grad_()
        optimiser = torch.optim.AdamW([router], lr=self.rate, weight_decay=0.0)
        prices = prices_of(family).to(model.device)
        generator = torch.Generator().manual_seed(job.seed + 1)
        while diary.done < self.iterations and not job.is_over:
            logits = torch.einsum("se,elrw->slrw", clock, router)
            choice = chosen(logits, generator)
            share = (1 + (choice[1:] * prices).sum()) / steps  # step 0 computes whole
            s = 1 + int(torch.randint(steps - 1, (), generator=generator))
            draw = drawn(model, s, data, self.batch, generator)
            try:
                error = distance(model, solver, stacks, choice[s], draw, job.stopped)
            except Stopped:
                break
            loss = error + self.press * (share - self.target).square()
            optimiser.zero_grad()
            (router.grad,) = torch.autograd.grad(loss, [router])
            optimiser.step()
            table = logits.detach().cpu().numpy()
            width = np.array(WIDTHS)[table.argmax(-1)]
            width[0] = 1
            yield diary.step(float(loss.detach()), float((width < 1).mean()), width)
        if diary.done:
            with torch.no_grad():
                logits = torch.einsum("se,elrw->slrw", clock, router)
            yield diary.learned(
                {"logits": logits.cpu().numpy().astype(np.float32), "widths": np.array(WIDTHS)}
            )


def time_features(timesteps: tuple[float, ...]) -> np.ndarray:
    """1, and cosines and sines of each timestep, 1000 of them half a turn; float32 (S, E)."""
    angles = np.array(timesteps)[:, None] * (np.pi / 1000 * np.array(FREQUENCIES))
    ones = np.ones((len(timesteps), 1))
    return np.concatenate([ones, np.cos(angles), np.sin(angles)], 1).astype(np.float32)


def chosen(logits: Tensor, generator: Generator) -> Tensor:
    """A hard choice (…, W) drawn from the scores, with the gradients of the soft one."""
    import torch

    uniform = torch.rand(logits.shape, generator=generator).clamp(1e-9, 1 - 1e-7)
    noise = -(-uniform.log()).log()
    soft = (logits + noise.to(logits.device)).softmax(-1)
    hard = torch.nn.functional.one_hot(soft.argmax(-1), logits.shape[-1]).to(soft)
    return hard - soft.detach() + soft


def prices_of(family: Family) -> Tensor:
    """Share of all products of the blocks' branches that each width costs, (L, R, W)."""
    import torch

    from caching.predictors.narrow import Narrow

    cells = [(b, r) for b in range(family.blocks) for r in range(len(family.branches))]
    total = sum(family.branch_macs(*cell) for cell in cells)
    rows = [[Narrow(w, w).macs(family, *cell) / total for w in WIDTHS] for cell in cells]
    return torch.tensor(rows).view(family.blocks, len(family.branches), len(WIDTHS))


Stack = tuple["Tensor", "Tensor"]
"""The last linear of one cell at every width: (W, D, in), zero where nothing is kept, and (W, D)"""


def stacked(
    model: Model, *, steps: int, cfg_scale: float, stopped: Stop | None = None
) -> list[Stack]:
    """The last linears of all cells, as the Narrow brush fits them for such a run."""
    from caching.engine.fits import PICTURES, calibrate
    from caching.engine.request import prepare
    from caching.predictors.narrow import Narrow, NarrowFitter, channels_of, units

    family = model.family
    request, _, _ = prepare(model, None, label=FIT_LABEL, steps=steps, cfg_scale=cfg_scale)
    parts = [(b, r) for b in range(family.blocks) for r in range(len(family.branches))]
    fitters = [
        NarrowFitter(family, {part: Narrow(w, w).count(family, *part) for part in parts})
        for w in WIDTHS
    ]
    calibrate(model, request, fitters, pictures=PICTURES, stopped=stopped)
    found = []
    for part in parts:
        *_, (full, _) = family.linears(*part).values()
        weights = full.new_zeros(len(WIDTHS), *full.shape)
        biases = full.new_zeros(len(WIDTHS), len(full))
        for i, fitter in enumerate(fitters):
            *_, (weight, *bias) = fitter.solve(part).values()
            columns = channels_of(fitter.kept[part], full.shape[1] // units(family, *part))
            weights[i][:, columns] = weight
            biases[i] = bias[0] if bias else 0
        found.append((weights.detach(), biases.detach()))
    return found


def drawn(model: Model, s: int, data: Data, batch: int, generator: Generator) -> Draw:
    """What step `s` learns from; labels are dropped with probability 0.1."""
    import torch

    clean, labels = some_rows(data, batch, generator)
    dropped = torch.rand(batch, generator=generator) < LABEL_DROP
    labels = torch.where(dropped, model.family.classes, labels)
    return Draw(s, clean, labels, torch.randn(clean.shape, generator=generator))


def distance(
    model: Model,
    solver: Any,
    stacks: list[Stack],
    choice: Tensor,
    draw: Draw,
    stopped: Stop | None = None,
) -> Tensor:
    """Mean square between the model and its narrow self at the draw's step, of (L, R, W)."""
    import torch

    family, alpha = model.family, solver.alphas[draw.s]
    given = conditioning(family, solver.timesteps[draw.s : draw.s + 1], draw.labels)
    x = (alpha**0.5 * draw.clean + (1 - alpha) ** 0.5 * draw.noise).to(model.device, model.dtype)
    with torch.no_grad():
        teacher, _ = forward(family, x, given, 0, stopped=stopped)
    student = narrow_forward(family, x, given, 0, stacks, choice, stopped)
    return (student.float() - teacher.float()).square().mean()


def narrow_forward(
    family: Family,
    latents: Tensor,
    given: Conditioning,
    s: int,
    stacks: list[Stack],
    choice: Tensor,
    stopped: Stop | None = None,
) -> Tensor:
    """The student's output (N, C', h, w): one last linear, mixed of all widths by the choice."""
    import torch
    import torch.nn.functional as F

    from caching.engine.executor import Stopped
    from caching.predictors.narrow import inner_of

    with torch.no_grad():
        x = family.embed(latents)
    for cell, (weights, biases) in enumerate(stacks):
        if stopped is not None and stopped():
            raise Stopped("the training was stopped between two branches.")
        block, r = divmod(cell, len(family.branches))
        p = choice[block, r].to(x.dtype)
        # Of a mixture of linears of one input only the sum is needed.
        weight, bias = torch.einsum("w,wdi->di", p, weights), p @ biases
        with torch.set_grad_enabled(torch.is_grad_enabled() and x.requires_grad):
            inner = inner_of(family, x, given, s, block, r)
        x = family.add(x, F.linear(inner, weight, bias), given, s, block, r)
    return family.head(x, given, s)
