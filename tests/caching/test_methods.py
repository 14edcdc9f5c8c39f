"""Every method of the registry: explained, sourced, planned for any grid, and really run."""

import re
from dataclasses import fields
from typing import get_args

import numpy as np
import pytest

from caching.engine.fits import Fits
from caching.engine.run import sample
from caching.errors import RequestError, ScheduleError
from caching.learn.store import shipped
from caching.methods import METHODS, Unready, method_of
from caching.methods.base import Faithfulness, Needs, controls
from caching.methods.setting import ModelSetting
from caching.models.loading import load_model
from tests.caching import tiny
from tests.caching.settings import Invented
from tests.caching.spy import own

# The rows that issue 4 answers for.
BOLD = """
fora l2c smoothcache harmonica taylorseer invardiff goc ebcache icc clusca lazydit sencache dicache
fastcache tokencache blockcaching cachequant bac deepcache profilingdit ertacache dydit llmcache
layerpruning temporalfeatures wtacrs cdt tfup
"""
PLANNED = [n for n, m in METHODS.items() if m.faithfulness != "does not apply"]
KEEP_ALL = {"full", "temporalfeatures"}  # everything is computed there, and that is their point
STEPS = 6


@pytest.fixture(scope="module")
def shipped_model():
    return load_model()


@pytest.fixture(scope="module")
def little():
    """A DiT of 4 blocks and 16 tokens with random weights."""
    return own(tiny.dit(blocks=4, learned_sigma=True, channels=4), tiny.EPSILON)


@pytest.fixture(scope="module")
def little_setting(little):
    return ModelSetting(little, steps=STEPS, cfg_scale=2.0, sampler="ddim")


def reused(schedule):
    """Cells and steps that something stands in for."""
    return int((schedule.actions != 0).sum() + (schedule.step_actions != 0).sum())


# -- what is said --------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOLD.split())
def test_every_row_of_the_issue_is_here_explained_and_trained(name, shipped_model):
    assert name in METHODS
    method = METHODS[name]
    assert method.source is not None and method.about and method.because
    if method.needs == "training":
        trained = {(x.method, x.weights_hash) for x in shipped()}
        assert (name, shipped_model.weights_hash) in trained


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_what_it_is_and_how_faithful(name):
    method = METHODS[name]
    assert re.fullmatch("[a-z][a-z0-9]*", name)
    assert method.title.strip() == method.title != ""
    assert len(re.findall(r"[.!?](?= [A-Z]|$)", method.about)) in (1, 2)
    assert len(method.because) > 20 and method.because.endswith(".")
    assert not re.search(r"[.!?] +[A-Z]|\n", method.because), "one sentence was expected"
    assert method.faithfulness in get_args(Faithfulness) and method.needs in get_args(Needs)


def test_titles_are_unique():
    assert len({m.title for m in METHODS.values()}) == len(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_names_its_source_or_is_a_baseline(name):
    source = METHODS[name].source
    if source is None:
        assert METHODS[name].faithfulness == "of no paper"
        return
    assert len(source.paper) > 5 and 2015 <= source.year <= 2026
    if source.arxiv is None:
        assert source.repository
    else:
        month = re.fullmatch(r"(\d\d)(\d\d)\.\d{4,5}", source.arxiv)
        assert month and int(month[1]) + 2000 == source.year and 1 <= int(month[2]) <= 12
    assert source.repository is None or re.fullmatch(r"[\w.-]+/[\w.-]+", source.repository)
    assert source.licence is None or source.repository, "a licence is that of a repository"


@pytest.mark.parametrize("name", METHODS)
def test_every_field_is_a_control_with_a_range_that_holds(name):
    kind = METHODS[name]
    drawn = {c.name: c for c in controls(kind)}
    assert set(drawn) == {f.name for f in fields(kind)}
    for c in drawn.values():
        assert c.label
        beyond = ["neither"] if c.choices else [c.least - 1, c.most + 1]
        for value in (c.default, c.values[0], c.values[-1]):
            assert getattr(method_of(name, **{c.name: value}), c.name) == value
        for value in beyond:
            with pytest.raises(ScheduleError, match=c.name):
                method_of(name, **{c.name: value})
    assert kind.tunes is None or kind.tunes in drawn
    assert method_of(name).words.startswith(kind.title)


# -- what is planned -----------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_a_method_plans_with_what_it_says_it_needs_and_asks_for_the_rest(name):
    method = method_of(name)
    if method.faithfulness == "does not apply":
        with pytest.raises(RequestError, match="does not apply") as refusal:
            method.plan(Invented(traced=True))
        assert not isinstance(refusal.value, Unready)
        return
    if method.needs == "trace":
        with pytest.raises(Unready):
            method.plan(Invented())
    if method.needs in ("nothing", "trace"):
        plan = method.plan(Invented(traced=method.needs == "trace"))
        assert plan.schedule.actions.shape == (20, 12, 2)
        assert plan.policy is not None or reused(plan.schedule) or name in KEEP_ALL
    else:
        try:
            plan = method.plan(Invented(traced=True))
        except Unready:
            return
        # Fits are made by the run itself, so that such a grid is known without them.
        assert method.needs == "calibration"
        assert any(x.calibrates for x in (*plan.schedule.legend, *plan.schedule.step_legend))


@pytest.mark.parametrize(("steps", "blocks"), [(5, 4), (50, 28), (100, 12)])
@pytest.mark.parametrize("name", [n for n in PLANNED if METHODS[n].needs in ("nothing", "trace")])
def test_a_method_plans_for_any_grid(name, steps, blocks):
    plan = method_of(name).plan(Invented(steps, blocks, traced=True))
    assert plan.schedule.actions.shape == (steps, blocks, 2)
    if plan.policy is not None:
        plan.policy.check(blocks)


@pytest.mark.parametrize("name", [n for n in PLANNED if METHODS[n].needs in ("nothing", "trace")])
def test_a_ladder_goes_from_most_work_to_least(name):
    setting = Invented(traced=True)
    rungs = method_of(name).ladder(setting)
    assert len(rungs) > 1 if METHODS[name].tunes else len(rungs) == 1
    assert all(type(one) is METHODS[name] for one in rungs)
    first, last = rungs[0].plan(setting), rungs[-1].plan(setting)
    if first.policy is None:
        assert reused(first.schedule) <= reused(last.schedule)


# -- what is run ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLANNED)
def test_a_method_runs_and_something_is_reused(name, little_setting, shipped_model):
    method, setting = method_of(name), little_setting
    if method.needs == "training":
        trained = [
            x for x in shipped() if (x.method, x.weights_hash) == (name, shipped_model.weights_hash)
        ]
        assert trained, "nothing that was trained for the shipped model is shipped"
        setting = ModelSetting(
            shipped_model, steps=trained[0].steps, cfg_scale=2.0, sampler=trained[0].sampler
        )
    found, fits = 0, Fits(pictures=1)  # how many are seen changes the numbers, not what is reused
    # Thresholds of the shipped model may stop everything on random weights: the last rung is loose.
    for one in (method, method.ladder(setting)[-1]):
        plan = one.plan(setting)
        run = sample(
            setting.model,
            plan.schedule,
            policy=plan.policy,
            label=1,
            cfg_scale=setting.cfg_scale,
            sampler=setting.sampler,
            fits=fits,
        )
        assert np.isfinite(np.asarray(run.latents)).all()
        # Not by what can be baked: a gate may compute one pass of a picture and not the other.
        if found := np.count_nonzero(run.executed) + np.count_nonzero(run.executed_actions):
            break
    assert found or name in KEEP_ALL
