"""Causes: which cells that were not computed are to blame for the error of a region.

With E = |M (x - x*)|^2 the squared error of the cached picture x against the full one x* in a
region M, and d_c = stand-in - true output at every cell c that was not computed, at the state the
cached run was in there,

    part of c = < dE / d out_c, d_c >,

the amount by which E falls, to first order, when c alone is computed. The derivative is that of the
cached run as it ran: a cell that stands in does not answer to what changes before it, and a
computed one hands its change on to all that is made from it later. Where c reuses, later cells that
reuse the same output would have the new one of c, so their derivatives count as well. A part may be
negative: errors make good for others. Parts do not add up to E; they are the slopes of E at the
cached run, and for an E that is quadratic along all of them their sum is 2 E. `together` goes by
that.

One run notes what stood in and how far off it was, one sweep back gives all derivatives, see
`caching.predict.adjoint`. What computing cells really changes is told by `measured`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from caching.engine.executor import Executor, Stopped
from caching.engine.fits import Fits, guided
from caching.engine.plan import make_plan
from caching.engine.request import Request, prepare
from caching.engine.run import sample
from caching.engine.samplers import Sampler, make_sampler, timeline_of
from caching.errors import RequestError, StochasticSamplerWarning
from caching.measure.known import Known
from caching.models.model import Model
from caching.predict.adjoint import coefficients
from caching.predictors.base import Combination
from caching.predictors.reuse import Reuse
from caching.readonly import read_only
from caching.schedule import Schedule

HELD_MIB = 2048.0

Tell = Callable[[str, int, int], None]
Stop = Callable[[], bool]


@dataclass(frozen=True, eq=False)
class Causes:
    """What the error of a region comes from.

    Attributes:
        cells: float64 (S, L, R), by how much `error` would fall if this cell alone were computed,
            to first order; NaN where it was computed or a whole-step action left it out.
        steps: float64 (S,), likewise of running a step's blocks instead of its whole-step action;
            0 where there was none.
        error: mean squared error of the region, in levels of 0 to 255, before they are rounded.
        rest: of the whole picture's squared error, the share outside the region.
    """

    cells: np.ndarray
    steps: np.ndarray
    error: float
    rest: float

    def __post_init__(self) -> None:
        read_only(self)

    @property
    def shares(self) -> np.ndarray:
        """(S, L, R) parts over the error."""
        found: np.ndarray = self.cells / self.error if self.error > 0 else self.cells * 0
        return found

    def together(self, cells: np.ndarray) -> float:
        """The share of the error that is left with several `cells`, bool (S, L, R), computed.

        (1 - D / 2)^2 for the sum D of their shares: exact where all of them err along one line.
        """
        total = float(np.nansum(self.shares[cells]))
        return (1 - min(total, 2.0) / 2) ** 2


def region_mask(model: Model, box: tuple[float, float, float, float]) -> np.ndarray:
    """Bool (H, W) of a picture: left, top, right, bottom as shares 0..1, at least one pixel.

    Raises:
        RequestError: the box is no part of a picture.
    """
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise RequestError(f"region {box}: expected left < right and top < bottom, all of 0 to 1.")
    tall, wide = _size(model)
    mask = np.zeros((tall, wide), bool)
    rows = slice(int(top * tall), max(int(top * tall) + 1, round(bottom * tall)))
    columns = slice(int(left * wide), max(int(left * wide) + 1, round(right * wide)))
    mask[rows, columns] = True
    return mask


def causes(
    model: Model,
    schedule: Schedule,
    mask: np.ndarray,
    *,
    label: int,
    seed: int,
    cfg_scale: float,
    sampler: str = "ddim",
    known: Known | None = None,
    tell: Tell | None = None,
    stopped: Stop | None = None,
) -> Causes:
    """What a schedule's error in a region of one picture comes from.

    Args:
        mask: bool (H, W), the region.
        known: full runs and fitted tables that are kept.
        tell: told how far it is.
        stopped: polled between branches.

    Raises:
        Stopped: `stopped` said so.
        RequestError: the mask is of another size, or the outputs do not fit into memory.
        ScheduleError: the schedule is for another model.
    """
    known = known or Known()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StochasticSamplerWarning)  # said when it ran
        request, schedule, start = prepare(
            model, schedule, label=label, seed=seed, cfg_scale=cfg_scale, sampler=sampler
        )
        mask = np.asarray(mask)
        if mask.shape != _size(model) or mask.dtype != bool or not mask.any():
            raise RequestError(
                f"a region of {mask.dtype} {mask.shape} was given: expected bool {_size(model)} "
                "with at least one pixel in it."
            )
        f = model.family
        held = int((~schedule.computed).sum()) * request.passes * f.tokens * f.width * 8 / 2**20
        if held > HELD_MIB:
            raise RequestError(
                f"this needs {held:.0f} MiB for the outputs of all cells: expected at most "
                f"{HELD_MIB:.0f}; compute more cells or fewer steps."
            )
        fitted = known.fits.of(model, schedule, request, decided=False, stopped=stopped)
        full = known.full(request)
        target = None if full is None else full.latents.to(model.device)
        trace = _Trace(model, schedule, request, start, tell, stopped, known=target is not None)
        if target is None:
            target = trace.full()
        final = trace.follow(fitted)
        with torch.no_grad():
            gap = _pixels(model, final) - _pixels(model, target)
            squares = gap.square().mean(1)[0].double()
        inside = torch.tensor(mask).to(gap.device)
        error, everywhere = float(squares[inside].mean()), float(squares.sum())
        cells, whole = trace.backward(final, _pixels(model, target), inside)
    cells[schedule.computed | schedule.covered] = np.nan
    rest = float(squares[~inside].sum()) / everywhere if everywhere > 0 else 0.0
    return Causes(cells, whole, error, rest)


def measured(
    model: Model,
    schedule: Schedule,
    mask: np.ndarray,
    cells: np.ndarray,
    *,
    fits: Fits | None = None,
    stopped: Stop | None = None,
    **asked: Any,
) -> tuple[float, float]:
    """Mean squared error of a region, in levels of 0 to 255: as painted, and with `cells` computed.

    Args:
        cells: bool (S, L, R), the ones to compute.
        asked: label, seed, cfg_scale and sampler, as for `causes`.
    """
    found = []
    base = sample(model, None, steps=schedule.steps, **asked)
    with torch.no_grad():
        full = _pixels(model, base.latents.to(model.device))
    inside = torch.tensor(mask).to(full.device)
    for one in (schedule, schedule.paint(cells, 0)):
        if stopped is not None and stopped():
            raise Stopped("measuring the region was stopped between two runs.")
        run = sample(model, one, fits=fits, **asked)
        with torch.no_grad():
            gap = (_pixels(model, run.latents.to(model.device)) - full).square().mean(1)[0]
        found.append(float(gap[inside].mean()))
    return found[0], found[1]


def _size(model: Model) -> tuple[int, int]:
    """Height and width of a picture."""
    _, tall, wide = model.family.latent_shape
    if model.vae is None:
        return tall, wide
    scale = 2 ** (len(model.vae.config.block_out_channels) - 1)
    return tall * scale, wide * scale


def _pixels(model: Model, latents: Tensor) -> Tensor:
    """Latents (N, C, h, w) -> pictures (N, 3, H, W) in levels, neither clipped nor rounded."""
    if model.vae is None:
        x = latents[:, :3].float() / 3
    else:
        scale = getattr(model.vae.config, "scaling_factor", 1.0)
        shift = getattr(model.vae.config, "shift_factor", None) or 0.0
        x = model.vae.decode(latents.to(model.device, model.vae.dtype) / scale + shift).sample
    return (x.float() / 2 + 0.5) * 255


class _Spy:
    """A family that notes, for every cell that was not computed, what stood in and how far off."""

    def __init__(self, family: Any, size: int) -> None:
        self.family, self.size = family, size
        self.computed: tuple[int, int, int] | None = None
        self.stood: dict[tuple[int, int, int], Tensor] = {}
        self.off: dict[tuple[int, int, int], Tensor] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.family, name)

    def branch(self, x: Tensor, given: Any, s: int, block: int, r: int) -> Tensor:
        self.computed = s, block, r
        out: Tensor = self.family.branch(x, given, s, block, r)
        return out

    def add(
        self, x: Tensor, out: Tensor, given: Any, s: int, block: int, r: int, *, own: bool = False
    ) -> Tensor:
        if self.computed != (s, block, r) and len(x) == self.size:  # a halved step is no such cell
            self.stood[s, block, r] = out
            self.off[s, block, r] = (out - self.family.branch(x, given, s, block, r)).float()
        added: Tensor = self.family.add(x, out, given, s, block, r, own=own)
        return added


class _Trace:
    """A cached run of one picture, and the way back through it."""

    def __init__(
        self,
        model: Model,
        schedule: Schedule,
        request: Request,
        start: Tensor,
        tell: Tell | None,
        stopped: Stop | None,
        *,
        known: bool,
    ) -> None:
        self.model, self.schedule, self.request = model, schedule, request
        self.start, self.stopped = start.to(model.device).float(), stopped
        self.tell, self.done, self.total = tell, 0, request.steps * (2 if known else 3)
        self.cells = [(b, r) for b in range(model.blocks) for r in range(len(model.branches))]
        labels = torch.tensor(request.labels, device=model.device)
        if request.passes == 2:
            labels = torch.cat([labels, torch.full_like(labels, model.family.classes)])
        with torch.no_grad():
            times = torch.tensor(self._solver().timesteps, device=model.device)
            self.given = model.family.condition(times, labels)
        self.spy = _Spy(model.family, request.passes)
        self.beyond: dict[int, Tensor] = {}  # what a whole-step action changed in the output
        self.inputs: list[Tensor] = []  # (1, C, h, w) what each step read

    def _report(self) -> None:
        self.done += 1
        if self.tell is not None:
            self.tell("tracing the error back", self.done, self.total)

    def _solver(self) -> Sampler:
        request, seed = self.request, self.request.seeds[0] if self.request.seeds else 0
        return make_sampler(
            request.sampler, self.model.noise, request.steps, device=self.model.device, seed=seed
        )

    @torch.no_grad()
    def full(self) -> Tensor:
        """The final latents of the full run."""
        solver = self._solver()
        x = self.start * solver.first_scale
        for s in range(self.request.steps):
            output, _ = self._step(s, solver.model_input(x, s))
            x, _ = solver.step(output, x, s)
            self._report()
        return x

    @torch.no_grad()
    def follow(self, fitted: Any) -> Tensor:
        """The final latents of the cached run; notes what stood in."""
        model, request, schedule, solver = self.model, self.request, self.schedule, self._solver()
        family: Any = self.spy
        line = timeline_of(model.noise, solver.timesteps) if schedule.step_legend else None
        executor = Executor(
            family, schedule, self.given, passes=request.passes, fitted=fitted,
            plan=make_plan(schedule), timeline=line, seeds=request.seeds or (),
        )  # fmt: skip
        x = self.start * solver.first_scale
        for s in range(request.steps):
            self.inputs.append(solver.model_input(x, s))
            rows = torch.cat([self.inputs[s].to(model.dtype)] * request.passes)
            result = executor.step(rows, s, stopped=self.stopped)
            output = guided(result.output.float(), request, x.shape[1])
            if schedule.step_actions[s]:
                self.beyond[s] = output - self._step(s, self.inputs[s])[0]
            x, _ = solver.step(output, x, s)
            self._report()
        return x

    def _step(self, s: int, latents: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Guided output of step `s` and its branch outputs, noted ones in their place."""
        family = self.model.family
        x = family.embed(torch.cat([latents.to(self.model.dtype)] * self.request.passes))
        outputs = []
        for b, r in self.cells:
            if self.stopped is not None and self.stopped():
                raise Stopped("the search for causes was stopped between two branches.")
            stood = self.spy.stood.get((s, b, r))
            if stood is None:
                out = family.branch(x, self.given, s, b, r)
            else:
                out = stood.detach().requires_grad_(torch.is_grad_enabled())
            outputs.append(out)
            x = family.add(x, out, self.given, s, b, r)
        output = guided(family.head(x, self.given, s).float(), self.request, latents.shape[1])
        return output, outputs

    def backward(
        self, final: Tensor, target: Tensor, inside: Tensor
    ) -> tuple[np.ndarray, np.ndarray]:
        """Parts of the mean squared error inside: (S, L, R) of cells, (S,) of whole steps."""
        steps, model, off = self.request.steps, self.model, self.spy.off
        cells, whole = np.zeros(self.schedule.actions.shape), np.zeros(steps)
        shares = coefficients(model, self.request.sampler, steps)
        with torch.enable_grad():
            leaf = final.detach().clone().requires_grad_(True)
            gap = (_pixels(model, leaf) - target.detach()) * inside
            (v,) = torch.autograd.grad(gap.square().sum() / (3 * int(inside.sum())), leaf)
        answers: dict[int, Tensor] = {}
        later: dict[tuple[int, int, int], Tensor] = {}  # of outputs that later cells are made from
        again: dict[tuple[int, int], Tensor] = {}  # of later reuse of what a cell holds
        for s in reversed(range(steps)):
            m = float(shares[steps, s]) * v
            for t, answer in answers.items():
                m = m + float(shares[t, s]) * answer
            with torch.enable_grad():
                latents = self.inputs[s].detach().clone().requires_grad_(True)
                u, outputs = self._step(s, latents)
                total = (u * m).sum()
                for (b, r), out in zip(self.cells, outputs, strict=True):
                    if (more := later.pop((s, b, r), None)) is not None:
                        total = total + (out.float() * more).sum()
                back = torch.autograd.grad(total, [latents, *outputs])
            answers[s] = back[0]
            for (b, r), slope in zip(self.cells, back[1:], strict=True):
                if (s, b, r) in off:
                    cells[s, b, r] = self._part(s, b, r, slope.float(), later, again)
                elif not self.schedule.step_actions[s]:
                    again.pop((b, r), None)
            if s in self.beyond:
                whole[s] = float((m * self.beyond[s]).sum())
            self._report()
        return cells, whole

    def _part(
        self, s: int, b: int, r: int, slope: Tensor, later: dict[tuple[int, int, int], Tensor],
        again: dict[tuple[int, int], Tensor],
    ) -> float:  # fmt: skip
        """The part of a cell that stood in; hands its slope on to what it was made from."""
        schedule, at = self.schedule, (b, r)
        predictor = schedule.legend[int(schedule.actions[s, b, r]) - 1]
        if isinstance(predictor, Combination) and predictor.looks_at == "computed":
            held = np.flatnonzero(schedule.computed[:s, b, r])[::-1][: predictor.keeps].tolist()
            for source, weight in zip(held, predictor.weights(tuple(held), s), strict=True):
                old = later.get((source, b, r))
                later[source, b, r] = weight * slope if old is None else old + weight * slope
        if type(predictor) is Reuse:
            slope = again[at] = slope + again[at] if at in again else slope
        return float((slope * self.spy.off[s, b, r]).sum())
