"""What the Pareto plot shows of a visit: its points, the predicted front, and a table of them."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from caching.predict.evidence import BEST_DB
from caching.predict.picture import Level
from caching.predict.proxy import Tables, predict
from caching.schedule import Schedule
from caching.study.store import Study
from viz import text
from viz.figures.pareto import Point, Quality, value_words
from viz.front import Ahead
from viz.pages import studio
from viz.ran import Better, History, Ran, rival_words
from viz.state import Settings, ViewState
from viz.studies import SCROLLS

PICTURED = 60  # of the newest runs; thumbnails of all would be half a megabyte with every run


# -- points ------------------------------------------------------------------------------------


def points_of(
    history: History,
    state: ViewState,
    study: Study | None,
    front: Sequence[Ahead],
    tables: Tables | None,
    level: Level,
) -> list[Point]:
    """Everything the plot can show: of the page's model only, other pictures marked as such.

    What is predicted is moved by the level of the page's picture, to lie beside its runs.
    """
    model = state.model.name
    points = [] if study is None or study.model != model else study_points(study)
    points += [_ahead(k, one, tables, level) for k, one in enumerate(front)]
    runs = [ran for ran in history if ran.model == model]
    points += [_rival(ran, state) for ran in runs]
    points += [_better(one, state, tables) for one in history.better if one.model == model]
    return points + [_run(ran, state) for ran in runs]


def study_points(study: Study) -> list[Point]:
    """Rows of the recorded study, each the mean over its pictures."""
    note = text.PARETO_RECORDED.format(
        setting=study.setting or "a machine that timed nothing", date=study.date,
        pictures=study.pictures,
    )  # fmt: skip
    rows = [(f"s{k}", row, "study") for k, row in enumerate(study.rows)]
    rows += [(f"q{k}", row, "study plain") for k, row in enumerate(study.plain)]
    return [
        Point(
            id=name,
            series="study plain" if row.method == "plain-steps" else "study",
            name=studio.shortened(row.words, 80),
            speedup=row.ms_speedup,
            macs=row.speedup,
            psnr_db=row.psnr_db.mean,
            ssim=row.ssim.mean,
            latent=row.latent_rel_l2.mean,
            note=note,
        )
        for name, row, _ in rows
        if row.speedup > 0
    ]


def _run(ran: Ran, state: ViewState) -> Point:
    f = ran.cached
    return Point(
        f"r{ran.number}", "cached", f"{ran.number}. {ran.what}", f.speedup, 1 / f.work,
        f.psnr_db, f.ssim, f.latent_rel_l2, _here(ran, state), ran.recorded or "",
    )  # fmt: skip


def _here(ran: Ran, state: ViewState) -> bool:
    """Whether a run is of the page's own picture, and timed by this visit."""
    return ran.recorded is None and ran.is_of(state)


def _rival(ran: Ran, state: ViewState) -> Point:
    f = ran.fewer
    return Point(
        f"p{ran.number}", "fewer", rival_words(ran), f.speedup, 1 / f.work,
        f.psnr_db, f.ssim, f.latent_rel_l2, _here(ran, state), ran.recorded or "",
    )  # fmt: skip


def _better(one: Better, state: ViewState, tables: Tables | None) -> Point:
    psnr = one.db if one.objective == "psnr" else None
    latent = 10 ** (-one.db / 20) if one.objective == "latent" else None
    note = text.PARETO_BETTER.format(pictures=one.pictures)
    here = one.schedule.actions.shape == state.schedule.actions.shape
    return Point(
        f"b{one.of}.{one.number}", "better", f"Improve {one.of}, trial {one.number}",
        _speedup(one.schedule, tables), 1 / one.work, psnr, None, latent, here, note,
    )  # fmt: skip


def _ahead(k: int, one: Ahead, tables: Tables | None, level: Level) -> Point:
    note = text.PARETO_PREDICTED_HERE if level.runs else text.PARETO_PREDICTED
    return Point(
        f"f{k}", "front", f"Budget {one.macs:.2f}×", _speedup(one.schedule, tables), one.macs,
        min(one.db + level.db, BEST_DB), note=note,
    )  # fmt: skip


def _speedup(schedule: Schedule, tables: Tables | None) -> float | None:
    """Predicted from this machine's own times, None where these are of other steps or blocks."""
    if tables is None or tables.change.shape[:3] != schedule.actions.shape:
        return None
    return predict(schedule, tables).speedup


# -- the same as a table -----------------------------------------------------------------------


def settings_words(settings: Settings, class_names: Sequence[str], steps: int) -> str:
    """A picture's settings in few words."""
    known = 0 <= settings.label < len(class_names)
    name = class_names[settings.label] if known else str(settings.label)
    return (
        f"{studio.shortened(name, 30)}, seed {settings.seed}, {steps} steps, "
        f"guidance {settings.cfg_scale:g}, {settings.sampler}"
    )


def table_html(
    history: History, state: ViewState, front: Sequence[Ahead], tables: Tables | None,
    level: Level, pins: Mapping[str, str], current: str | None,
) -> str:  # fmt: skip
    """Every run of the visit with its thumbnails and its buttons, then the front."""
    rows = []
    for k, ran in enumerate(reversed([r for r in history if r.model == state.model.name])):
        own = settings_words(ran.settings, state.model.class_names, ran.schedule.steps)
        thumbs = (ran.picture, ran.grid, ran.fewer_picture) if k < PICTURED else ("", "", "")
        rows.append(_row(_run(ran, state), own, thumbs[0], thumbs[1], pins, current))
        rows.append(_row(_rival(ran, state), own, thumbs[2], "", pins, current))
    for one in reversed([b for b in history.better if b.model == state.model.name]):
        rows.append(_row(_better(one, state, tables), "", "", one.grid, pins, current))
    rows += [_row(_ahead(k, one, tables, level), "", "", "", pins, current)
             for k, one in enumerate(front)]  # fmt: skip
    return _table(rows, text.PARETO_TABLE.format(count=len(rows)), "visit")


def recorded_html(study: Study) -> str:
    """The study's rows."""
    rows = [_row(p, "", "", "", {}, None) for p in study_points(study)]
    return _table(rows, text.PARETO_RECORDED_TABLE.format(count=len(rows)), "recorded")


HEADS = ("Run", "", "PSNR", "SSIM", "Latent", "Faster", "Fewer MACs", "From", "")


def _table(rows: Sequence[str], summary: str, name: str) -> str:
    heads = "".join(f'<th scope="col">{head}</th>' for head in HEADS)
    return (
        f'<details class="cb-pareto-table" data-table="{name}"><summary>{html.escape(summary)}'
        f"</summary>{SCROLLS}<table><thead><tr>{heads}</tr></thead><tbody>"
        f"{''.join(rows)}</tbody></table></div></details>"
    )


def _row(
    point: Point, own: str, picture: str, grid: str, pins: Mapping[str, str], current: str | None
) -> str:
    name = html.escape(point.name)
    images = "".join(
        f'<img src="{src}" alt="" class="cb-thumb cb-thumb-{kind}">'
        for src, kind in ((picture, "picture"), (grid, "grid"))
        if src
    )
    numbers = [_number(point, q) for q in ("psnr", "ssim", "latent")]
    took = "–" if point.speedup is None else f"{point.speedup:.2f}×"
    pinned = pins.get(point.id, "")
    mark = f' <b class="cb-pin">{pinned}</b>' if pinned else ""
    on = ' aria-current="true"' if point.id == current else ""
    source = html.escape(" · ".join(part for part in (own, point.note) if part))
    return (
        f'<tr data-point="{point.id}" data-series="{point.series}"{on}><th scope="row">'
        f"<i></i>{name}{mark}</th><td>{images}</td>"
        f"{''.join(f'<td>{n}</td>' for n in numbers)}<td>{took}</td><td>{point.macs:.2f}×</td>"
        f'<td class="cb-from">{source}</td><td class="cb-do">{_buttons(point)}</td></tr>'
    )


def _number(point: Point, quality: Quality) -> str:
    if point.quality(quality) is None:
        return "–"
    words = value_words(point, quality)
    return words.removeprefix("SSIM ").removeprefix("latent error ")


def _buttons(point: Point) -> str:
    name = html.escape(point.name)
    kinds = []
    if point.id[0] in "rpbf" or (point.id[0] == "s" and point.series == "study"):
        kinds.append(("restore", "Restore"))
    if point.id[0] in "rbf":
        kinds += [("A", "A"), ("B", "B")]
    return "".join(
        f'<button type="button" data-do="{do}" data-of="{point.id}" '
        f'aria-label="{"Restore" if do == "restore" else f"Pin as {do}:"} {name}">{word}</button>'
        for do, word in kinds
    )
