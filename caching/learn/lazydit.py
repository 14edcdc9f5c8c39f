"""LazyDiT's gates: a linear on each branch's input learns when its last output will do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caching.learn.base import Job, LearnStep, Stop, Trainer
from caching.learn.forward import forward
from caching.learn.l2c import Draw, Pairs
from caching.learn.pictures import pictures_for
from caching.learn.routers import conditioning
from caching.learn.store import Learned
from caching.methods.base import number, whole
from caching.methods.l2c import cache_steps
from caching.methods.lazydit import LazyDiTMethod

if TYPE_CHECKING:
    from torch import Tensor

    from caching.models.family import Conditioning, Family

THRESHOLD = 0.5


@dataclass(frozen=True)
class LazyDiTTrainer(Trainer):
    """LazyDiT (arXiv 2412.12444, eq. 8 and 9; `lazy_learning_loss` of its repository).

    In every iteration one step is drawn from the odd ones, counted from the end. Pictures are
    noised to it, the model runs whole and its outputs are kept; DDIM takes the pictures to the next
    step, where the teacher runs whole and the student mixes: score · computed + (1 - score) · kept,
    before the gate of the block, score = sigmoid(sum over tokens of W · Z), by picture. The loss is
    the mean square of teacher - student over all output channels, plus rho times the sum of all
    scores. W starts at zero; AdamW without weight decay; labels are dropped with probability 0.1
    and nothing is guided. As in the reference, only even steps counted from the end become lazy.

    There: rate 1e-4, rho 1e-7 for attention and for feed-forward alike, 500 iterations of 512
    pictures. Here rho is in proportion to what reuse costs this model, about 1e-4 for a branch in
    the middle of a run, and iterations and batch are what a CPU does in minutes.
    """

    weight: float = number(
        1e-4, 0, 1, "rho", "price of computing a branch, against the squared error", step=1e-6
    )
    iterations: int = whole(400, 1, 200_000, "iterations", "500 in the paper")
    rate: float = number(2e-4, 1e-6, 0.1, "learning rate", "of AdamW; 1e-4 in the paper", step=1e-6)
    batch: int = whole(16, 1, 512, "batch", "pictures at a time; 512 in the paper")
    pool: int = whole(
        64, 1, 4096, "own pictures", "where no others are at hand, it draws these to learn from"
    )

    name = "lazydit"
    title = LazyDiTMethod.title
    about = (
        "A linear gate on the input of each branch learns, against the model itself, at which "
        "steps and for which pictures the last output will do."
    )
    source = LazyDiTMethod.source
    takes_data = True
    takes_guidance = False

    def _learn(self, job: Job) -> Iterator[LearnStep | Learned]:
        import torch

        from caching.engine.executor import Stopped

        model, steps = job.model, job.steps
        family, lazy = model.family, cache_steps(steps)
        shape = (family.blocks, len(family.branches), family.width)
        scores, kept = np.ones((2, steps, *shape[:2]))  # their means, and shares that compute
        scores[list(lazy)] = THRESHOLD
        diary = self._diary(job)
        data = yield from pictures_for(job, diary, self.pool, scores)
        if data is None:
            return
        diary.start()
        gates = {s: torch.zeros(shape, device=model.device, requires_grad=True) for s in lazy}
        # One for each step, so that a step that was not drawn stays as it is.
        optimiser = torch.optim.AdamW(list(gates.values()), lr=self.rate, weight_decay=0.0)
        pairs = Pairs(model, steps)
        generator = torch.Generator().manual_seed(job.seed + 1)
        while diary.done < self.iterations and not job.is_over:
            draw = pairs.draw(data, self.batch, generator)
            s = draw.s
            try:
                loss, score = objective(pairs, draw, gates[s], self.weight, job.stopped)
            except Stopped:
                break
            optimiser.zero_grad()
            (gates[s].grad,) = torch.autograd.grad(loss, [gates[s]])
            optimiser.step()
            found = score.detach().cpu()
            scores[s], kept[s] = found.mean(-1), (found >= THRESHOLD).float().mean(-1)
            yield diary.step(float(loss.detach()), float(1 - kept.mean()), scores)
        if diary.done:
            table = np.zeros((steps, *shape), np.float32)
            for s, gate in gates.items():
                table[s] = gate.detach().cpu().numpy()
            yield diary.learned({"gates": table[None], "weights": np.array([self.weight])})


def objective(
    pairs: Pairs, draw: Draw, gate: Tensor, price: float, stopped: Stop | None = None
) -> tuple[Tensor, Tensor]:
    """The loss of a pair as a function of gates (L, R, D), and the scores (L, R, N)."""
    import torch

    model, family, s = pairs.model, pairs.model.family, draw.s
    alpha = pairs.solver.alphas[s - 1]
    given = conditioning(family, pairs.solver.timesteps[s - 1 : s + 1], draw.labels)
    with torch.no_grad():
        x = (alpha**0.5 * draw.clean + (1 - alpha) ** 0.5 * draw.noise).to(model.device)
        output, stored = forward(family, x.to(model.dtype), given, 0, stopped=stopped)
        x, _ = pairs.solver.step(output[:, : x.shape[1]].float(), x, s - 1)
        x = x.to(model.dtype)
        teacher, _ = forward(family, x, given, 1, stopped=stopped)
    student, scores = mixed(family, x, given, 1, stored, gate, stopped)
    error = (student.float() - teacher.float()).square().mean()
    return error + price * scores.sum((0, 1)).mean(), scores


def mixed(
    family: Family,
    latents: Tensor,
    given: Conditioning,
    s: int,
    stored: list[Tensor],
    gate: Tensor,
    stopped: Stop | None = None,
) -> tuple[Tensor, Tensor]:
    """The student: output (N, C', h, w), and the scores (L, R, N) it mixed by."""
    import torch

    from caching.engine.executor import Stopped

    width, scores = len(family.branches), []
    with torch.no_grad():
        x = family.embed(latents)
    for cell, kept in enumerate(stored):
        if stopped is not None and stopped():
            raise Stopped("the training was stopped between two branches.")
        block, r = divmod(cell, width)
        z = family.modulated(x, given, s, block, r)
        score = (z.float() @ gate[block, r]).sum(1).sigmoid()  # (N,)
        # Fused products have no derivative, and before the first mixing none is asked for.
        with torch.set_grad_enabled(x.requires_grad):
            out = family.branch(x, given, s, block, r)
        out = kept + score[:, None, None].to(out.dtype) * (out - kept)
        x = family.add(x, out, given, s, block, r)
        scores.append(score)
    return family.head(x, given, s), torch.stack(scores).view(-1, width, len(latents))
