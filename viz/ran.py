"""The runs of one visit made small: what was asked, what came out, thumbnails; a bounded list."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from caching.measure.result import Figures, Result
from caching.predictors.reuse import Reuse
from caching.schedule import Schedule
from viz import palette
from viz.brushes import Canvas, hues_of
from viz.images import bytes_uri
from viz.numbers import title_of
from viz.pages import studio
from viz.state import Settings, ViewState

MAX_RUNS = 200
MAX_BETTER = 60  # of one improvement's finds
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

    def note(self, result: Result, state: ViewState) -> None:
        """Add a finished comparison; the oldest go once there are too many."""
        self._count += 1
        self.runs = (*self.runs, ran_of(result, state, self._count))[-MAX_RUNS:]

    def note_better(self, found: Better) -> None:
        """Add a schedule that an improvement found."""
        self.better = (*self.better, found)[-MAX_BETTER:]

    def __iter__(self) -> Iterator[Ran]:
        return iter(self.runs)

    def run(self, number: int) -> Ran | None:
        """A run by its number, if it is still there."""
        return next((one for one in self.runs if one.number == number), None)

    def found(self, of: int, number: int) -> Better | None:
        """A find by the numbers of its improvement and trial."""
        return next((b for b in self.better if (b.of, b.number) == (of, number)), None)


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
