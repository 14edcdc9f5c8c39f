"""One schedule against the full run and its honest rival: fewer plain steps of equal work."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from caching.dynamic.base import Policy
from caching.engine.request import prepare
from caching.engine.run import Run, StepEvent, iter_sample
from caching.measure.fidelity import Fidelity, fidelity
from caching.measure.known import Known
from caching.measure.timing import Timing, setting_of, time_runs
from caching.models.model import Model
from caching.schedule import Schedule

Which = Literal["full", "cached", "fewer"]
LAGS = 8


@dataclass(frozen=True, eq=False)
class Progress:
    """A step of a run or a repetition of the timing is over; of the timing also the beginning."""

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
    policy: Policy | None = None,
    known: Known | None = None,
    preview_every: int = 1,
    repeats: int = 3,
    stopped: Callable[[], bool] | None = None,
) -> Iterator[Progress | Comparison]:
    """Run `schedule`, the full run and the rival, unless they are known; then time all three.

    Yields Progress while running and the Comparison last; ends early, without it, when `stopped`
    says so. With `policy` the cached run is the policy's own and `schedule` only gives the number
    of steps. Times come from separate whole runs in turn, free of previews and traces; without
    `repeats`, from the runs that were shown.

    Raises:
        ScheduleError: the schedule is for another model shape.
    """
    schedule.check_fits(blocks=model.blocks, branches=model.branches)
    known, steps = known or Known(), schedule.steps
    asked: dict[str, Any] = {
        "label": label,
        "seed": seed,
        "cfg_scale": cfg_scale,
        "sampler": sampler,
    }
    full_schedule = Schedule.full(steps, model.blocks, branches=model.branches)
    start = full_schedule if policy is not None else schedule
    runs: dict[Which, Run] = {}

    def run(which: Which, one: Schedule, **extra: Any) -> Iterator[Progress]:
        options: dict[str, Any] = {
            "preview_every": preview_every,
            "stopped": stopped,
            "fits": known.fits,
        }
        for item in iter_sample(model, one, **asked, **options, **extra):
            if isinstance(item, Run):
                runs[which] = item
            else:
                yield Progress(which, item.step + 1, item.steps, item)

    def plain(which: Which, one: Schedule, *, lags: int) -> Iterator[Progress]:
        request, _, _ = prepare(model, one, **asked)
        found = known.full(request)
        if found is not None and (found.trace is not None or not lags):
            runs[which] = found
            return
        yield from run(which, one, lags=lags)
        if which in runs:
            known.keep(runs[which])

    yield from plain("full", full_schedule, lags=max(1, min(LAGS, steps - 1)))
    if "full" not in runs:
        return
    states = None if policy is not None else known.states(runs["full"].request)
    yield from run("cached", start, policy=policy, states=states)
    if "cached" not in runs:
        return
    # As `steps_of_same_work`, with what a policy computed to decide.
    fewer_steps = max(1, round(steps * runs["cached"].cost.work))
    fewer_schedule = Schedule.full(fewer_steps, model.blocks, branches=model.branches)
    yield from plain("fewer", fewer_schedule, lags=0)
    if "fewer" not in runs:
        return
    plans: dict[str, Schedule | Policy] = {
        "full": full_schedule,
        "cached": policy if policy is not None else schedule,
        "fewer": fewer_schedule,
    }
    taken: dict[str, list[float]] = {name: [] for name in plans}
    if repeats:
        yield Progress("timing", 0, repeats, None)
    for turn in range(repeats):
        timing = time_runs(
            model,
            plans,
            **asked,
            steps=steps,
            repeats=1,
            fits=known.fits,
            stopped=stopped,
        )
        if timing is None:
            return
        for name, (total_ms,) in zip(timing.names, timing.total_ms, strict=True):
            taken[name].append(total_ms)
        yield Progress("timing", turn + 1, repeats, None)
    if not repeats:
        taken = {which: [float(one.step_ms.sum())] for which, one in runs.items()}
    yield Comparison(
        full=runs["full"],
        cached=runs["cached"],
        fewer=runs["fewer"],
        cached_fidelity=fidelity(runs["cached"], runs["full"]),
        fewer_fidelity=fidelity(runs["fewer"], runs["full"]),
        timing=Timing(
            tuple(plans), tuple(tuple(taken[which]) for which in plans), setting_of(model)
        ),
    )
