"""A kept prediction survives its file, predicts the same, and damaged files are refused."""

import io
import json
from dataclasses import astuple, replace

import numpy as np
import pytest

from caching.errors import RequestError
from caching.policies.interval import every
from caching.predict.features import features
from caching.predict.fit import fit
from caching.predict.kept import For, Kept, shipped
from caching.predict.response import response_of_changes
from caching.predict.widths import Judged, Width

STEPS, BLOCKS = 6, 2
OF = For("abc", STEPS, 2.0, "ddim")


@pytest.fixture(scope="module")
def kept():
    rng = np.random.default_rng(0)
    change = rng.random((STEPS, BLOCKS, 2, 5))
    response = response_of_changes(change, pictures=1, source="invented")
    plans = [every(STEPS, BLOCKS, n, align=a) for n in range(1, 7) for a in ("end", "start")] * 3
    values = np.stack([features(plan, response) for plan in plans])
    measured = 40 - 5 * values[:, :1] + rng.normal(0, 0.1, (len(plans), 3))
    return Kept(OF, response, fit(values, measured), "a test")


def test_a_file_predicts_as_what_it_was_made_of(kept):
    again = Kept.from_bytes(kept.to_bytes())
    assert (again.of, again.source) == (OF, "a test")
    for n in (2, 3, 5):
        plan = every(STEPS, BLOCKS, n)
        expected = astuple(kept.predict(plan))
        assert astuple(again.predict(plan)) == pytest.approx(expected, abs=1e-4)


def test_what_intervals_were_set_by_is_kept(kept):
    rng, which = np.random.default_rng(3), np.arange(6).reshape(2, 3)
    judged = Judged(rng.uniform(20, 40, (2, 3, 4)), which)
    width = Width(1.25, 2.5, 0.375, 8)
    estimator = replace(kept.estimator, width=width)
    again = Kept.from_bytes(replace(kept, estimator=estimator, judged=judged).to_bytes())
    assert again.estimator.width == width and again.judged.groups.tolist() == which.tolist()
    assert again.judged.psnr_db == pytest.approx(judged.psnr_db, abs=1e-5)
    assert Kept.from_bytes(kept.to_bytes()).judged is None


def wider(data, **changes):
    """With another width in its words."""
    with np.load(io.BytesIO(data)) as file:
        words = json.loads(file["words"].tobytes())["estimator"]
    words["width"] = {**words["width"], **changes}
    return changed(data, estimator=words)


def changed(data, **changes):
    with np.load(io.BytesIO(data)) as file:
        arrays = {name: file[name] for name in file.files}
    words = json.loads(arrays["words"].tobytes())
    for name, value in changes.items():
        if name in arrays or isinstance(value, np.ndarray):
            arrays[name] = value
        else:
            words[name] = value
    arrays["words"] = np.frombuffer(json.dumps(words).encode(), np.uint8)
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: b"no zip", "no kept prediction"),
        (lambda d: d[: len(d) // 2], "no kept prediction"),
        (lambda d: changed(d, kept=99), "version 99"),
        (lambda d: changed(d, steps="many"), "invalid literal"),
        (lambda d: changed(d, slopes=np.array([np.nan])), "not finite"),
        (lambda d: changed(d, noise=np.ones(3)), "noise for every run"),
        (lambda d: wider(d, plain=0.0), "no width"),
        (lambda d: wider(d, forecast=float("nan")), "no width"),
        (lambda d: wider(d, pictures="x"), "invalid literal"),
        (
            lambda d: changed(d, judged_db=np.zeros(3), judged_groups=np.zeros(3)),
            "expected finite numbers",
        ),
        (lambda d: changed(d, judged_db=np.zeros((1, 2, 4))), "judged_groups"),
        (lambda d: changed(d, response=np.frombuffer(b"x", np.uint8)), "no stored response"),
    ],
)
def test_damaged_files_are_refused(kept, change, words):
    with pytest.raises(RequestError, match=words):
        Kept.from_bytes(change(kept.to_bytes()))


def test_shipped_ones_are_found_by_their_setting(kept, tmp_path):
    (tmp_path / "one.npz").write_bytes(kept.to_bytes())
    found = shipped(OF, tmp_path)
    assert found is not None and found.of == OF
    assert shipped(For("abc", STEPS + 1, 2.0, "ddim"), tmp_path) is None
