"""What a page is sent of a prediction: the bytes say exactly what Python predicts with."""

import base64
import dataclasses
import json
from itertools import islice

import numpy as np
import pytest

from caching.predict import packed as packing
from caching.predict.drawn import drawn
from caching.predict.features import features
from caching.predict.fit import fit
from caching.predict.kept import SHIPPED, For, Kept
from caching.predict.packed import pack
from caching.predict.response import scaled

S, L, R, A, G = 7, 2, 2, 4, 6
BRANCHES = ("attn", "mlp")


def invented(directions=G):
    rng = np.random.default_rng(1)
    size = 10.0 ** rng.uniform(-4, 0, (1, S, L, R, A))
    opened = rng.normal(size=(directions, S, L, R, A)) * size
    past = np.arange(A) < np.arange(S)[:, None]
    opened = opened * past[:, None, None, :]
    spans = np.abs(rng.normal(size=(directions, S, S + 1)))
    change = np.abs(rng.normal(size=(S, L, R, A))) * past[:, None, None, :]
    return scaled(
        opened, opened / 2, spans, change, pictures=2, kind="gradients", source="invented"
    )


@pytest.fixture(scope="module")
def kept():
    response = invented()
    plans = [p for _, p in islice(drawn(3, response.change.astype(float), BRANCHES), 40)]
    values = np.stack([features(p, response) for p in plans])
    noise = np.random.default_rng(2).normal(0, 0.2, (40, 3))
    estimator = fit(values, 30 - values[:, :1] + noise)
    return Kept(For("abc", S, 2.0, "ddim"), response, estimator, "a test")


def numbers(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


def unpacked(table, strong, weak):
    """(blocks, G) numbers of the page's effects, two of the weak ones to a byte."""
    units = numbers(table["units"], "i1").reshape(-1, strong)
    halves = numbers(table["halves"], "u1").reshape(len(units), -1)
    pairs = np.stack([halves & 15, halves >> 4], axis=2).reshape(len(units), -1)
    powers, small = (numbers(table[name], "i1")[:, None] for name in ("powers", "half_powers"))
    return np.hstack([units * 2.0**powers, (pairs[:, :weak] - 8.0) * 2.0**small])


@pytest.mark.parametrize(("strong", "weak"), [(16, 16), (4, 2), (4, 1), (3, 2)])
def test_the_bytes_row_by_row_are_the_numbers_python_has(kept, monkeypatch, strong, weak):
    monkeypatch.setattr(packing, "STRONG", strong)
    monkeypatch.setattr(packing, "WEAK", weak)
    packing.pack.cache_clear()
    made = pack(kept)
    packing.pack.cache_clear()
    data = json.loads(json.dumps(made.data, allow_nan=False))
    has = [min(G, strong), min(G - min(G, strong), weak)]
    assert data["shape"] == [S, L, R, A] and data["directions"] == has
    tables = {name: unpacked(data[name], *has) for name in ("open", "held")}
    change, block = numbers(data["change"], "<f2"), 0
    for row in range(L * R):
        for s in range(S):
            for age in range(1, min(s, A) + 1):
                at = (s, row // R, row % R, age - 1)
                for name, said in tables.items():
                    table = getattr(made.kept.response, name)
                    assert said[block].tolist() == table[(slice(None), *at)].tolist()
                assert change[block] == made.kept.response.change[at]
                block += 1
    assert block == len(change) == len(tables["open"]) == len(tables["held"])
    spans = numbers(data["spans"], "<f4").astype(float) ** 2
    assert spans.reshape(S, S + 1) == pytest.approx(made.kept.response.span_error)
    assert made.kept.response.span_error == pytest.approx(kept.response.span_error, rel=1e-6)


def test_turning_keeps_every_sum_of_squares_but_for_the_rounding(kept):
    was, now = kept.response.error, pack(kept).kept.response.error
    # The largest number of a cell and age has 64 to 127 units, and each is off by half of one.
    assert was.max() < 1e3 * was.mean()
    assert (np.abs(now - was) <= 0.05 * was + 1e-12).all()


def test_runs_are_known_by_two_bytes_and_their_covariance_comes_back(kept):
    made, e = pack(kept), pack(kept).data["estimator"]
    known = numbers(e["known"], "<i2").reshape(40, -1) * np.array(e["known_steps"])
    assert known.tolist() == made.kept.estimator.known.tolist()
    assert known == pytest.approx(kept.estimator.known, abs=1e-3)
    # Bends are 3² weights, so the packed runs' own weights give back what was measured of them.
    noise, bends = numbers(e["noise"], "<f8"), numbers(e["bends"], "<f8")
    assert (noise > 0).all() and bends.tolist() == kept.estimator.bends.tolist()
    apart = ((known[:, None] - known) ** 2).sum(axis=2)
    covered = 9 / np.sqrt(1 + apart / (known.shape[1] * e["length"] ** 2))
    covered += 64 * known @ known.T / known.shape[1] + np.diag(noise)
    assert np.linalg.inv(covered) == pytest.approx(made.kept.estimator.inverse, rel=1e-6)


def test_it_predicts_nearly_what_the_unpacked_one_does():
    (path,) = SHIPPED.glob("*-20.npz")
    kept = Kept.from_bytes(path.read_bytes())
    made = pack(kept)
    assert pack(kept) is made  # once for all visitors
    assert len(json.dumps(made.data)) <= 480 * 1024
    change = kept.response.change.astype(float)
    plans = [p for _, p in islice(drawn(8, change, BRANCHES), 40)]
    pairs = [(kept.predict(p), made.kept.predict(p)) for p in plans]
    gaps = np.array([[abs(a.db - b.db), abs(a.low_db - b.low_db)] for a, b in pairs])
    assert np.median(gaps[:, 0]) < 0.05 and gaps.max() < 0.5


def test_where_room_is_short_the_weakest_directions_are_left_out(kept, monkeypatch):
    wide = dataclasses.replace(kept, response=invented(directions=24))
    blocks = L * R * sum(min(s, A) for s in range(S))
    monkeypatch.setattr(packing, "MOST_BYTES", 2 * blocks * (8 + 4 + 2))
    packing.pack.cache_clear()
    made = pack(wide)
    packing.pack.cache_clear()
    assert made.data["directions"] == [8, 8] and made.kept.response.open.shape[0] == 16
    was, now = (
        np.array([r.error.sum(), r.step_error.sum()]) for r in (wide.response, made.kept.response)
    )
    assert (now < was).all() and (now > 0.5 * was).all()
