"""The public names of the package: all there, all explained, all found by completion."""

import inspect

import numpy as np
import pytest
import torch

import caching
from caching import (
    Context,
    Model,
    ModelError,
    RequestError,
    Schedule,
    ScheduleError,
    Speed,
    cost_of,
    fidelity,
    import_schedule,
    load_model,
    load_schedule,
    sample,
)
from caching.dynamic.lazydit import LazyDiT
from caching.dynamic.magcache import MagCache
from caching.dynamic.sencache import SenCache
from caching.dynamic.teacache import TeaCache
from caching.engine import run as engine
from caching.formats.exporters import export_schedule
from tests.caching import foreign, tiny


@pytest.mark.parametrize("name", caching.__all__)
def test_every_public_name_is_found_and_explained(name):
    assert name in dir(caching)
    assert len(inspect.getdoc(getattr(caching, name)) or "") > 30
    with pytest.raises(AttributeError, match=f"no attribute '{name}_'"):
        getattr(caching, f"{name}_")


# -- what is of the wrong kind -------------------------------------------------------------

GRID = Schedule.every(4, 2, 2)
MODEL = Model.from_modules(tiny.dit(blocks=2), scheduler=tiny.V)
RAGGED, AXES, AXIS = [[1, 2], [3]], np.zeros((4, 2, 2)), np.array(3)
A_SCHEDULE = "expected a Schedule; load_schedule reads one from a file"
A_LIST = r"different lower-case names such as \('attn', 'mlp'\)"
TRUTH = "expected True or False"


def full():
    return sample(MODEL, label=1, steps=4)


WRONG = {
    # name: what is called with each of the values, the values, the error, and words of it
    "diff": (GRID.diff, (None, 1, "x", GRID.actions), ScheduleError, A_SCHEDULE),
    "keep": (lambda v: GRID.keep(v, []), (None, "x"), ScheduleError, A_SCHEDULE),
    "kept cells": (lambda v: GRID.keep(GRID, v), (RAGGED,), ScheduleError, "cells are"),
    "painted cells": (lambda v: GRID.paint(v, 0), (RAGGED, None, "x"), ScheduleError, "cells"),
    "painted steps": (lambda v: GRID.paint_steps(v, 0), (RAGGED, None), ScheduleError, "step"),
    "keep_first_step": (
        lambda v: GRID.paint([], 1, keep_first_step=v),
        (None, 1, AXES),
        ScheduleError,
        TRUTH,
    ),
    "resampled to": (
        lambda v: GRID.resample(3, timesteps=v),
        (5, "321", [1, "x", 2], [None] * 3, RAGGED, AXES),
        ScheduleError,
        "timesteps (are|has)",
    ),
    "check_fits steps": (
        lambda v: GRID.check_fits(steps=v),
        ("x", [4], AXES, 4.0),
        ScheduleError,
        "a whole number",
    ),
    "check_fits branches": (
        lambda v: GRID.check_fits(branches=v),
        (5, "attn", [1], AXES),
        ScheduleError,
        A_LIST,
    ),
    "mismatches": (
        Schedule.full(4, 2, context=Context(4)).mismatches,
        (None, GRID),
        ScheduleError,
        "a Context",
    ),
    "actions": (Schedule, (None, RAGGED, "x", AXES), ScheduleError, "actions"),
    "step actions": (
        lambda v: Schedule(GRID.actions, step_actions=v),
        (RAGGED, "x"),
        ScheduleError,
        "step actio",
    ),
    "steps": (lambda v: Schedule.full(v, 2), (AXES, [4], 4.0), ScheduleError, "a whole number"),
    "branches": (
        lambda v: Schedule.full(4, 2, branches=v),
        (None, 3, "attn", {"a": 1}),
        ScheduleError,
        A_LIST,
    ),
    "align": (
        lambda v: Schedule.every(4, 2, 2, align=v),
        (AXES, [], None),
        ScheduleError,
        "align is",
    ),
    "computed": (lambda v: Schedule.from_steps(v, 2), (RAGGED, None), ScheduleError, "steps"),
    "rows": (
        Schedule.from_rows,
        (None, 3, AXES, torch.zeros(3), "CR"),
        ScheduleError,
        "expected one row",
    ),
    "legend": (
        lambda v: Schedule.from_rows(["CR", "CR"], legend=v),
        (None, 3, [1]),
        ScheduleError,
        "legend",
    ),
    "step legend": (
        lambda v: Schedule.from_rows(["CR", "CR"], step_row="CC", step_legend=v),
        (3, [1], "x"),
        ScheduleError,
        "step legend is",
    ),
    "load": (Schedule.load, (None, 3, [], GRID), ScheduleError, "expected a file's path"),
    "save": (GRID.save, (None, 3.5, []), ScheduleError, "expected a file's path"),
    "save nowhere": (GRID.save, ("", ".", "\0"), ScheduleError, "that of a file|cannot be written"),
    "load_schedule": (
        lambda v: load_schedule(v, MODEL),
        (None, 3),
        ScheduleError,
        "expected a file's path",
    ),
    "import_schedule": (import_schedule, (None, 3, {}), ScheduleError, "expected a file's path"),
    "import blocks": (
        lambda v: import_schedule(foreign.SAMPLES["l2c"], blocks=v),
        (AXES, "2", 2.0, True),
        ScheduleError,
        "blocks is",
    ),
    "import branches": (
        lambda v: import_schedule(foreign.SAMPLES["l2c"], branches=v),
        (None, 3),
        ScheduleError,
        A_LIST,
    ),
    "import format": (
        lambda v: import_schedule(foreign.SAMPLES["l2c"], format=v),
        ([], {}, 3),
        ScheduleError,
        "format .* is not known",
    ),
    "import option": (
        lambda v: import_schedule(foreign.SAMPLES["ebcache"], blocks=2, delta=v),
        (AXES, "x", None),
        ScheduleError,
        "delta is",
    ),
    "export": (
        lambda v: export_schedule(v, "summary"),
        (None, 3),
        ScheduleError,
        "expected a Sched",
    ),
    "export target": (
        lambda v: export_schedule(GRID, v),
        (None, [], AXES),
        ScheduleError,
        "is not known: expected one of cache-dit",
    ),
    "cost_of": (lambda v: cost_of(v, GRID), (None, "x", GRID), RequestError, "expected a Model"),
    "cost_of schedule": (lambda v: cost_of(MODEL, v), (None, [], 3), RequestError, A_SCHEDULE),
    "cost_of images": (
        lambda v: cost_of(MODEL, GRID, images=v),
        ([], True, 1.0),
        RequestError,
        "a whole number",
    ),
    "fidelity": (
        lambda v: fidelity(v, full()),
        (None, GRID, np.zeros((8, 8, 3))),
        RequestError,
        "a Run",
    ),
    "reference": (
        lambda v: fidelity(full(), v),
        (None, GRID),
        RequestError,
        "reference is a .*a Run",
    ),
    "compiled": (lambda v: Speed(compiled=v), (1, "no", None), ModelError, TRUTH),
    "graphs": (lambda v: Speed(graphs=v), (1, "no", AXES), ModelError, TRUTH),
    "attention": (lambda v: Speed(attention=v), ([], None), ModelError, "expected one of: auto"),
    "speed": (
        lambda v: Model.from_modules(MODEL.family.module, speed=v),
        (None, True),
        ModelError,
        "a Speed",
    ),
    "speed of a name": (
        lambda v: load_model("/nowhere", speed=v),
        (None, "fast"),
        ModelError,
        "expected a Speed",
    ),
    "name": (
        lambda v: Model.from_modules(MODEL.family.module, name=v),
        (None, 3, ""),
        ModelError,
        "name is",
    ),
    "class_names": (
        lambda v: Model.from_modules(MODEL.family.module, class_names=v),
        (3, True, AXIS),
        ModelError,
        "a list of texts",
    ),
    "decode": (
        MODEL.decode,
        (None, np.zeros((1, 4, 4, 4)), torch.zeros(3), torch.zeros(1, 9, 4, 4)),
        RequestError,
        r"expected a tensor \(N, \d+, h, w\)",
    ),
    "label": (lambda v: sample(MODEL, label=v), (AXIS + 99, b"x", [], {}), RequestError, "label"),
    "seed": (
        lambda v: sample(MODEL, label=1, seed=v),
        (np.array(0.5), b"x", {}),
        RequestError,
        "seed",
    ),
    "guidance": (
        lambda v: sample(MODEL, label=1, cfg_scale=v),
        (np.True_, "2"),
        RequestError,
        "a number from",
    ),
    "weights": (LazyDiT, (RAGGED,), ScheduleError, "lazydit: weights are"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_of_the_wrong_kind_is_refused_in_words(name):
    call, values, error, words = WRONG[name]
    for value in values:
        with pytest.raises(error, match=words) as caught:
            call(value)
        assert len(str(caught.value)) < 600


@pytest.mark.parametrize("kind", [TeaCache, MagCache, SenCache])
def test_a_policys_numbers_are_looked_at_before_it_is_calibrated(kind, monkeypatch):
    monkeypatch.setattr(MODEL.family.__class__, "embed", None)  # no step can run
    field = "start" if kind is SenCache else "threshold"
    with pytest.raises(ScheduleError, match=f"{field} is 'x'"):
        kind.calibrated(MODEL, steps=4, **{field: "x"})


def test_a_calibration_takes_twenty_steps_where_none_are_given():
    assert len(MagCache.calibrated(MODEL, steps=None, pictures=1).ratios) == 20


def test_a_name_of_any_length_goes_into_the_context_of_what_ran():
    model = Model.from_modules(MODEL.family.module, scheduler=tiny.V, name="/long" * 100)
    assert engine.sample(model, label=1, steps=2).painted.context.model_id == ("/long" * 100)[-300:]


def test_lists_of_any_kind_are_lists():
    assert Schedule.full(4, 2, branches=np.array(["a", "b"])).branches == ("a", "b")
    assert Schedule(GRID.actions, legend=list(GRID.legend)) == GRID
    assert sample(MODEL, label=np.array(1), seed=np.int64(3), steps=2).request.seeds == (3,)
