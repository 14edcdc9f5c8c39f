"""Tokens and clusters: which tokens are computed and what becomes of the others."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from caching.models.family import Family
from caching.predictors.base import Cell, Entry
from caching.predictors.clusters import Clusters, change_weights, k_means, one_of_each
from caching.predictors.draws import uniform
from caching.predictors.taylor import difference_weights
from caching.predictors.tokens import Tokens, grid, with_bonus
from tests.caching import plain_predictors as plain

T = 4


class Flat:
    """Tokens of width 1 in two rows of two; a branch gives 100 more than its input."""

    branches = ("attn", "mlp")
    tokens, width, latent_shape = T, 1, (1, 2, 2)

    def __init__(self, received=None):
        self.attention, self.asked = received, []

    def received(self, x, given, s, block):
        return self.attention

    def branch_rows(self, x, given, s, block, r, rows):
        self.asked.append((s, rows.tolist()))
        return x.gather(1, rows[..., None]) + 100


def cell(family, s, past, shared, *, x=None, r=1, seeds=(0,)):
    x = torch.tensor([[[1.0], [2.0], [3.0], [4.0]]]) + 10 * s if x is None else x
    return Cell(family, None, x, s, 0, r, past, shared=shared, seeds=seeds)


def row(*values):
    return torch.tensor([values], dtype=torch.float32)[..., None]


def values(out):
    return [round(v, 4) for v in out[0, :, 0].tolist()]


# -- tokens --------------------------------------------------------------------------------


def test_tokens_by_hand():
    """Received attention 1, 2, 2, 4 has norm 5; two of four tokens, interval 2."""
    p, shared = Tokens(0.5, "attention", 2), {}
    family = Flat(torch.tensor([[1.0, 2.0, 2.0, 4.0]]))
    p.watch(cell(family, 0, (), shared, r=0), None)
    p.watch(cell(family, 0, (), shared, r=1), None)  # a feed-forward cell has no attention
    assert shared["received", 0].tolist() == [pytest.approx([0.2, 0.4, 0.4, 0.8])]
    stored = row(0, 0, 0, 0)
    expected = [
        # scores before the bonus of 0.6 for token 3, the best of the only patch
        (1, [3, 1], [0, 112, 0, 114]),  # .2 .4 .4 .8, the first of two equal ones
        (2, [3, 2], [0, 112, 123, 124]),  # .2 + 1/8, .4, .4 + 1/8, .8
        (3, [3, 1], [0, 132, 123, 134]),  # .2 + 2/8, .4 + 1/8, .4, .8
        (4, [3, 0], [141, 132, 123, 144]),  # .2 + 3/8, .4, .4 + 1/8, .8
    ]
    for s, rows, out in expected:
        before = stored.clone()
        mixed = p.stand_in(cell(family, s, [Entry(0, stored, True)], shared))
        assert family.asked[-1] == (s, [rows])
        assert values(mixed) == out
        assert torch.equal(stored, before)  # a stored tensor is never written to
        stored = mixed
    # A newer computed output starts the ages again.
    p.stand_in(cell(family, 6, [Entry(5, stored, True)], shared))
    assert family.asked[-1] == (6, [[3, 1]])


def test_ages_are_of_the_cell_alone_and_notes_are_replaced():
    p, shared = Tokens(0.25, "age"), {}
    family, past = Flat(), [Entry(0, row(0, 0, 0, 0), True)]
    seen = []
    for s in (1, 2, 3, 4, 5):
        before = {key: note[1].clone() for key, note in shared.items()}
        held = {key: note[1] for key, note in shared.items()}
        p.stand_in(cell(family, s, past, shared))
        assert all(torch.equal(held[key], value) for key, value in before.items())
        seen.append(family.asked[-1][1][0])
    assert seen == [[0], [1], [2], [3], [0]]  # one after another, and round again
    p.stand_in(cell(family, 6, past, shared, r=0))
    assert family.asked[-1] == (6, [[0]])


def test_of_equal_tokens_the_first_are_taken():
    family, x = Flat(), torch.zeros(1, 1000, 1)
    past = [Entry(0, torch.zeros_like(x), True)]
    Tokens(0.5, "age").stand_in(cell(family, 1, past, {}, x=x))
    assert family.asked[-1] == (1, [list(range(500))])


def test_the_norm_is_of_the_hidden_state():
    family = Flat()
    x = torch.tensor([[[1.0], [-9.0], [3.0], [2.0]], [[8.0], [0.0], [0.0], [0.0]]])
    past = [Entry(0, torch.zeros_like(x), True)]
    Tokens(0.25, "norm").stand_in(cell(family, 1, past, {}, x=x))
    assert family.asked[-1] == (1, [[1], [0]])


def test_random_tokens_depend_on_the_place_and_on_the_seed_alone():
    p, family = Tokens(0.5, "random"), Flat()
    x = torch.zeros(4, T, 1)
    past = [Entry(0, torch.zeros_like(x), True)]

    def chosen(s, seeds, block=0, r=1):
        one = cell(family, s, past, {}, x=x[: len(seeds)], r=r, seeds=seeds)
        p.stand_in(Cell(**{**vars(one), "block": block}))
        return family.asked[-1][1]

    four = chosen(1, (7, 8, 7, 8))
    assert four[:2] == four[2:]  # both passes of a picture
    assert [chosen(1, (7,))[0], chosen(1, (8,))[0]] == four[:2]
    many = [chosen(s, (seed,), b, r) for s in (1, 2, 3) for seed in (7, 8) for b in (0, 1)
            for r in (0, 1)]  # fmt: skip
    assert len({tuple(m[0]) for m in many}) > 6
    assert chosen(3, (2**63 - 1,))


def test_draws_are_even_and_reproducible():
    like = torch.zeros(1)
    drawn = uniform((3, 4), (1, 5), 20000, like)
    assert drawn.shape == (2, 20000)
    assert torch.equal(drawn, uniform((3, 4), (1, 5), 20000, like))
    assert not torch.equal(drawn[0], drawn[1])
    assert abs(float(drawn.mean()) - 0.5) < 0.01
    assert 0 <= float(drawn.min()) < float(drawn.max()) < 1
    places = [(tag, s, b, r) for tag in (1, 2) for s in range(4) for b in range(4) for r in (0, 1)]
    places.append((3,))
    drawn = [tuple(uniform((i,), p, 4, like)[0].tolist()) for p in places for i in (0, 1, 2**32)]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize(("fraction", "count"), [(0.001, 1), (0.5, 128), (0.07, 17), (1.0, 256)])
def test_how_many(fraction, count):
    assert Tokens(fraction).count(256) == count


def test_the_bonus_is_for_the_best_of_each_patch():
    score = torch.tensor([[1.0, 2, 0, 0, 4, 3, 0, 5, 1, 1, 6, 7, 0, 2, 9, 8]])
    expected = [1.0, 2, 0, 0, 6.4, 3, 0, 8, 1, 1, 6, 7, 0, 3.2, 14.4, 8]
    assert with_bonus(score, (4, 4))[0].tolist() == pytest.approx(expected)
    # An odd side leaves patches of two and of one.
    odd = with_bonus(torch.arange(1.0, 10).view(1, 9), (3, 3))[0].tolist()
    assert odd == pytest.approx([1, 2, 3, 4, 8, 9.6, 7, 12.8, 14.4])


@pytest.mark.parametrize(
    ("shape", "tokens", "expected"),
    [((4, 32, 32), 256, (16, 16)), ((4, 16, 32), 128, (8, 16)), ((3, 9, 9), 81, (9, 9))],
)
def test_the_grid_of_tokens(shape, tokens, expected):
    family = Flat()
    family.latent_shape, family.tokens = shape, tokens
    assert grid(family) == expected


@given(st.integers(0, 10**6), st.sampled_from(["attention", "norm", "random", "age"]))
def test_which_tokens_agrees_with_loops(seed, score):
    rng = np.random.default_rng(seed)
    family = Flat(torch.from_numpy(rng.random((2, 16), np.float32)))
    family.tokens, family.latent_shape = 16, (1, 8, 8)
    p, shared = Tokens(float(rng.uniform(0.05, 1)), score, int(rng.integers(1, 5))), {}
    x = torch.from_numpy(rng.normal(size=(2, 16, 1)).astype(np.float32))
    if p.watches:
        p.watch(cell(family, 0, (), shared, x=x, r=0), None)
    past, ages = [Entry(0, torch.zeros(2, 16, 1), True)], np.zeros((2, 16), int)
    for s in (1, 2, 3):
        p.stand_in(cell(family, s, past, shared, x=x, seeds=(seed, seed + 1)))
        for i in range(2):
            s1 = {
                "attention": (family.attention / family.attention.norm(dim=1, keepdim=True))[i],
                "norm": (x[..., 0].abs() / x[..., 0].norm(dim=1, keepdim=True))[i],
                "random": torch.from_numpy(plain.draw((1, s, 0, 1), seed + i, 16)),
                "age": torch.zeros(16),
            }[score].numpy()
            rows = plain.chosen_tokens(score, s1, ages[i], p.interval, p.count(16))
            assert family.asked[-1][1][i] == rows
            ages[i] += 1
            ages[i][rows] = 0


def test_tokens_of_a_half_batch_are_those_of_its_rows_and_nothing_is_noted():
    p, family = Tokens(0.25, "age"), Flat()
    x, shared = torch.zeros(2, T, 1), {}
    past = [Entry(0, torch.zeros_like(x), True)]
    p.stand_in(cell(family, 1, past, shared, x=x, seeds=(3, 3)))
    half = [Entry(0, torch.zeros(1, T, 1), True)]
    p.stand_in(cell(family, 2, half, dict(shared), x=x[:1]))
    assert family.asked[-1] == (2, [[1]])
    p.stand_in(cell(family, 3, past, shared, x=x, seeds=(3, 3)))
    assert family.asked[-1] == (3, [[1], [1]])


# -- clusters ------------------------------------------------------------------------------


def test_clusters_by_hand():
    """Order 1, computed 0 at step 0 and 10 … 40 at step 2; two clusters of two tokens."""
    p, family = Clusters(2, 0.25, 1), Flat()
    shared = {"labels": torch.tensor([[0, 0, 1, 1]], dtype=torch.int16)}
    past = [Entry(2, row(10, 20, 30, 40), True), Entry(0, row(0, 0, 0, 0), True)]
    out = p.stand_in(cell(family, 3, past, shared))
    (one, other), fresh = family.asked[-1][1][0], {}
    assert {one, other} & {0, 1} and {one, other} & {2, 3}
    for t in (one, other):
        fresh[t] = 131.0 + t  # 1 … 4 and 10 s come in, 100 are added
    # D_0 moves a quarter towards the cluster's fresh token; D_1 = F / 2, from before that.
    cluster = [fresh[one if one < 2 else other]] * 2 + [fresh[one if one > 1 else other]] * 2
    d0 = [fresh.get(t, 0.75 * 10 * (t + 1) + 0.25 * cluster[t]) for t in range(T)]
    slope = [5, 10, 15, 20]
    assert values(out) == [fresh.get(t, round(d0[t] + slope[t], 4)) for t in range(T)]
    ((step, kept),) = shared[0, 1]
    assert (step, values(kept)) == (2, [round(v, 4) for v in d0])
    # The next step goes on from there: the slope is still that of the last computed step.
    out = p.stand_in(cell(family, 4, past, shared))
    rows = family.asked[-1][1][0]
    d1 = values(shared[0, 1][0][1])
    for t in range(T):
        assert values(out)[t] == (141.0 + t if t in rows else round(d1[t] + 2 * slope[t], 4))
    # After another computed step, D_1 is measured from D_0 as it was left at step 2.
    past = [Entry(5, row(1000, 1000, 1000, 1000), True), past[0]]
    out = p.stand_in(cell(family, 6, past, shared))
    rows = family.asked[-1][1][0]
    d2 = values(shared[0, 1][0][1])
    for t in range(T):
        expected = 161.0 + t if t in rows else d2[t] + (1000 - d1[t]) / 3
        assert values(out)[t] == pytest.approx(expected, abs=1e-2)


def test_an_attention_cell_is_plain_taylor():
    past = [Entry(2, row(10, 20, 30, 40), True), Entry(0, row(0, 0, 0, 0), True)]
    family, shared = Flat(), {}
    out = Clusters(2, 0.25, 1).stand_in(cell(family, 3, past, shared, r=0))
    assert values(out) == [15, 30, 45, 60]
    assert not family.asked and not shared


def test_order_0_is_the_papers_code_also_for_fresh_tokens():
    """There is nothing to forecast, so what is scattered into D_0 is what comes out."""
    p, family, shared = Clusters(2, 0.5, 0), Flat(), {}
    shared["labels"] = torch.tensor([[0, 1, 1, 1]], dtype=torch.int16)
    out = p.stand_in(cell(family, 3, [Entry(0, row(0, 0, 0, 0), True)], shared))
    assert torch.equal(out, shared[0, 1][0][1])
    assert values(out)[0] == 131


@given(st.lists(st.integers(1, 5), min_size=0, max_size=5), st.integers(1, 9))
def test_without_fresh_tokens_the_forecast_is_taylors(gaps, ahead):
    steps = tuple(np.cumsum([0, *gaps]).tolist()[::-1])
    s = steps[0] + ahead
    changes = change_weights(steps, s)
    weights = np.zeros(len(steps))
    weights[0] = 1
    for j, w in enumerate(changes):
        weights[j] += w
        weights[j + 1] -= w
    expected = np.zeros(len(steps))
    factor = 1.0
    for k, differences in enumerate(difference_weights(steps)):
        factor = factor * ahead / k if k else 1.0
        expected += factor * np.array(differences)
    assert np.allclose(weights, expected, rtol=1e-9, atol=1e-9)


def test_k_means_by_hand():
    tokens = torch.tensor([[[0.0], [1.0], [9.0], [11.0]]])
    labels, centroids = k_means(tokens, torch.tensor([[[0.0], [1.0]]]))
    assert labels.tolist() == [[0, 0, 1, 1]]
    assert centroids.tolist() == [[[0.5], [10.0]]]
    # An empty cluster keeps its centroid.
    labels, centroids = k_means(tokens, torch.tensor([[[5.0], [-90.0]]]))
    assert labels.tolist() == [[0, 0, 0, 0]]
    assert centroids.tolist() == [[[5.25], [-90.0]]]


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_k_means_agrees_with_loops_row_by_row(seed):
    rng = np.random.default_rng(seed)
    tokens = rng.normal(size=(3, 12, 4)).astype(np.float32)
    start = tokens[:, :4].copy()
    before = start.copy()
    labels, centroids = k_means(torch.from_numpy(tokens), torch.from_numpy(start))
    assert np.array_equal(start, before)
    for i in range(3):
        expected, moved = plain.k_means(tokens[i], start[i])
        assert labels[i].tolist() == expected.tolist()
        assert np.allclose(centroids[i], moved, rtol=1e-3, atol=1e-5)


@given(st.integers(0, 10**6), st.integers(1, 12))
def test_one_of_each_cluster_and_then_others(seed, k):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, (2, 12))
    draws = rng.random((2, 12), np.float32)
    rows = one_of_each(torch.from_numpy(labels), torch.from_numpy(draws), k)
    for i in range(2):
        chosen = rows[i].tolist()
        assert len(set(chosen)) == k
        assert set(labels[i][chosen]) == set(labels[i])
        assert set(chosen) == set(plain.one_of_each(labels[i], draws[i], k))


def test_clusters_are_found_at_full_steps_from_where_they_were():
    p, shared = Clusters(2, 0.0, 0), {}
    x = torch.tensor([[[0.0], [1.0], [9.0], [11.0]], [[5.0], [5.5], [0.0], [0.5]]])
    p.end_step(shared, x, 0, full=False, seeds=(1, 2))
    assert not shared
    p.end_step(shared, x, 0, full=True, seeds=(1, 2))
    labels = shared["labels"]
    for pair in ((labels[0, 0], labels[0, 1]), (labels[0, 2], labels[0, 3])):
        assert pair[0] == pair[1]
    assert labels[1, 0] == labels[1, 1] != labels[1, 2] == labels[1, 3]
    first = shared["centroids"]
    p.end_step(shared, x + 0.25, 3, full=True, seeds=(1, 2))
    assert torch.allclose(shared["centroids"], first + 0.25)
    assert torch.equal(shared["labels"], labels)
    alone = {}
    p.end_step(alone, x[1:], 0, full=True, seeds=(2,))
    assert torch.equal(alone["labels"], labels[1:])


def test_a_family_has_all_that_is_asked_of_it():
    for name in ("branches", "tokens", "width", "latent_shape", "received", "branch_rows"):
        assert hasattr(Family, name)
