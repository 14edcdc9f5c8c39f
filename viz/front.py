"""The budget slider's front as the plot draws it: its schedules with what is predicted of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caching.errors import CachebrushError
from caching.methods.budget import Budget
from caching.once import Once
from caching.predict.kept import Kept
from caching.predict.packed import pack
from caching.schedule import Schedule
from viz import text
from viz.state import ViewState

if TYPE_CHECKING:
    from caching.methods.setting import ModelSetting
    from caching.predict.picture import Level

FRONT_POINTS = 25
FASTEST = 5.0


@dataclass(frozen=True, eq=False)
class Ahead:
    """One schedule of the budget's front with what is predicted of it.

    Attributes:
        macs: of the full run over its own.
        db: PSNR in the mean over pictures.
    """

    schedule: Schedule
    macs: float
    db: float


@dataclass(frozen=True, eq=False)
class Front:
    """What is drawn of a setting.

    Attributes:
        kept: what predicts it; None: nothing does.
        ahead: its schedules; empty while they are worked out, or where none can be made.
        done: whether they are worked out.
    """

    kept: Kept | None = None
    ahead: tuple[Ahead, ...] = ()
    done: bool = False


NOTHING = Front()
# By the prediction that they are made of: a better round of a calibration is another one.
FRONTS: Once[Front] = Once(12)


def known_front(kept: Kept) -> Front | None:
    """The front of a prediction if it has been worked out."""
    return FRONTS.find(kept)


def front_of(setting: ModelSetting, kept: Kept) -> Front:
    """The front of a prediction; takes seconds of thought, once for everybody.

    Args:
        setting: one that is patient and knows this prediction.
    """
    return FRONTS.get(kept, lambda: Front(kept, tuple(_ahead(setting, kept)), done=True))


def _ahead(setting: ModelSetting, kept: Kept) -> list[Ahead]:
    from caching.measure.cost import cost_of

    here = pack(kept).kept  # the page's own numbers: a point says what the readout will
    found: dict[Schedule, Ahead] = {}
    try:
        for speedup in np.geomspace(1.05, FASTEST, FRONT_POINTS):
            schedule = Budget(speedup=float(speedup)).plan(setting).schedule
            if not schedule.is_full and schedule not in found:
                macs = 1 / cost_of(setting.model, schedule).work
                found[schedule] = Ahead(schedule, macs, here.predict(schedule).db)
    except CachebrushError:  # no front can be made of this prediction
        return []
    return _best(list(found.values()))


def _best(ahead: list[Ahead]) -> list[Ahead]:
    """Without those that one of less work beats; from most work to least."""
    best: list[Ahead] = []
    for one in sorted(ahead, key=lambda a: (-a.macs, -a.db)):
        if not best or one.db >= best[-1].db:
            best.append(one)
    return best[::-1]


def front_words(
    front: Front,
    state: ViewState,
    level: Level,
    *,
    live: bool,
    changes: bool,
    shipped: bool = False,
) -> str:
    """Where the dashed line is from, in a sentence; or why there is none, and how to get it.

    Args:
        level: of the page's picture, which the line is moved by.
        live: whether a model is loaded.
        changes: whether a full run has shown how much outputs change.
        shipped: whether gradients of this setting ship, which say nothing of PSNR by themselves.
    """
    if not live:
        return text.FRONT_NOT_LIVE
    if front.kept is None:
        s, proxy = state.settings, text.FRONT_CHANGES if changes else text.FRONT_AGES
        proxy = text.FRONT_GRADIENTS if shipped else proxy
        return text.FRONT_NONE.format(
            steps=state.schedule.steps, cfg=f"{s.cfg_scale:g}", sampler=s.sampler, proxy=proxy
        )
    if front.done and not front.ahead:
        return text.FRONT_EMPTY
    if not front.done:
        return text.FRONT_BUSY.format(source=front.kept.source)
    moved = text.FRONT_MEAN
    if level.runs:
        runs = f"{level.runs} run{'s' if level.runs > 1 else ''}"
        moved = text.FRONT_HERE.format(level=f"{level.db:+.1f}".replace("-", "−"), runs=runs)
    return text.FRONT.format(source=front.kept.source, moved=moved)
