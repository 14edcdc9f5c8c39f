"""The study in the repository: of the shipped model, with every group and every method's reason."""

import pytest

from caching.methods import METHODS, method_of
from caching.models.loading import load_model
from caching.study.conduct import chosen_methods
from caching.study.rivals import EVEN, PLAIN, RANDOM, plain_steps
from caching.study.store import SHIPPED, load_study


@pytest.fixture(scope="module")
def study():
    return load_study()


def test_it_is_of_the_shipped_weights(study):
    assert study.weights_hash == load_model().weights_hash
    assert study.model == "scenes-dit" and study.steps == 20
    assert study.pictures >= 64
    assert study.targets == (1.3, 1.5, 2, 3, 5)
    assert study.command.startswith("python -m caching study ")
    assert bool(study.setting) == (study.full_ms is not None)
    assert SHIPPED.stat().st_size < 300_000


def test_every_group_has_its_rivals(study):
    for target in study.targets:
        rows = {row.method: row for row in study.group(target)}
        assert {PLAIN, EVEN, RANDOM} <= set(rows)
        assert rows[PLAIN].steps == plain_steps(20, 1 / target)
        assert len(rows) == len(study.group(target))


def test_its_methods_are_those_of_the_registry(study):
    for row in study.rows:
        if row.faithfulness != "rival":
            method = method_of(row.method, **row.controls)
            assert (row.words, row.faithfulness) == (method.words, METHODS[row.method].faithfulness)


def test_every_method_has_a_row_or_a_reason_at_every_target(study):
    said = {(m.method, m.target) for m in study.missing if m.why}
    judged = {(row.method, row.target) for row in study.rows}
    for name in METHODS:
        for target in study.targets:
            there = {(name, target), (name, None)} & (said | judged)
            assert there or name not in chosen_methods(None), (name, target)


def test_its_numbers_hang_together(study):
    assert [row.steps for row in study.plain][-1] == study.steps
    for row in study.rows:
        assert row.least_speedup <= row.speedup * 1.000_01
        assert row.speedup <= row.most_speedup * 1.000_01
        if not row.decided:
            assert row.most_speedup == pytest.approx(row.least_speedup, rel=0.02)
        if row.faithfulness != "rival" and row.matched:
            assert 0.95 * row.target <= row.speedup <= 1.25 * row.target
        assert row.rival_steps == plain_steps(study.steps, 1 / row.speedup)
        rival = next(one for one in study.plain if one.steps == row.rival_steps)
        if row.gain_db is not None:
            gain = row.psnr_db.mean - rival.psnr_db.mean
            assert row.gain_db.mean == pytest.approx(gain, abs=1e-3)


@pytest.mark.parametrize("target", [1.3, 1.5])
def test_the_learned_router_beats_whole_steps_and_random_cells_of_as_much_work(study, target):
    rows = {row.method: row for row in study.group(target)}
    learned = rows["l2c"]
    for rival in (EVEN, RANDOM, PLAIN):
        assert learned.psnr_db.low > rows[rival].psnr_db.high, rival
    # Whole steps of FORA between its own intervals are the even ones; its N 2 does less.
    assert "fora" not in rows or rows["fora"].psnr_db.mean < learned.psnr_db.mean
    assert learned.gain_db.low > 0


def test_forecasts_alternate_where_half_of_the_steps_is_asked_for(study):
    row = next(row for row in study.group(2) if row.method == "taylorseer")
    assert (row.controls["first"], row.controls["interval"]) == (1, 2)
