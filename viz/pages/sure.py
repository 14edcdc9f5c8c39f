"""How sure the page's predictions are, in one line under the grid; what stands in until then."""

from __future__ import annotations

import html

from caching.predict.kept import For, shipped
from viz import text
from viz.calibrating import AUTO_S, Stand
from viz.live import Engine
from viz.pages import studio
from viz.pages.visit import Visit
from viz.work import time_words

LEAST_STEPS = 2  # one alone has nothing to reuse


def line_html(visit: Visit, engine: Engine, stand: Stand | None = None) -> str:
    """What is known of the present setting; `stand`: of the calibration in progress.

    Nothing before a model is live, and where a calibration ships: the readout has its range.
    """
    of = visit.setting
    if visit.predictions is None or of.steps < LEAST_STEPS or shipped(of) is not None:
        return ""
    if stand is not None:
        return _line("busy", _busy_words(stand), stand)
    kept, left = visit.predictions.find(of), visit.predictions.left(of)
    takes = _takes(visit, engine, of) if left else ""
    if kept is None:
        proxy = text.SURE_DRIFT if studio.changes_known(visit.tables) else text.SURE_CELLS
        return _line("open", text.SURE_NOT.format(proxy=proxy, takes=takes))
    words = sure_words(kept.estimator.median_db, visit.predictions.known(of).done)
    if left:
        words = f"{words} {text.SURE_MORE.format(takes=takes)}"
    return _line("open" if left else "done", words)


def sure_words(median_db: float, schedules: int) -> str:
    """The error of a prediction on schedules it had not seen."""
    return text.SURE.format(db=f"{median_db:.1f}", count=schedules)


def begins_by_itself(visit: Visit, engine: Engine) -> bool:
    """Whether a model that has just been loaded is worth calibrating unasked."""
    predictions, loaded = visit.predictions, engine.get(visit.state.model.name)
    if predictions is None or loaded is None or not predictions.by_itself:
        return False
    of = visit.setting
    return (
        not visit.refused
        and visit.calibrating is None
        and visit.state.model.name != text.HOME_MODEL
        and of.steps >= LEAST_STEPS
        and predictions.find(of) is None
        and predictions.estimate_s(of, loaded) <= AUTO_S
    )


def _takes(visit: Visit, engine: Engine, of: For) -> str:
    loaded = engine.get(visit.state.model.name)
    if visit.predictions is None or loaded is None:
        return text.SURE_LATER
    return f"about {time_words(visit.predictions.estimate_s(of, loaded))}"


def _busy_words(stand: Stand) -> str:
    left = "" if stand.left_s is None else f", about {time_words(stand.left_s)} left"
    what = stand.words.removeprefix("calibration: ").replace("response: ", text.SURE_RESPONSE)
    words = f"{text.SURE_BUSY}{f': {what}' if what else ''}{left}."
    if stand.kept is None:
        return words
    e = stand.kept.estimator
    return f"{words} {text.SURE_SO_FAR.format(db=f'{e.median_db:.1f}', count=len(e.known))}"


def _line(state: str, words: str, stand: Stand | None = None) -> str:
    bar = ""
    if stand is not None:
        bar = (
            f'<progress max="1" value="{stand.share:.3f}" '
            f'aria-label="{html.escape(text.SURE_BUSY)}"></progress>'
        )
    return (
        f'<p class="cb-sure" data-testid="sure" data-state="{state}">{bar}'
        f"<span>{html.escape(words)}</span></p>"
    )
