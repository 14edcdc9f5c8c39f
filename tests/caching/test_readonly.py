"""What a run leaves behind cannot be written to, by whatever hand it is reached."""

import dataclasses
import warnings

import numpy as np
import pytest

from caching import Model, Schedule, fidelity, iter_sample, sample
from caching.engine.states import States
from caching.formats.importers import import_schedule
from caching.formats.picture import png_of
from caching.measure.causes import Causes
from caching.measure.comparison import iter_compare
from caching.measure.fidelity import picture_fidelity
from caching.measure.focus import measure_focus
from caching.measure.result import result_of
from caching.measure.timing import measure_branches
from caching.readonly import read_only
from tests.caching import tiny

STEPS, BLOCKS = 3, 2
CACHED = Schedule.every(STEPS, BLOCKS, 2)


@pytest.fixture(scope="module")
def model():
    return Model.from_modules(tiny.dit(blocks=BLOCKS), scheduler=tiny.V)


def compared(model):
    asked = {"label": 1, "seed": 0, "cfg_scale": 2.0, "sampler": "ddim", "repeats": 0}
    *_, found = iter_compare(model, CACHED, **asked)
    return found


def measured(model):
    return measure_branches(model, repeats=1, budget_s=0.01)


def locked(model):
    locks = np.zeros(CACHED.actions.shape, bool)
    png = png_of(np.zeros((8, 8, 3), np.uint8), CACHED, {"label": 1}, locks=locks)
    return import_schedule(png, blocks=BLOCKS)


def of_two(model):
    run = sample(model, CACHED, label=1)
    return fidelity(run, sample(model, label=1, steps=STEPS))


VALUES = {
    "an event": lambda model: next(iter_sample(model, CACHED, label=1, preview_every=1)),
    "a comparison": compared,
    "a batch": lambda model: sample(model, CACHED, label=[1, 2]),
    "a policy's run": lambda model: sample(model, label=1, steps=STEPS, policy=tiny_policy()),
    "fidelity": of_two,
    "times": measured,
    "a result": lambda model: result_of(model, compared(model), measured(model)),
    "focus": lambda model: measure_focus(
        model, label=1, seed=0, steps=2, cfg_scale=1.0, sampler="ddim"
    ),
    "a path": lambda model: sample(model, label=1, steps=4, lags=1).trace.likeness.path(0, 0),
    "causes": lambda model: Causes(np.zeros((2, 1, 1)), np.zeros(2), 1.0, 0.0),
    "a file's locks": locked,
    "a schedule": lambda model: CACHED,
}


def tiny_policy():
    from caching.dynamic.fbcache import FBCache

    return FBCache(3.0)


def arrays_in(value, where=""):
    """Every array that a value holds, in whatever depth, by where it is."""
    if isinstance(value, np.ndarray):
        yield where, value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type | Model):
        for field in dataclasses.fields(value):
            yield from arrays_in(getattr(value, field.name), f"{where}.{field.name}")
    elif isinstance(value, tuple | list):
        for i, item in enumerate(value):
            yield from arrays_in(item, f"{where}[{i}]")
    elif hasattr(value, "items"):
        for key, item in value.items():
            yield from arrays_in(item, f"{where}[{key!r}]")


@pytest.mark.parametrize("name", VALUES)
def test_no_array_of_a_finished_value_can_be_written_to(name, model):
    found = dict(arrays_in(VALUES[name](model)))
    assert found, "there must be one, or this shows nothing"
    assert [where for where, array in found.items() if array.flags.writeable] == []
    for array in found.values():
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_an_event_cannot_spoil_what_the_next_run_goes_on_from(model):
    states = States(budget_mib=64)
    for event in iter_sample(model, CACHED, label=1, states=states):
        if hasattr(event, "preview"):
            with pytest.raises(ValueError, match="read-only"):
                event.executed[:] = 9
    assert sample(model, CACHED, label=1, states=states).executed.max() == 1


def test_whoever_made_an_array_may_go_on_writing_to_its_own():
    @dataclasses.dataclass(frozen=True, eq=False)
    class Value:
        array: np.ndarray
        other: np.ndarray | None = None

        def __post_init__(self):
            read_only(self)

    own = np.zeros(3)
    value = Value(own)
    own[0] = 1
    assert value.array.tolist() == [1, 0, 0] and value.other is None


def test_pictures_that_cannot_be_written_to_are_compared_without_a_warning(model):
    run = sample(model, CACHED, label=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        psnr, ssim = picture_fidelity(run.image, 255 - run.image)
    assert psnr < 30 and ssim < 1
