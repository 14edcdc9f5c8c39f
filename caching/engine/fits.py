"""What calibrated predictors and actions need is fitted on full runs, once per run setting."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from caching.actions.base import StepAction
from caching.engine.executor import Executor
from caching.engine.request import Request, noise_of
from caching.engine.samplers import make_sampler
from caching.models.model import Model
from caching.predictors.base import Fitter, Predictor
from caching.schedule import Schedule

PICTURES = 4
# Far from the seeds a person types, so that nothing is judged on what it was fitted on.
FIRST_SEED = 7_000_000_000
MAX_KEPT = 64

Fitted = dict[Predictor | StepAction, Any]


class Fits:
    """Fitted tables of one model, kept for the settings they were fitted under.

    Calibration runs are full runs of `pictures` pictures, labels spread over the classes, with the
    steps, sampler and guidance of the run that needs the fit.
    """

    def __init__(self, *, pictures: int = PICTURES) -> None:
        self.pictures = pictures
        self._kept: OrderedDict[Any, Any] = OrderedDict()

    def of(
        self,
        model: Model,
        schedule: Schedule,
        request: Request,
        *,
        stopped: Callable[[], bool] | None = None,
    ) -> Fitted:
        """What every predictor and action of the schedule needs; runs the model where it must.

        Raises:
            Stopped: `stopped` said so between two branches.
        """
        found: Fitted = {}
        missing: dict[Any, tuple[Predictor | StepAction, Fitter]] = {}
        setting = (
            id(model.family), request.steps, request.sampler, request.cfg_scale, request.dtype
        )  # fmt: skip
        for item, table, number in _used(schedule):
            key = (setting, item, (table == number).tobytes(), schedule.computed.tobytes())
            if key in self._kept:
                self._kept.move_to_end(key)
                found[item] = self._kept[key]
                continue
            fitter = item.fitter(model.family, table, number)
            if fitter is not None:
                missing[key] = (item, fitter)
        if missing:
            fitters = [fitter for _, fitter in missing.values()]
            if any(fitter.runs for fitter in fitters):
                calibrate(model, request, fitters, pictures=self.pictures, stopped=stopped)
            for key, (item, fitter) in missing.items():
                found[item] = self._kept[key] = fitter.done()
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return found


def _used(
    schedule: Schedule,
) -> Iterable[tuple[Predictor | StepAction, np.ndarray, int]]:
    for number, predictor in enumerate(schedule.legend, 1):
        if (schedule.actions == number).any():
            yield predictor, schedule.actions, number
    for number, action in enumerate(schedule.step_legend, 1):
        if (schedule.step_actions == number).any():
            yield action, schedule.step_actions, number


def calibrate(
    model: Model,
    request: Request,
    fitters: Iterable[Fitter],
    *,
    pictures: int,
    stopped: Callable[[], bool] | None = None,
) -> None:
    """Full runs as `request` asks, of other labels and seeds, shown to the fitters."""
    fitters = tuple(fitters)
    family, count = model.family, len(model.class_names)
    full = Schedule.full(request.steps, model.blocks, branches=model.branches)

    def watch(s: int, block: int, r: int, x: torch.Tensor, out: torch.Tensor) -> None:
        for fitter in fitters:
            fitter.see(s, block, r, x, out)

    for picture in range(pictures):
        solver = make_sampler(
            request.sampler, model.noise, request.steps, device=model.device, seed=picture
        )
        labels = torch.tensor([picture * count // pictures], device=model.device)
        if request.passes == 2:
            labels = torch.cat([labels, torch.full_like(labels, family.classes)])
        with torch.no_grad():
            given = family.condition(torch.tensor(solver.timesteps, device=model.device), labels)
            x = noise_of(model, [FIRST_SEED + picture]).to(model.device) * solver.first_scale
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


def guided(output: torch.Tensor, request: Request, channels: int) -> torch.Tensor:
    """Model output (passes N, C', h, w) -> guided prediction (N, C, h, w).

    All latent channels are guided, as diffusers does; DiT's own script guides the first three only.
    Variance channels behind the prediction are left out.
    """
    output = output[:, :channels]
    if request.passes == 1:
        return output
    cond, null = output.chunk(2)
    return null + request.cfg_scale * (cond - null)
