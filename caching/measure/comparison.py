"""One schedule against the full run and its honest rival: fewer plain steps of equal work."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from caching.engine.run import Run, StepEvent, iter_sample
from caching.errors import RequestError
from caching.measure.cost import steps_of_same_work
from caching.measure.fidelity import Fidelity, fidelity
from caching.measure.timing import Timing, setting_of, time_runs
from caching.models.model import Model
from caching.schedule import Schedule

Which = Literal["full", "cached", "fewer"]
LAGS = 8


@dataclass(frozen=True, eq=False)
class Progress:
    """A step of one of the three runs, or a repetition of the timing, has just finished."""

    which: Which | Literal["timing"]
    done: int
    total: int
    event: StepEvent | None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Full, cached and fewer-steps runs of one request, judged against the full one."""

    full: Run
    cached: Run
    fewer: Run
    cached_fidelity: Fidelity
    fewer_fidelity: Fidelity
    timing: Timing  # names "full", "cached", "fewer"


def iter_compare(
    model: Model,
    schedule: Schedule,
    *,
    label: int,
    seed: int,
    cfg_scale: float,
    sampler: str,
    known_full: Run | None = None,
    preview_every: int = 1,
    repeats: int = 3,
    stopped: Callable[[], bool] | None = None,
) -> Iterator[Progress | Comparison]:
    """Run `schedule`, the full run (unless `known_full` is it) and the rival; then time all three.

    Yields Progress while running and the Comparison last; ends early, without it, when `stopped`
    says so. Times come from separate runs in turn, free of previews and traces; without `repeats`,
    from the runs that were shown.

    Raises:
        ScheduleError: the schedule is for another model shape.
        RequestError: `known_full` is not the full run of as many steps.
    """
    schedule.check_fits(blocks=model.blocks, branches=model.branches)
    steps = schedule.steps
    if known_full is not None and (known_full.executed.any() or known_full.request.steps != steps):
        raise RequestError(
            f"the known run has {known_full.request.steps} steps, "
            f"{int(known_full.executed.astype(bool).sum())} cells of it reused, expected the full "
            f"run of {steps} steps; leave it out, and it is made."
        )
    full_schedule = Schedule.full(steps, model.blocks, branches=model.branches)
    fewer_steps = steps_of_same_work(model, schedule)
    fewer_schedule = Schedule.full(fewer_steps, model.blocks, branches=model.branches)
    plan: Mapping[Which, Schedule] = {
        "full": full_schedule,
        "cached": schedule,
        "fewer": fewer_schedule,
    }
    runs: dict[Which, Run] = {}
    if known_full is not None:
        runs["full"] = known_full
    for which, one in plan.items():
        if which in runs:
            continue
        for item in iter_sample(
            model,
            one,
            label=label,
            seed=seed,
            cfg_scale=cfg_scale,
            sampler=sampler,
            lags=max(1, min(LAGS, steps - 1)) if which == "full" else 0,
            preview_every=preview_every,
            stopped=stopped,
        ):
            if isinstance(item, Run):
                runs[which] = item
            else:
                yield Progress(which, item.step + 1, item.steps, item)
        if which not in runs:
            return
    taken: dict[str, list[float]] = {name: [] for name in plan}
    for turn in range(repeats):
        timing = time_runs(
            model,
            {str(k): v for k, v in plan.items()},
            label=label,
            seed=seed,
            cfg_scale=cfg_scale,
            sampler=sampler,
            repeats=1,
            stopped=stopped,
        )
        if timing is None:
            return
        for name, (total_ms,) in zip(timing.names, timing.total_ms, strict=True):
            taken[name].append(total_ms)
        yield Progress("timing", turn + 1, repeats, None)
    if not repeats:
        taken = {which: [float(run.step_ms.sum())] for which, run in runs.items()}
    yield Comparison(
        full=runs["full"],
        cached=runs["cached"],
        fewer=runs["fewer"],
        cached_fidelity=fidelity(runs["cached"], runs["full"]),
        fewer_fidelity=fidelity(runs["fewer"], runs["full"]),
        timing=Timing(tuple(plan), tuple(tuple(taken[which]) for which in plan), setting_of(model)),
    )
