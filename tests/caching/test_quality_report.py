"""Intervals hold what they promise, and a report keeps closeness to data and to runs apart."""

import dataclasses
import json

import numpy as np
import pytest

from caching.errors import RequestError
from caching.quality.draws import around, drawn_counts, frechet_response, of_share
from caching.quality.judged import Judged
from caching.quality.record import load_report, names_in, save_report, to_json
from caching.quality.report import report_of
from caching.study.bootstrap import Interval
from tests.caching import judging


def test_an_interval_stands_around_the_measured_value():
    drawn = np.linspace(10, 11, 1001)  # moved by a bias that every draw has
    found = around(3.0, drawn)
    assert found.mean == 3
    assert (found.low, found.high) == pytest.approx((3 - 0.475, 3 + 0.475))


def test_a_share_of_all_or_none_has_the_exact_binomial_end():
    # 0.025 ** (1/20): the share under which 20 of 20 come up once in 40 times.
    assert of_share(Interval(1.0, 1.0, 1.0), 20) == (1.0, pytest.approx(0.83157, abs=1e-5), 1.0)
    assert of_share(Interval(0.0, 0.0, 0.0), 20) == (0.0, 0.0, pytest.approx(0.16843, abs=1e-5))
    assert of_share(Interval(0.95, 0.9, 1.02), 20) == (0.95, 0.9, 1.0)


@pytest.mark.parametrize(("pictures", "width"), [(200, 6), (40, 20)])
def test_frechet_intervals_are_as_wide_as_the_distance_varies(pictures, width):
    """Against fresh sets. They may be wider, never much narrower."""
    mean, root = np.zeros(width), np.eye(width)
    values, spreads = [], []
    for seed in range(80):
        x = np.random.default_rng(seed).normal(size=(pictures, width)) * 1.2
        m, c = x.mean(0), np.cov(x.T)
        values.append((m**2).sum() + np.trace(c) + width - 2 * np.sqrt(np.linalg.eigvalsh(c)).sum())
        drawn = drawn_counts(pictures, 60, seed) @ frechet_response(x, mean, root) / pictures
        spreads.append(drawn.std())
    assert 0.85 < np.mean(spreads) / np.std(values) < 2


@pytest.fixture(scope="module")
def saved():
    model = judging.model()
    return judging.evaluated(model, [judging.arm(model)], samples=12)[-1].saved


@pytest.fixture(scope="module")
def report(saved):
    return report_of(saved, judging.reference(), classes=3, net="colours", draws=60)


def test_a_report_has_the_full_model_first_and_changes_on_the_same_noises(saved, report):
    full, cached = report.rows
    assert (full.words, full.work, full.change, full.closeness) == ("full", 1.0, {}, {})
    assert cached.words == "every 2" and 0 < cached.work < 1
    assert names_in(report.rows, "quality") == [
        "agreement", "frechet", "kernel", "precision", "recall",
    ]  # fmt: skip
    assert names_in(report.rows, "closeness") == ["psnr_db", "ssim", "latent_rel_l2"]
    for name, change in cached.change.items():
        assert change.mean == pytest.approx(cached.quality[name].mean - full.quality[name].mean)
    agrees = np.mean(saved.judged["full"]["classes"] == np.arange(12) % 3)
    assert full.quality["agreement"].mean == pytest.approx(agrees)
    assert cached.closeness["psnr_db"].mean == pytest.approx(
        saved.judged[next(iter(saved.arms))]["psnr_db"].mean()
    )


def test_a_change_is_surer_than_the_difference_of_two_intervals(report):
    full, cached = report.rows
    name = "frechet"
    apart = full.quality[name].half + cached.quality[name].half
    assert cached.change[name].half < apart


def test_pictures_that_are_the_full_model_s_have_changed_nothing_for_sure(saved):
    """Changes are drawn pair by pair: what varies from picture to picture alike is not in them."""
    key = next(iter(saved.arms))
    mine = Judged({**saved.judged[key].arrays, **saved.judged["full"].arrays})
    same = dataclasses.replace(saved, judged={**saved.judged, key: mine})
    found = report_of(same, judging.reference(), classes=3, net="colours", draws=30)
    for change in found.rows[1].change.values():
        assert change == pytest.approx((0, 0, 0), abs=1e-9)


def test_too_few_pictures_and_a_stop_give_no_table(saved):
    few = dataclasses.replace(saved, judged={k: v.first(7) for k, v in saved.judged.items()})
    with pytest.raises(RequestError, match="7 pictures were judged, expected at least 8"):
        report_of(few, judging.reference(), classes=3, net="colours")
    known = {"classes": 3, "net": "colours", "stopped": lambda: True}
    assert report_of(saved, judging.reference(), **known) is None


def test_a_report_comes_back_from_its_file(report, tmp_path):
    path = tmp_path / "deep" / "report.json"
    save_report(report, path)
    again = load_report(path)
    assert to_json(again) == to_json(report)
    assert again.rows[1].change["frechet"].low <= again.rows[1].change["frechet"].mean


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.pop("cachebrush_quality"), "no file of kind"),
        (lambda v: v.update(samples="many"), "samples is 'many', expected a int"),
        (lambda v: v.update(samples=True), "samples is True"),
        (lambda v: v.update(setting="x" * 3000), "more than 2000 letters"),
        (lambda v: v.update(more=1), "unexpected keyword"),
        (lambda v: v.update(rows=[]), "no list of 1 to 64"),
        (lambda v: v.update(rows=v["rows"] * 40), "no list of 1 to 64"),
        (lambda v: v["rows"].append(3), "3 is no row"),
        (lambda v: v["rows"][0].pop("work"), "work"),
        (lambda v: v["rows"][0]["quality"].update(beauty=[1, 1, 1]), "no known measures"),
        (lambda v: v["rows"][0]["quality"].update(psnr_db=[1, 1, 1]), "no known measures"),
        (lambda v: v["rows"][0]["quality"].update(frechet=[1, 2]), "no value with a low"),
        (lambda v: v["rows"][0]["quality"].update(frechet=[1, 2, 3]), "outside its interval"),
        (lambda v: v["rows"][0]["quality"].update(frechet=["1", 1, 1]), "expected a float"),
    ],
)
def test_hostile_reports_are_refused(report, tmp_path, change, words):
    value = json.loads(json.dumps(to_json(report)))
    change(value)
    path = tmp_path / "report.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(RequestError, match=f"cannot be read as an evaluation.*{words}"):
        load_report(path)
