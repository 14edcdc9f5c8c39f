"""What calibrated predictors and actions need is fitted on full runs, once per run setting."""

from __future__ import annotations

import json
import math
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from caching.actions.base import StepAction
from caching.engine.executor import Executor, Stopped
from caching.engine.plan import ran_cells, refreshed_at, renewed_cells
from caching.engine.request import Request, real, whole
from caching.engine.samplers import make_sampler
from caching.errors import StochasticSamplerWarning
from caching.marks import COVERED
from caching.models.family import Conditioning
from caching.models.model import Model
from caching.predictors.base import Fitter, Predictor
from caching.schedule import Schedule

PICTURES = 4
MAX_PICTURES = 1000
BUDGET_MIB = 1024.0
NOISE_SEED = 20_503_053

Item = Predictor | StepAction
Fitted = dict[Item, Mapping[Hashable, Any]]


class Fits:
    """Fitted parts, kept for the models and run settings they were fitted under.

    Calibration runs are full runs of `pictures` pictures, labels spread over the classes, with the
    steps, sampler and guidance of the run that needs the fit. What one item finds does not depend
    on which others were fitted with it, so a run gets the same fits whatever ran before. Parts of
    models that are gone go with them, and the longest unused ones while more than `budget_mib` is
    held. A model whose weights are changed in place needs another `Fits`.

    Raises:
        RequestError: `pictures` is no whole number from 1 to 1,000, or `budget_mib` none from 0.
    """

    def __init__(self, *, pictures: int = PICTURES, budget_mib: float = BUDGET_MIB) -> None:
        self.pictures = whole("pictures", pictures, 1, MAX_PICTURES)
        self.budget_mib = real("budget_mib", budget_mib, 0, math.inf)
        # By the family itself, not by its address, which another one may have tomorrow.
        self._kept: WeakKeyDictionary[Any, OrderedDict[Hashable, Any]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    @property
    def held_mib(self) -> float:
        """What the kept parts hold now."""
        with self._lock:
            return sum(_nbytes(v) for kept in self._kept.values() for v in kept.values()) / 2**20

    def of(
        self,
        model: Model,
        schedule: Schedule,
        request: Request,
        *,
        decided: bool = False,
        stopped: Callable[[], bool] | None = None,
    ) -> Fitted:
        """What every predictor and action of the schedule needs; runs the model where it must.

        Args:
            decided: a policy decides while the run goes on, and may choose anything in the legends.

        Raises:
            Stopped: `stopped` said so between two branches or two fits.
            ScheduleError: an item cannot be fitted for this schedule.
        """
        found: Fitted = {}
        items: list[Item] = [*schedule.legend, *schedule.step_legend]
        if not any(map(_has_parts, items)):
            return found
        missing: list[tuple[Item, Hashable, Fitter, list[Hashable]]] = []
        for item, table, number in _used(schedule, decided=decided):
            parts = item.parts(table, number)
            if not parts:
                continue
            where: Hashable = (self._setting(model, request, item), item)
            had = self._recall(model, where, parts)
            if self.pictures == PICTURES and isinstance(item, Predictor) and len(had) < len(parts):
                # Trained on more runs; whoever asks for a number of pictures gets that fit.
                ready = item.ready(model, request)
                had = {**{part: ready[part] for part in parts if part in ready}, **had}
                self._keep(model, where, had)
            found[item] = had
            if lacking := [part for part in parts if part not in had]:
                missing.append((item, where, item.fitter(model.family, lacking), lacking))
        if learning := [fitter for item, _, fitter, _ in missing if item.calibrates]:
            calibrate(model, request, learning, pictures=self.pictures, stopped=stopped)
        for item, where, fitter, lacking in missing:
            solved = {}
            for part in lacking:
                if stopped is not None and stopped():
                    raise Stopped("the run was stopped between two fits.")
                solved[part] = fitter.solve(part)
            found[item] = {**found[item], **solved}
            self._keep(model, where, solved)
        return found

    def _setting(self, model: Model, request: Request, item: Item) -> Hashable:
        """All that decides a fit apart from model, item and part."""
        place = (str(model.device), str(model.dtype))
        if not item.calibrates:
            return place
        guidance = request.cfg_scale if request.passes == 2 else None
        noise = json.dumps(dict(model.noise), sort_keys=True, default=str)
        run = (request.steps, request.sampler, guidance, noise, len(model.class_names))
        return (*place, self.pictures, *run)

    def _recall(
        self, model: Model, where: Hashable, parts: Iterable[Hashable]
    ) -> dict[Hashable, Any]:
        with self._lock:
            kept = self._kept.get(model.family, OrderedDict())
            had = {part: kept[where, part] for part in parts if (where, part) in kept}
            for part in had:
                kept.move_to_end((where, part))
            return had

    def _keep(self, model: Model, where: Hashable, solved: Mapping[Hashable, Any]) -> None:
        with self._lock:
            kept = self._kept.setdefault(model.family, OrderedDict())
            kept.update({(where, part): value for part, value in solved.items()})
            held = sum(map(_nbytes, kept.values()))
            while held > self.budget_mib * 2**20:
                held -= _nbytes(kept.popitem(last=False)[1])


def _has_parts(item: Item) -> bool:
    """Whether it may have something to fit; most have not, and are spared the tables."""
    return type(item).parts not in (Predictor.parts, StepAction.parts)


def _nbytes(value: Any) -> int:
    """Bytes of all tensors in a fitted part."""
    if isinstance(value, Tensor):
        return value.untyped_storage().nbytes()
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, tuple | list):
        return 0
    return sum(map(_nbytes, value))


def _used(schedule: Schedule, *, decided: bool) -> Iterator[tuple[Item, np.ndarray, int]]:
    """Items of both legends that are in use, with the tables that their `parts` promise."""
    ran, whole = ran_cells(schedule)
    cells = np.where(ran & (whole | (schedule.actions != 0)), schedule.actions, COVERED)
    renewed = renewed_cells(schedule)
    for number, predictor in enumerate(schedule.legend, 1):
        if decided:
            yield predictor, np.full_like(cells, number), number
        elif (cells == number).any():
            yield predictor, np.where(renewed & (cells != number), 0, cells), number
    for number, action in enumerate(schedule.step_legend, 1):
        steps = np.full(schedule.steps, COVERED, np.uint8)
        if not decided:
            anew = [refreshed_at(schedule, key) for key in action.remembers(schedule.blocks)]
            steps[np.all(anew, axis=0)] = 0
            steps[schedule.step_actions == number] = number
        if decided or (steps == number).any():
            yield action, np.full_like(steps, number) if decided else steps, number


def calibration_noise(model: Model, pictures: int) -> Tensor:
    """Starting noise (pictures, C, h, w) that no seed of a run gives.

    A run's noise is what a generator gives first after seeding, and torch's looks at the lower 32
    bits of a seed only, so every seed is that of some run. These are later draws of one generator.
    """
    generator = torch.Generator().manual_seed(NOISE_SEED)
    return torch.randn((1 + pictures, *model.family.latent_shape), generator=generator)[1:]


def calibrate(
    model: Model,
    request: Request,
    fitters: Iterable[Fitter],
    *,
    pictures: int,
    stopped: Callable[[], bool] | None = None,
) -> None:
    """Full runs as `request` asks, of labels and noise of their own, shown to the fitters.

    One picture at a time, and nothing of it is kept but what the fitters keep.
    """
    fitters = tuple(fitters)
    family, count = model.family, len(model.class_names)
    full = Schedule.full(request.steps, model.blocks, branches=model.branches)
    noise = calibration_noise(model, pictures)
    given: Conditioning = None

    def watch(s: int, block: int, r: int, x: Tensor, out: Tensor) -> None:
        for fitter in fitters:
            fitter.see(s, block, r, x, out, given)

    for picture in range(pictures):
        with warnings.catch_warnings():
            # Said once, for the run that needs the fit.
            warnings.simplefilter("ignore", StochasticSamplerWarning)
            solver = make_sampler(
                request.sampler,
                model.noise,
                request.steps,
                device=model.device,
                seed=NOISE_SEED + 1 + picture,
            )
        labels = torch.tensor([picture * count // pictures], device=model.device)
        if request.passes == 2:
            labels = torch.cat([labels, torch.full_like(labels, family.classes)])
        with torch.no_grad():
            given = family.condition(torch.tensor(solver.timesteps, device=model.device), labels)
            x = noise[picture : picture + 1].to(model.device) * solver.first_scale
            executor = Executor(family, full, given, passes=request.passes)
            for s in range(request.steps):
                scaled = solver.model_input(x, s).to(model.dtype)
                batch = torch.cat([scaled] * request.passes)
                run = executor.begin(batch, s, watch=watch, stopped=stopped)
                output = executor.finish(run, 0).output
                for fitter in fitters:
                    fitter.see_step(s, run.at[0], run.at[run.blocks])
                x, _ = solver.step(guided(output.float(), request, x.shape[1]), x, s)
        for fitter in fitters:
            fitter.next_run()


def guided(output: Tensor, request: Request, channels: int) -> Tensor:
    """Model output (passes N, C', h, w) -> guided prediction (N, C, h, w).

    All latent channels are guided, as diffusers does; DiT's own script guides the first three only.
    Variance channels behind the prediction are left out.
    """
    if output.shape[1] != channels:
        output = output[:, :channels]
    if request.passes == 1:
        return output
    cond, null = output.chunk(2)
    return null.lerp(cond, request.cfg_scale)
