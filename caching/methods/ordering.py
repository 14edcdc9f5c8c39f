"""Rungs of a ladder in order of their work: exactly on a loaded model, else by nominal shares."""

from __future__ import annotations

from collections.abc import Iterable

from caching.methods.base import Method, Setting, Unready
from caching.policies.rungs import nominal_work
from caching.schedule import Schedule


def by_work(setting: Setting, rungs: Iterable[Method]) -> tuple[Method, ...]:
    """From most to least work, one for each schedule; for methods that plan without a policy.

    None does more than a full run, which notes for later steps may.

    Raises:
        Unready: a plan needs what is not known yet.
    """
    found: dict[Schedule, Method] = {}
    for rung in rungs:
        found.setdefault(rung.plan(setting).schedule, rung)
    work = {schedule: _work(setting, schedule) for schedule in found}
    most = max(_work(setting, setting.full()), min(work.values()))
    kept = [schedule for schedule in found if work[schedule] <= most]
    return tuple(found[schedule] for schedule in sorted(kept, key=lambda one: -work[one]))


def _work(setting: Setting, schedule: Schedule) -> float:
    try:
        model = setting.model
    except Unready:
        return nominal_work(schedule)
    from caching.measure.cost import step_macs

    return float(step_macs(model, schedule).sum())
