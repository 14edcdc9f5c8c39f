"""Builds a `Response`: one sweep back through a full run per picture, a step in memory at a time.

The final latent depends on the guided outputs u_s of the transformer twice: at once, because the
sampler adds them up, and through what later steps make of it. Every sampler here is affine in
latents and outputs, elementwise and with numbers that depend on the step alone, so with c[t, s] the
share of u_s in what step t reads, and c[S, s] that in the result,

    dv/du_s = m_s = c[S, s] v + sum over t > s of c[t, s] y_t,    y_t = J_t^T m_t,

J_t^T m_t being one backward pass through step t, which gives the gradients of its branches as well.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from caching.engine.executor import Stopped
from caching.engine.fits import NOISE_SEED, calibration_noise, guided
from caching.engine.request import MAX_STEPS, Request, prepare, whole
from caching.engine.run import sample
from caching.engine.samplers import Sampler, make_sampler
from caching.errors import RequestError, StochasticSamplerWarning
from caching.models.model import Model
from caching.predict.directions import directions, look_of
from caching.predict.drawn import drawn
from caching.predict.response import Response, scaled

PICTURES = 8
LEADING, CHANCE = 4, 2
AGES = 16
PROBES = 12
PROBE_SEED = 1

Progress = Callable[[float, str], None]
"""Called with the share that is done, 0..1, and words for it."""
Stop = Callable[[], bool]


def build_response(
    model: Model,
    *,
    steps: int,
    sampler: str = "ddim",
    cfg_scale: float = 4.0,
    pictures: int = PICTURES,
    leading: int = LEADING,
    chance: int = CHANCE,
    ages: int = AGES,
    labels: Sequence[int] | None = None,
    memory_mib: float = 1024.0,
    progress: Progress | None = None,
    stopped: Stop | None = None,
) -> Response:
    """The response of a model under a run setting.

    Every picture is followed along the leading directions that a few random schedules move it
    along (12 probes) and a few at random, see `caching.predict.directions`.

    Args:
        pictures: on noise that no seed gives.
        leading: directions of each picture that the probes move it along.
        chance: random ones of each picture.
        ages: A, at most steps - 1 and what `memory_mib` holds the outputs of.
        labels: classes that pictures are spread over; None: all.
        progress: called as it goes on.
        stopped: polled between branches.

    Raises:
        Stopped: `stopped` said so.
        RequestError: a number out of range.
    """
    pictures = whole("pictures", pictures, 1, 1000)
    leading = whole("leading", leading, 1, PROBES)
    chance = whole("chance", chance, 0, 64)
    steps = whole("steps", steps, 2, MAX_STEPS)  # one alone has nothing to reuse
    ages = min(whole("ages", ages, 1, MAX_STEPS), steps - 1)
    classes = list(range(len(model.class_names))) if labels is None else list(labels)
    if not classes:
        raise RequestError("no labels were given: expected some, or None for all classes.")
    chosen = [classes[i * len(classes) // pictures % len(classes)] for i in range(pictures)]
    noise = calibration_noise(model, pictures)
    parts = []
    for i, label in enumerate(chosen):

        def report(part: float, picture: int = i) -> None:
            if progress is not None:
                words = f"response: picture {picture + 1} of {pictures}"
                progress((picture + part) / pictures, words)

        with warnings.catch_warnings():
            # Said once, for the run of the person who waits for this.
            warnings.simplefilter("ignore", StochasticSamplerWarning)
            request, _, start = prepare(
                model,
                None,
                label=label,
                latents=noise[i : i + 1],
                steps=steps,
                cfg_scale=cfg_scale,
                sampler=sampler,
            )
            picture = _Picture(model, request, start, memory_mib, stopped)
            ages = min(ages, picture.room)
            change = picture.forward(ages)
            report(0.1)
            basis = _along_probes(model, picture, leading, chance, change, i)
            report(0.4)
            parts.append((*picture.backward(basis, ages, lambda x: report(0.4 + 0.6 * x)), change))
    # A tensor of one picture's is as long as it could hold; all must end alike.
    opened, held = (np.concatenate([p[k][..., :ages] for p in parts]) for k in (0, 1))
    spans = np.concatenate([p[2] for p in parts])
    share = pictures**-0.5
    guidance = f"guidance {cfg_scale:g}" if cfg_scale > 1 else "no guidance"
    return scaled(
        opened * share,
        held * share,
        spans * share,
        np.mean([p[3][..., :ages] for p in parts], axis=0),
        pictures=pictures,
        kind="gradients",
        source=f"gradients of {model.name}, {steps} steps of {sampler}, {guidance}, "
        f"{pictures} pictures along {leading + chance} directions each",
    )


def coefficients(model: Model, sampler: str, steps: int) -> Tensor:
    """(S + 1, S): the share of the output of step s in what step t reads, and in the result."""

    def read(outputs: Tensor) -> Tensor:
        solver = make_sampler(
            sampler, model.noise, steps, device=torch.device("cpu"), seed=NOISE_SEED
        )
        x, seen = torch.zeros(1, steps, 1, 1), []
        for s in range(steps):
            seen.append(solver.model_input(x, s).flatten())
            x, _ = solver.step(outputs[s].view(1, steps, 1, 1), x, s)
        return torch.stack([*seen, x.flatten()])

    # What a sampler draws is the same both times and cancels.
    return read(torch.eye(steps)) - read(torch.zeros(steps, steps))


def _along_probes(
    model: Model, picture: _Picture, leading: int, chance: int, change: np.ndarray, number: int
) -> Tensor:
    """(P, C h w): what is seen of the final latent, as `directions` has it, from a few runs."""
    request, moved = picture.request, []
    for _, schedule in islice(drawn(PROBE_SEED, change, model.branches), PROBES):
        run = sample(
            model,
            schedule,
            label=request.labels,
            latents=picture.start,
            cfg_scale=request.cfg_scale,
            sampler=request.sampler,
        )
        if picture.stopped is not None and picture.stopped():
            raise Stopped("the response was stopped between two probes.")
        moved.append(run.latents)
    seed = NOISE_SEED + number
    look = look_of(model)
    return directions(picture.final, moved, look, leading=leading, chance=chance, seed=seed)


@dataclass
class _Picture:
    """One full run and what the sweep back through it needs."""

    model: Model
    request: Request
    start: Tensor
    memory_mib: float
    stopped: Stop | None

    def __post_init__(self) -> None:
        family, request = self.model.family, self.request
        self.steps, self.device = request.steps, family.device
        self.cells = [(b, r) for b in range(family.blocks) for r in range(len(family.branches))]
        self.coefficients = coefficients(self.model, request.sampler, self.steps)
        solver = self._solver()
        labels = torch.tensor(request.labels, device=self.device)
        if request.passes == 2:
            labels = torch.cat([labels, torch.full_like(labels, family.classes)])
        with torch.no_grad():
            times = torch.tensor(solver.timesteps, device=self.device)
            self.given = family.condition(times, labels)
        self.inputs: list[Tensor] = []  # (1, C, h, w) what each step reads
        self.kept: dict[int, Tensor] = {}  # step -> outputs (L R, passes, T, D)
        numbers = len(self.cells) * request.passes * family.tokens * family.width
        self.room = max(1, int(self.memory_mib * 2**20 / (4 * numbers)) - 1)

    def _solver(self) -> Sampler:
        request = self.request
        return make_sampler(
            request.sampler, self.model.noise, self.steps, device=self.device, seed=NOISE_SEED
        )

    def _guided(self, tokens: Tensor, s: int) -> Tensor:
        output = self.model.family.head(tokens, self.given, s)
        return guided(output.float(), self.request, self.start.shape[1])

    def _embedded(self, latents: Tensor) -> Tensor:
        rows = torch.cat([latents.to(self.model.dtype)] * self.request.passes)
        return self.model.family.embed(rows)

    def _step(self, s: int, latents: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Guided output and branch outputs of step `s`, with gradients where they are on."""
        family, outputs = self.model.family, []
        x = self._embedded(latents)
        for b, r in self.cells:
            if self.stopped is not None and self.stopped():
                raise Stopped("the response was stopped between two branches.")
            out = family.branch(x, self.given, s, b, r)
            outputs.append(out)
            x = family.add(x, out, self.given, s, b, r)
        return self._guided(x, s), outputs

    def _summed(self, s: int, outputs: Sequence[Tensor]) -> Tensor:
        """Guided output of step `s` if these were its branch outputs."""
        x = self._embedded(self.inputs[s])
        for (b, r), out in zip(self.cells, outputs, strict=True):
            x = self.model.family.add(x, out, self.given, s, b, r)
        return self._guided(x, s)

    @torch.no_grad()
    def forward(self, ages: int) -> np.ndarray:
        """The full run; relative L1 changes (S, L, R, A) on the way."""
        family, solver = self.model.family, self._solver()
        change = np.zeros((self.steps, len(self.cells), ages))
        x = self.start.to(self.device).float() * solver.first_scale
        for s in range(self.steps):
            self.inputs.append(solver.model_input(x, s))
            output, outputs = self._step(s, self.inputs[s])
            x, _ = solver.step(output, x, s)
            here = self.kept[s] = torch.stack(outputs).float()
            size = here.abs().flatten(1).sum(1).clamp_min(torch.finfo(torch.float32).tiny)
            for age in range(1, min(s, ages) + 1):
                gap = (here - self.kept[s - age]).abs().flatten(1).sum(1)
                change[s, :, age - 1] = (gap / size).cpu().numpy()
            self.kept.pop(s - ages, None)
        self.final = x
        return change.reshape(self.steps, family.blocks, -1, ages)

    def _outputs(self, s: int) -> Tensor:
        """Branch outputs of step `s`, run again if they were dropped."""
        if s not in self.kept:
            with torch.no_grad():
                self.kept[s] = torch.stack(self._step(s, self.inputs[s])[1]).float()
        return self.kept[s]

    def backward(
        self, basis: Tensor, ages: int, report: Callable[[float], None]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Effects along `basis` (P, C h w).

        Returns:
            open and held (P, S, L, R, A) and spans (P, S, S + 1).
        """
        steps, cells, c = self.steps, len(self.cells), self.coefficients
        v = basis.view(-1, *self.final.shape)  # (P, 1, C, h, w)
        opened, held = np.zeros((2, len(v), steps, cells, ages))
        length = np.arange(steps + 1) - np.arange(steps)[:, None]
        known = (length > 0) & (length <= ages + 1)
        spans = np.where(known, np.zeros((len(v), 1, 1)), np.nan)
        answers: list[Any] = [None] * steps  # y_t (P, 1, C, h, w)
        for s in reversed(range(steps)):
            # m_s if only steps from t on answer, for t = s + 1 .. S; the first is m_s itself.
            shares = [c[steps, s] * v]
            for t in range(steps - 1, s, -1):
                shares.append(shares[-1] + c[t, s] * answers[t])
            late = torch.stack(shares[::-1])  # (S - s, P, 1, C, h, w)
            answers[s], alone, together = self._gradients(s, late[0])
            here = self._outputs(s)
            for age in range(1, min(s, ages) + 1):
                gap = (self._outputs(s - age) - here).flatten(1)  # (L R, N T D)
                opened[:, s, :, age - 1] = _along(alone, gap)
                held[:, s, :, age - 1] = _along(together, gap)
            self._add_spans(spans, s, late, ages)
            self.kept.pop(s)
            report(1 - s / steps)
        family = self.model.family
        shape = (len(v), steps, family.blocks, -1, ages)
        return opened.reshape(shape), held.reshape(shape), spans

    def _gradients(self, s: int, m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of m_s · u_s: to what step s reads, and to its outputs (P, L R, N T D) open and held."""
        with torch.enable_grad():
            latents = self.inputs[s].detach().requires_grad_(True)
            u, outputs = self._step(s, latents)
            leaves = [out.detach().requires_grad_(True) for out in outputs]
            summed = self._summed(s, leaves)
        answers, alone, together = [], [], []
        for one in m:
            if self.stopped is not None and self.stopped():
                raise Stopped("the response was stopped between two directions.")
            back = torch.autograd.grad(u, [latents, *outputs], one, retain_graph=True)
            answers.append(back[0])
            alone.append(torch.stack(back[1:]).flatten(1))
            back = torch.autograd.grad(summed, leaves, one, retain_graph=True)
            together.append(torch.stack(back).flatten(1))
        return torch.stack(answers), torch.stack(alone).float(), torch.stack(together).float()

    @torch.no_grad()
    def _add_spans(self, spans: np.ndarray, s: int, late: Tensor, ages: int) -> None:
        """Add step `s`, reused whole from i = s - age, to every span (i, j) that it lies in."""
        base = self._summed(s, list(self._outputs(s).to(self.model.dtype)))
        for age in range(1, min(s, ages) + 1):
            older = self._outputs(s - age).to(self.model.dtype)
            gap = self._summed(s, list(older)) - base
            moved = torch.einsum("tpn,n->pt", late.flatten(2), gap.flatten()).cpu().numpy()
            spans[:, s - age, s + 1 :] += moved


def _along(gradients: Tensor, gap: Tensor) -> np.ndarray:
    """(P, L R, n) and (L R, n) -> (P, L R)."""
    found: np.ndarray = torch.einsum("pcn,cn->pc", gradients, gap).cpu().numpy()
    return found
