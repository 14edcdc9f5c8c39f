"""The predicted front of a setting: by what is calibrated here, renewed, and where it is from."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from caching.methods.budget import Budget
from caching.predict.kept import Kept
from caching.predict.picture import Level
from caching.schedule import Schedule
from tests.viz.visits import stroke, turned
from viz.calibrating import Known, Predictions
from viz.front import Ahead, Front, _best, front_words
from viz.live import Engine
from viz.pages.calibrate import Calibrates
from viz.pages.handlers import Handlers
from viz.pages.pareto import Pareto, shown
from viz.pages.visit import Visit, start_visit

LOOK = ("psnr", "macs")


def opened(engine: Engine, folder: str, steps: int = 6) -> tuple[Handlers, Visit]:
    handlers, visit = Handlers(engine), start_visit()
    *_, last = handlers.use_model(folder, visit)
    assert 'data-kind="ready"' in last["notice"], last["notice"]
    handlers.resteps(steps, visit)
    return handlers, visit


@pytest.fixture(scope="module")
def engine(folder: str) -> Engine:
    """Of whose small model one setting, of six steps, is calibrated."""
    made = Engine(repeats=1, predictions=Predictions(budget=24))
    handlers, visit = opened(made, folder)
    assert any("known" in parts for parts in Calibrates(handlers).calibrate(visit))
    return made


@pytest.fixture
def known(engine: Engine, folder: str) -> tuple[Handlers, Visit]:
    return opened(engine, folder)


def test_a_calibration_brings_a_front_that_says_where_it_is_from(
    known: tuple[Handlers, Visit],
) -> None:
    handlers, visit = known
    assert "Working out" in shown(*LOOK, visit)["pareto_from"]
    events = list(Pareto(handlers).ahead(*LOOK, visit))
    front = visit.front
    assert front.kept is visit.known and len(front.ahead) > 2
    page = events[-1]["pareto_table"]
    assert page.count('data-series="front"') == len(front.ahead)
    assert "calibrated here" in events[-1]["pareto_from"]
    # A point says what the readout will, once it is painted.
    box, one = Pareto(handlers), front.ahead[2]
    box.act({"do": "restore", "of": "f2"}, *LOOK, visit)
    expected = visit.expected()
    assert expected is not None and expected.db == pytest.approx(one.db)
    assert not list(box.ahead(*LOOK, visit)), "nothing is worked out twice"


def test_another_setting_has_another_front_or_none_and_says_why(
    known: tuple[Handlers, Visit],
) -> None:
    handlers, visit = known
    list(Pareto(handlers).ahead(*LOOK, visit))
    parts = handlers.resteps(7, visit)
    assert parts["known"] != visit.setting and "quality" in parts["grid"]
    look = shown(*LOOK, visit)
    assert 'data-series="front"' not in look["pareto_table"]
    assert "nothing predicts PSNR at 7 steps" in look["pareto_from"]
    assert "how old each output gets, a proxy" in look["pareto_from"]
    list(Pareto(handlers).ahead(*LOOK, visit))
    assert not visit.front.ahead
    handlers.resteps(6, visit)
    (last,) = Pareto(handlers).ahead(*LOOK, visit)  # known by now, so it is there at once
    assert 'data-series="front"' in last["pareto_table"]


def test_a_better_round_renews_it(engine: Engine, known: tuple[Handlers, Visit]) -> None:
    handlers, visit = known
    list(Pareto(handlers).ahead(*LOOK, visit))
    before, kept = visit.front, visit.known
    assert kept is not None
    better = dataclasses.replace(kept, source="a better round")
    was, word = engine.predictions.known(visit.setting), visit.known_as
    engine.predictions.note(visit.setting, Known(better, was.response, was.runs, was.done))
    try:
        assert visit.known_as != word, "so that the page asks again"
        assert 'data-series="front"' not in shown(*LOOK, visit)["pareto_table"]
        list(Pareto(handlers).ahead(*LOOK, visit))
        assert visit.front is not before and visit.front.kept is better
        assert "a better round" in shown(*LOOK, visit)["pareto_from"]
    finally:
        engine.predictions.note(visit.setting, was)


def test_the_slider_uses_it_and_names_a_proxy_where_there_is_none(
    known: tuple[Handlers, Visit],
) -> None:
    handlers, visit = known
    parts = turned(handlers, visit, "budget", speedup=1.5)
    assert "calibrated here" in parts["about"] and not parts["calibrate"]["visible"]
    handlers.resteps(7, visit)
    parts = turned(handlers, visit, "budget", speedup=2.0)
    assert "a proxy" in parts["about"] and parts["calibrate"]["visible"]
    assert visit.state.schedule.actions.any(), "something is painted all the same"


def test_what_is_painted_for_now_gives_way_to_what_is_worked_out(
    known: tuple[Handlers, Visit], monkeypatch: pytest.MonkeyPatch
) -> None:
    from caching.methods import budget

    handlers, visit = known
    monkeypatch.setattr(budget, "FRONTS", budget.Once(4))
    parts = turned(handlers, visit, "budget", speedup=1.05)
    assert "for now" in parts["about"] and visit.provisional is visit.method
    past = len(visit.state.past)
    parts = handlers.settled(visit)
    assert "Worked out" in parts["notice"] and "for now" not in parts["about"]
    assert len(visit.state.past) == past, "one step of undo"
    assert set(handlers.settled(visit)) == {"curves"} and visit.provisional is None
    # Whoever has painted since keeps what they painted.
    monkeypatch.setattr(budget, "FRONTS", budget.Once(4))
    turned(handlers, visit, "budget", speedup=1.1)
    cells = visit.state.schedule.actions.size
    plan = Budget.plan

    def meanwhile(method: Any, setting: Any) -> Any:
        if setting.patient:
            handlers.strokes((stroke(visit.state.ack + 1, start=7, of=cells),), visit)
        return plan(method, setting)

    monkeypatch.setattr(Budget, "plan", meanwhile)
    assert "grid" not in handlers.settled(visit)


def test_a_grid_of_before_is_said_to_be_one(known: tuple[Handlers, Visit]) -> None:
    handlers, visit = known
    handlers.resteps(9, visit)
    turned(handlers, visit, "budget", speedup=2.0)
    assert "before this was known" not in handlers.box(visit)["about"]
    visit.tables = dataclasses.replace(visit.tables, change=steep(visit))
    assert "before this was known" in handlers.box(visit)["about"]


def steep(visit: Visit) -> Any:
    """Changes that make another schedule the best: the last steps change most."""
    change = visit.tables.resample(9).change.astype("float32").copy()
    change[:] = 0.01
    change[-3:] = 9.0
    return change


@pytest.mark.parametrize(
    ("level", "words"),
    [(Level(), "in the mean over pictures"), (Level(-1.24, 1.0, 2), "(−1.2 dB on the mean over")],
)
def test_words_of_the_front(visit: Visit, level: Level, words: str) -> None:
    def said(front: Front, *, live: bool = True) -> str:
        return front_words(front, visit.state, level, live=live, changes=True)

    class Prediction:
        source = "a test"

    kept: Any = Prediction()
    some: Any = (object(),)
    assert "once the live model is loaded" in said(Front(), live=False)
    assert "relative changes of the last full run, a proxy" in said(Front())
    words_of = front_words(Front(), visit.state, level, live=True, changes=True, shipped=True)
    assert "gradients that ship" in words_of and "proxy" not in words_of
    assert "Working out" in said(Front(kept)) and "a test" in said(Front(kept))
    assert "nothing to choose from" in said(Front(kept, (), done=True))
    assert words in said(Front(kept, some, done=True))


# -- one picture's own level -------------------------------------------------------------------


def ran(visit: Visit, kept: Kept, above_db: float, **changes: Any) -> None:
    """A live run of the page's picture that came out so far above its prediction."""
    state, figures = visit.state, visit.result.figures
    psnr = kept.predict(state.schedule).db + above_db
    made = dataclasses.replace(figures["cached"], psnr_db=psnr)
    s = state.settings
    given = {
        "schedule": state.schedule, "recorded": None, "model": state.model.name,
        "label": s.label, "seed": s.seed, "cfg_scale": s.cfg_scale, "sampler": s.sampler,
        "figures": {**figures, "cached": made},
    }  # fmt: skip
    visit.history.note(dataclasses.replace(visit.result, **{**given, **changes}), state)


def test_runs_of_this_picture_move_what_is_expected_of_it(known: tuple[Handlers, Visit]) -> None:
    handlers, visit = known
    turned(handlers, visit, "fora", interval=6)
    kept, before = visit.prediction, visit.expected()
    assert kept is not None and before is not None and before.here is not None
    assert (before.here.runs, before.here.level_db, before.here.sd_db) == (0, 0.0, 2.7)
    ran(visit, kept, -3.0, seed=visit.state.settings.seed + 1)
    ran(visit, kept, -3.0, recorded="recorded on another machine")
    assert visit.level.runs == 0, "only this visit's own runs, and only of this picture"
    ran(visit, kept, -3.0)
    ran(visit, kept, -3.0)  # the same schedule says the same
    after = visit.expected()
    assert after is not None and after.here is not None
    assert (after.db, after.low_db, after.here.runs) == (before.db, before.low_db, 1)
    assert before.db is not None
    within = 1.4 + 0.07 * min(max(before.db - 27, 0), 20)
    assert after.here.level_db == pytest.approx(-3.0 / (1 + within**2 / 2.7**2))
    list(Pareto(handlers).ahead(*LOOK, visit))
    page = shown(*LOOK, visit)
    assert "predicted for this picture" in page["pareto_table"]
    assert "from 1 run of it" in page["pareto_from"]
    s = visit.state.settings
    handlers.configure(s.label, s.seed + 5, s.cfg_scale, s.sampler, visit)
    assert visit.level.runs == 0, "another picture"


def ahead(macs: float, db: float) -> Ahead:
    return Ahead(Schedule.full(2, 1), macs, db)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([(1.5, 45.0), (2.0, 36.0), (2.2, 38.0), (3.0, 30.0)], [1.5, 2.2, 3.0]),
        ([(3.0, 30.0), (1.5, 29.0)], [3.0]),
        ([(1.5, 60.0), (2.0, 60.0)], [1.5, 2.0]),  # equal ones are no wiggle
        ([], []),
    ],
)
def test_no_schedule_of_the_front_is_beaten_by_one_of_less_work(
    given: list[tuple[float, float]], kept: list[float]
) -> None:
    found = _best([ahead(*one) for one in given])
    assert [one.macs for one in found] == kept
    assert [one.db for one in found] == sorted((one.db for one in found), reverse=True)
