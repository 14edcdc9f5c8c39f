"""What can be taken away from a page: picture, report, figures and tables, each made when asked.

Nothing is written on the server: a file travels as text in the answer and becomes one in the
browser (save.js).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from caching.formats.picture import png_of
from caching.formats.tables import TRACE, csv_of
from caching.measure.result import NAMES, Result
from caching.methods import Method
from caching.predict.proxy import Tables
from caching.versions import versions
from viz import sharetext as text
from viz.brushes import Canvas
from viz.figures.curves_svg import curves_svg
from viz.figures.grid_svg import Executed, grid_svg
from viz.link import Link, to_link
from viz.locks import mask_of
from viz.numbers import title_of
from viz.pages import studio
from viz.pages.links import home
from viz.pages.methods import GROUP
from viz.pages.visit import Visit
from viz.report.facts import Origin, measured_of, request_of
from viz.report.page import report_html
from viz.state import Settings

STEPS = ("step", "timestep", "ms", "computed", "of", "action", "drift", "score", "limit")


@dataclass(frozen=True)
class Saved:
    """A file for the browser to make.

    Attributes:
        name: of the file.
        content: its text, or bytes.
        kind: MIME type.
        raster: an SVG that is to become a PNG, so many pixels for each of its own; 0: as it is.
    """

    name: str
    content: str | bytes
    kind: str
    raster: int = 0

    def to_json(self) -> str:
        """As save.js reads it."""
        value: dict[str, object] = {"name": self.name, "type": self.kind}
        if isinstance(self.content, bytes):
            value["base64"] = base64.b64encode(self.content).decode("ascii")
        else:
            value["text"] = self.content
        return json.dumps({**value, "raster": self.raster} if self.raster else value)


def canvas_of(visit: Visit, result: Result) -> Canvas:
    """A result's schedule in the colours that its brushes have on the page."""
    return Canvas(result.schedule, visit.state.now.hues)


def method_of(visit: Visit, result: Result) -> Method | None:
    """The method that painted what was run, None when a hand or a policy did, or nobody knows."""
    method = visit.method
    if method is None or result.policy is not None or studio.is_stale(result, visit.state):
        return None
    as_named = visit.state.now.painted_by == (method.words, GROUP + method.name)
    return method if as_named else None


def weights_of(visit: Visit, result: Result) -> str:
    """The hash of the weights, where the model of a result is the loaded one."""
    same = not studio.is_of_other_model(result, visit.state) and result.recorded is None
    return visit.weights_hash if same else ""


# -- one file each -----------------------------------------------------------------------------


def picture(visit: Visit) -> Saved:
    """The cached picture with its recipe inside."""
    result = visit.shown
    here = studio.same_paint(result.schedule, visit.state.schedule)
    data = png_of(
        result.pictures["cached"].final,
        result.schedule,
        request_of(result, weights_of(visit, result)),
        locks=mask_of(visit.state.now.locks, result.schedule) if here else None,
        measured=measured_of(result),
        made_with=versions(),
    )
    return Saved("cachebrush.png", data, "image/png")


def report(visit: Visit) -> Saved:
    """The comparison as one HTML file."""
    result = visit.shown
    method = method_of(visit, result)
    settings = Settings(result.label, result.seed, result.cfg_scale, result.sampler)
    made = method or result.schedule
    link = to_link(Link(result.model, settings, result.schedule.steps, made), model=home())
    origin = Origin(
        method=method,
        made="" if studio.is_stale(result, visit.state) else visit.state.now.painted_by[0],
        fragment=link,
        weights_hash=weights_of(visit, result),
        versions=tuple(versions().items()),
        made_at=f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
    )
    page = report_html(
        result,
        canvas_of(visit, result),
        studio.last_change(result.tables),
        held=studio.held_words(result),
        sampler=studio.SAMPLER_NAMES.get(result.sampler, result.sampler),
        origin=origin,
    )
    return Saved("cachebrush-report.html", page, "text/html")


def _grid(visit: Visit) -> str:
    """The grid as it stands, and what ran of it where that has been run."""
    state, result = visit.state, visit.shown
    canvas = state.now.canvas
    executed = None
    if result.policy is None and not studio.is_stale(result, state):
        canvas = canvas_of(visit, result)
        executed = Executed(result.executed, result.executed_actions)
    words = f"Schedule of {state.model.name}: {state.schedule.steps} steps"
    return grid_svg(canvas, title=words, executed=executed)


def _tables(visit: Visit) -> Tables:
    """The changes of the last full run; ValueError before there is one of as many steps."""
    found, steps = visit.tables, visit.state.schedule.steps
    if not studio.changes_known(found):
        raise ValueError(text.NO_CURVES)
    if len(found.change) != steps:
        raise ValueError(text.OTHER_CURVES.format(had=len(found.change), has=steps))
    return found


def _curves(visit: Visit) -> str:
    model = visit.state.model
    words = f"Change of each branch of {model.name} from step to step"
    change = studio.last_change(_tables(visit))
    return curves_svg(change, branches=model.branches, title=words)


def grid_drawn(visit: Visit) -> Saved:
    return Saved("grid.svg", _grid(visit), "image/svg+xml")


def grid_pixels(visit: Visit) -> Saved:
    return Saved("grid.png", _grid(visit), "image/png", raster=2)


def curves_drawn(visit: Visit) -> Saved:
    return Saved("curves.svg", _curves(visit), "image/svg+xml")


def curves_pixels(visit: Visit) -> Saved:
    return Saved("curves.png", _curves(visit), "image/png", raster=2)


def curves_table(visit: Visit) -> Saved:
    """Every curve of changes, a row per step, block, branch and lag; the columns of `trace`."""
    change, state = _tables(visit).change, visit.state
    steps, blocks, _, lags = change.shape
    times = studio.timesteps_of(visit.result, state) or (None,) * steps
    rows = (
        (s, times[s], block, branch, lag, change[s, block, r, lag - 1])
        for s in range(1, steps)
        for block in range(blocks)
        for r, branch in enumerate(state.model.branches)
        for lag in range(1, min(lags, s) + 1)
    )
    return Saved("curves.csv", csv_of(TRACE[:6], rows), "text/csv")


def steps_table(visit: Visit) -> Saved:
    """What every step of the cached run did, how long it took and how far it had drifted."""
    result = visit.shown
    of = result.executed[0].size
    decided = result.decided or ((None, None),) * len(result.executed)
    marks = result.executed_actions
    rows = (
        (
            s,
            result.timesteps[s],
            result.step_ms[s],
            int((cells == 0).sum()),
            of,
            0 if marks is None else int(marks[s]),
            result.drift[s],
            *decided[s],
        )
        for s, cells in enumerate(result.executed)
    )
    return Saved("steps.csv", csv_of(STEPS, rows), "text/csv")


def numbers_table(visit: Visit) -> Saved:
    """The table of measured numbers, and where they were measured."""
    result = visit.shown
    names = ("steps", "work", "nfe", "cache_mib", "median_ms", "speedup", "psnr_db", "ssim",
             "latent_rel_l2")  # fmt: skip
    rows = []
    for name in NAMES:
        f = result.figures[name]
        title = title_of(name, f, result.policy)
        rows.append((name, title, *(getattr(f, key) for key in names), result.setting))
    return Saved("numbers.csv", csv_of(("run", "title", *names, "setting"), rows), "text/csv")


MAKERS: Mapping[str, tuple[str, Callable[[Visit], Saved]]] = {
    "grid.svg": ("Grid, SVG", grid_drawn),
    "grid.png": ("Grid, PNG", grid_pixels),
    "curves.svg": ("Curves, SVG", curves_drawn),
    "curves.png": ("Curves, PNG", curves_pixels),
    "curves.csv": ("Curves, CSV", curves_table),
    "steps.csv": ("Steps, CSV", steps_table),
    "numbers.csv": ("Numbers, CSV", numbers_table),
    "picture": ("Picture with its recipe, PNG", picture),
    "report": ("Report, HTML", report),
}
OWN_BUTTONS = ("picture", "report")
CHOICES = [(label, name) for name, (label, _) in MAKERS.items() if name not in OWN_BUTTONS]
