"""The runs of one visit made small: what was asked, what came out, thumbnails; a bounded list."""

from __future__ import annotations

import io
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from caching.measure.result import Figures, Result
from caching.predict.kept import Kept
from caching.predict.picture import Level, level_of
from caching.predictors.reuse import Reuse
from caching.predictors.taylor import Taylor
from caching.schedule import Schedule
from viz import palette
from viz.brushes import Canvas, hues_of
from viz.images import bytes_uri
from viz.numbers import title_of
from viz.pages import studio
from viz.pages.kept import paint_of
from viz.state import Settings, ViewState

MAX_RUNS = 200
MAX_BETTER = 60  # of one improvement's finds
MOST_LEVEL = 24  # schedules that a picture's level is learned from: more say nothing new
THUMB_PX = 48
THUMB_QUALITY = 80
REUSED = "#C3CFDA"  # of a cell in a thumbnail, on either paper


@dataclass(frozen=True, eq=False)
class Ran:
    """One comparison of the visit; two or three kilobytes.

    Attributes:
        number: counted from 1 over the visit.
        what: what was run, in words.
        model, settings, schedule: asked for; of a policy, what it decided.
        policy: what decided, None where the paint did.
        cached, fewer: measured figures of the run and of its rival with fewer plain steps.
        picture, fewer_picture, grid: thumbnails as data URIs.
        setting: machine, threads and dtype of the times.
        recorded: "recorded on …" where it is not this visit's own.
    """

    number: int
    what: str
    model: str
    settings: Settings
    schedule: Schedule
    policy: str | None
    cached: Figures
    fewer: Figures
    picture: str
    fewer_picture: str
    grid: str
    setting: str
    recorded: str | None

    @cached_property
    def paint(self) -> Hashable | None:
        """What tells its schedule from others, None where no prediction says anything of it."""
        telling = not self.schedule.is_full and is_known(self.schedule)
        return paint_of(self.schedule) if telling else None

    def is_of(self, state: ViewState) -> bool:
        """Whether its picture is the one the page now asks for, whatever its schedule."""
        same_steps = self.schedule.actions.shape == state.schedule.actions.shape
        return same_steps and (self.model, self.settings) == (state.model.name, state.settings)


@dataclass(frozen=True, eq=False)
class Better:
    """A schedule that an improvement found, judged on pictures of its own.

    Attributes:
        of: number of the improvement it belongs to, from 1.
        number: of its trial.
        db: mean over the pictures; what counts depends on `objective`.
        pictures: how many.
        work: share of the full run's multiply-accumulates.
    """

    of: int
    number: int
    model: str
    settings: Settings
    schedule: Schedule
    objective: str
    db: float
    pictures: int
    work: float
    grid: str


class History:
    """The last runs of a visit and what improvements found; values in it are immutable."""

    def __init__(self) -> None:
        self.runs: tuple[Ran, ...] = ()
        self.better: tuple[Better, ...] = ()
        self._count = 0
        self._means: dict[tuple[Kept, Hashable], float] = {}  # predicted, by paint

    def note(self, result: Result, state: ViewState) -> None:
        """Add a finished comparison; the oldest go once there are too many."""
        self._count += 1
        self.runs = (*self.runs, ran_of(result, state, self._count))[-MAX_RUNS:]

    def note_better(self, found: Better) -> None:
        """Add a schedule that an improvement found."""
        self.better = (*self.better, found)[-MAX_BETTER:]

    def __iter__(self) -> Iterator[Ran]:
        return iter(self.runs)

    def level(self, state: ViewState, kept: Kept) -> Level:
        """How far the page's picture lies from the mean over pictures, by its last runs here."""
        found: dict[Hashable, tuple[float, float]] = {}
        for ran in reversed(self.runs):
            psnr_db, paint = ran.cached.psnr_db, ran.paint
            if psnr_db is None or paint is None or paint in found:
                continue
            if ran.recorded is None and ran.is_of(state):
                found[paint] = psnr_db, self._predicted(paint, ran.schedule, kept)
            if len(found) == MOST_LEVEL:
                break
        return level_of((paint, *both) for paint, both in found.items())

    def _predicted(self, paint: Hashable, schedule: Schedule, kept: Kept) -> float:
        """In the mean over pictures; once for each schedule of a prediction."""
        if (kept, paint) not in self._means:
            if len(self._means) >= MAX_RUNS:
                self._means = {}
            self._means[kept, paint] = kept.predict(schedule).db
        return self._means[kept, paint]

    def run(self, number: int) -> Ran | None:
        """A run by its number, if it is still there."""
        return next((one for one in self.runs if one.number == number), None)

    def found(self, of: int, number: int) -> Better | None:
        """A find by the numbers of its improvement and trial."""
        return next((b for b in self.better if (b.of, b.number) == (of, number)), None)


def is_known(schedule: Schedule) -> bool:
    """Whether predictions learned from what it is made of: reuse and Taylor forecasts alone."""
    used = schedule.compact()
    return not used.step_legend and all(type(p) in (Reuse, Taylor) for p in used.legend)


def ran_of(result: Result, state: ViewState, number: int) -> Ran:
    """A result made small; named after the edit that led to its paint, where that is on show."""
    settings = Settings(result.label, result.seed, result.cfg_scale, result.sampler)
    what = result.policy or (
        state.now.painted_by[0] if not studio.is_stale(result, state) else "schedule"
    )
    fewer = result.figures["fewer"]
    return Ran(
        number=number,
        what=studio.shortened("recorded run" if result.recorded else what, 80),
        model=result.model,
        settings=settings,
        schedule=result.schedule.compact(),
        policy=result.policy,
        cached=result.figures["cached"],
        fewer=fewer,
        picture=thumbnail(result.pictures["cached"].final),
        fewer_picture=thumbnail(result.pictures["fewer"].final),
        grid=grid_thumbnail(result.schedule),
        setting=result.setting,
        recorded=result.recorded,
    )


def rival_words(ran: Ran) -> str:
    """What the rival of a run is called."""
    return title_of("fewer", ran.fewer)


def thumbnail(picture: np.ndarray) -> str:
    """A picture uint8 (H, W, 3) of at most 48 px as a data URI, about a kilobyte."""
    small = Image.fromarray(picture)
    small.thumbnail((THUMB_PX, THUMB_PX))
    out = io.BytesIO()
    small.save(out, "WEBP", quality=THUMB_QUALITY, method=2)
    return bytes_uri(out.getvalue(), "webp")


def grid_thumbnail(schedule: Schedule) -> str:
    """The grid as a picture, a pixel per cell: rows of blocks and branches, columns of steps."""
    canvas = Canvas(schedule)
    hues, _ = hues_of(canvas)
    colours = [palette.LIGHT["compute"]]
    for predictor, hue in zip(schedule.legend, hues, strict=True):
        plain = isinstance(predictor, Reuse) or hue is None
        colours.append(REUSED if plain else palette.BRUSHES[int(hue or 0)])
    table = np.array([palette.rgb(colour) for colour in colours], np.uint8)
    cells = table[schedule.actions]
    cells[schedule.covered] = palette.rgb(REUSED)
    rows = cells.transpose(1, 2, 0, 3).reshape(-1, schedule.steps, 3)
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rows)).quantize(256).save(out, "PNG", optimize=True)
    return bytes_uri(out.getvalue(), "png")
