"""The budget's dynamic program against every schedule there is, and the constraints it obeys."""

import base64
import functools
import itertools

import numpy as np
import pytest

from caching.errors import ScheduleError
from caching.policies.budget import Costs, at_speedup, best_of, budget_schedules, locks
from caching.schedule import Schedule

MANY = np.geomspace(1, 30, 600)


def costs(blocks, branches=2, *, seed=0, fixed=2.0):
    rng = np.random.default_rng(seed)
    reuse = rng.uniform(0, 0.2, (blocks, branches))
    return Costs(fixed, reuse + rng.uniform(0.5, 3, (blocks, branches)), reuse, "ms")


def table(steps, blocks, branches=2, ages=3, *, seed=0):
    """Errors that sometimes fall with age, so that nothing may lean on their growing."""
    rng = np.random.default_rng(seed)
    return rng.exponential(size=(steps, blocks, branches, ages))


def every_pattern(steps, rows):
    """Bool (steps, rows): everything that can be computed or not, step 0 computed."""
    for bits in itertools.product((True, False), repeat=(steps - 1) * rows):
        yield np.vstack([np.ones((1, rows), bool), np.reshape(bits, (steps - 1, rows))])


def loss_of(error, computed):
    """The sum over reused cells, one cell at a time."""
    total = 0.0
    for block, r in np.ndindex(*computed.shape[1:]):
        age = 0
        for s in range(len(computed)):
            age = 0 if computed[s, block, r] else age + 1
            if age:
                ages = error.shape[3]
                total += error[s, block, r, min(age, ages) - 1] * max(1, age / ages)
    return total


@functools.cache
def every_loss_and_cost(steps, blocks, seed):
    """Of every pattern there is: the schedule, its loss and its cost."""
    error, price = table(steps, blocks, seed=seed), costs(blocks, seed=seed)
    everything = [p.reshape(steps, blocks, 2) for p in every_pattern(steps, 2 * blocks)]
    return [(c, loss_of(error, c), price.of(c)) for c in everything]


def ages_of(computed):
    return Schedule((~computed).astype(np.uint8)).age()


def front_points(front):
    return [(front.computed(i), front.error[i], front.speedup[i]) for i in range(len(front))]


def allowed(name, computed, ages, held=None):
    """Whether a schedule obeys what the constraint of this name says."""
    if held is None:
        held = asked(name, computed.shape).get("locked", np.zeros(computed.shape))
    kept = (computed[held == 1]).all() and not computed[held == 2].any()
    most = 2 if name == "max age 2" else ages
    alike = {"blocks": computed[:, :1], "steps": computed[:, :1, :1]}.get(
        name.split()[-1], computed
    )
    short = (ages_of(computed)[held == 0] <= most).all()
    return kept and short and (computed == alike).all()


def asked(name, shape):
    held = np.zeros(shape, np.uint8)
    if name == "locks":
        held[2, 0, 0], held[3, 0, 0], held[1, -1, 1] = 1, 2, 2
    if name == "locks, blocks":
        held[2, 0, 0], held[3, 0, 1] = 1, 2
    return {
        "none": {},
        "max age 2": {"max_age": 2},
        "blocks": {"share": "blocks"},
        "steps": {"share": "steps"},
        "locks": {"locked": held},
        "locks, blocks": {"locked": held, "share": "blocks"},
    }[name]


@pytest.mark.parametrize("name", ["none", "max age 2", "blocks", "steps", "locks", "locks, blocks"])
@pytest.mark.parametrize(("steps", "blocks"), [(7, 1), (4, 2)])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_front_is_the_optimum_of_every_multiplier(name, steps, blocks, seed):
    """Against all 4,096 schedules of 7 steps by 2 rows, and all 4,096 of 4 steps by 4 rows."""
    error, price = table(steps, blocks, seed=seed), costs(blocks, seed=seed)
    everything = every_loss_and_cost(steps, blocks, seed)
    known = [(loss, cost) for c, loss, cost in everything if allowed(name, c, 3)]
    front = budget_schedules(error, price, speedups=MANY, **asked(name, error.shape[:3]))
    full = price.of(np.ones(error.shape[:3], bool))
    found = []
    for computed, loss, speedup in front_points(front):
        assert allowed(name, computed, 3)
        assert loss == pytest.approx(loss_of(error, computed), abs=1e-9)
        assert speedup == pytest.approx(full / price.of(computed))
        found.append((loss, price.of(computed)))
    for multiplier in np.geomspace(1e-3, 1e3, 61):
        best = min(loss + multiplier * cost for loss, cost in known)
        assert min(loss + multiplier * cost for loss, cost in found) == pytest.approx(best)


def spans_of(steps, *, ages, seed=0):
    """Errors of spans that have nothing to do with a sum over their steps."""
    length = np.arange(steps + 1) - np.arange(steps)[:, None]
    values = np.random.default_rng(seed).exponential(size=length.shape) * (length != 1)
    return np.where((length > 0) & (length <= ages + 1), values, np.nan)


@pytest.mark.parametrize("name", ["none", "max age 2", "locks"])
def test_spans_take_the_place_of_the_sum(name):
    """Against all 64 ways to compute whole steps out of 7."""
    price, spans = costs(2), spans_of(7, ages=3)
    held = np.zeros((7, 2, 2), np.uint8)
    if name == "locks":
        held[2, 0, 0], held[5, 1, 1] = 1, 2
    known = []
    for steps in every_pattern(7, 1):
        computed = np.broadcast_to(steps[:, :, None], (7, 2, 2))
        if allowed("max age 2" if name == "max age 2" else "steps", computed, 3, held):
            at = [*np.flatnonzero(steps), 7]
            loss = sum(spans[i, j] for i, j in itertools.pairwise(at))
            known.append((loss, price.of(computed)))
    front = budget_schedules(
        np.ones((7, 2, 2, 3)),
        price,
        speedups=MANY,
        share="steps",
        spans=spans,
        max_age=2 if name == "max age 2" else None,
        locked=held,
    )
    found = [(loss, price.of(computed)) for computed, loss, _ in front_points(front)]
    for multiplier in np.geomspace(1e-3, 1e3, 61):
        best = min(loss + multiplier * cost for loss, cost in known)
        assert min(loss + multiplier * cost for loss, cost in found) == pytest.approx(best)


def test_a_lock_may_reuse_longer_than_spans_are_known():
    """In proportion to the square of its length: errors add up before they are squared."""
    spans = spans_of(6, ages=2)
    spans[0, 3], spans[5, 6] = 4.0, 0.0
    held = np.full((6, 1, 1), 2, np.uint8)
    held[0], held[5] = 0, 1
    front = budget_schedules(
        np.zeros((6, 1, 1, 2)),
        Costs(1, [[1.0]], [[0.0]], "MACs"),
        share="steps",
        spans=spans,
        locked=held,
        branches=("attn",),
    )
    assert front.schedule(0).rows() == {"block 0 attn": "CRRRRC"}
    assert front.error[0] == pytest.approx(4.0 * (4 / 2) ** 2)


def test_the_better_of_two_fronts():
    error, price = table(8, 2, ages=7), costs(2)
    steps, free = (budget_schedules(error, price, share=s) for s in ("steps", "free"))
    scores = np.zeros((2, len(free)))
    scores[1, 50:] = 1
    got = best_of([steps, free], scores)
    assert got.schedule(20) == steps.schedule(20) and got.schedule(90) == free.schedule(90)
    assert got.error[20] == steps.error[20] and got.speedup[90] == free.speedup[90]
    with pytest.raises(ScheduleError, match="one for each"):
        best_of([steps, free], scores[:1])
    with pytest.raises(ScheduleError, match="make them alike"):
        best_of([free, budget_schedules(error, price, speedups=[1, 2])], scores)


def test_by_hand():
    """One row of 4 steps: reusing step 2 costs 1, step 3 after it 5 more, and step 1 costs 2."""
    error = np.zeros((4, 1, 1, 3))
    error[1, 0, 0, 0], error[2, 0, 0, 0], error[3, 0, 0, 0] = 2, 1, 4
    error[2, 0, 0, 1], error[3, 0, 0, 1], error[3, 0, 0, 2] = 9, 5, 30
    front = budget_schedules(
        error, Costs(0, [[1.0]], [[0.0]], "MACs"), speedups=[1, 1.3, 2, 4], branches=("attn",)
    )
    rows = [front.schedule(i).rows()["block 0 attn"] for i in range(4)]
    # Two computed: C R C R costs 2 + 4, C C R R costs 1 + 5, both 6; C R R C costs 11.
    assert rows[0] == "CCCC" and rows[1] == "CCRC" and rows[3] == "CRRR"
    assert rows[2] in ("CRCR", "CCRR")
    np.testing.assert_allclose(front.error, [0, 1, 6, 41])
    np.testing.assert_allclose(front.speedup, [1, 4 / 3, 2, 4])


def test_faster_never_loses_less():
    front = budget_schedules(table(12, 3, ages=8), costs(3))
    assert (np.diff(front.error) >= -1e-12).all()
    assert (np.diff(front.speedup) >= 0).all()
    aims = np.geomspace(1, 5, len(front))
    reachable = front.speedup[-1] >= aims
    assert (front.speedup[reachable] >= aims[reachable] * (1 - 1e-9)).all()
    assert front.error[0] == 0 and front.schedule(0).is_full


def test_a_budget_is_met_closely():
    """Where computing more never loses more, less than one cell is given away."""
    error, price = table(20, 6, ages=19).cumsum(axis=3), costs(6)
    front = budget_schedules(error, price)
    full = price.of(np.ones((20, 6, 2), bool))
    spare = full / np.geomspace(1, 5, len(front)) - full / front.speedup
    assert (spare < (price.compute - price.reuse).max()).all()


@pytest.mark.parametrize("asked_for", [1.0, 1.7, 3.0])
def test_at_speedup_is_fast_enough_and_no_faster(asked_for):
    price = costs(3)
    front = budget_schedules(table(12, 3, ages=8), price)
    got = at_speedup(front, asked_for)
    full = price.of(np.ones((12, 3, 2), bool))
    assert asked_for * (1 - 1e-9) <= full / price.of(got.computed) < asked_for * 1.15


def test_beyond_reach_it_gives_the_fastest():
    front = budget_schedules(table(6, 1, ages=1), costs(1))
    assert at_speedup(front, 1000) == front.schedule(len(front) - 1)
    assert ages_of(front.computed(len(front) - 1)).max() == 1


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_degenerate_tables(value):
    """Nothing to lose, or the same everywhere: every budget is still met."""
    front = budget_schedules(np.full((10, 2, 2, 9), value), costs(2, fixed=0.0))
    assert (front.speedup >= np.geomspace(1, 5, len(front)) * (1 - 1e-9)).all()
    assert front.schedule(0).is_full


def test_one_step_leaves_no_choice():
    front = budget_schedules(np.zeros((1, 2, 2, 1)), costs(2))
    assert all(front.schedule(i).is_full for i in range(len(front)))


def test_rows_that_save_nothing_stay_computed():
    """A branch measured as dear to reuse as to compute is never touched."""
    price = Costs(0.0, [[1.0, 1.0]], [[0.0, 1.0]], "ms")
    front = budget_schedules(table(8, 1, ages=7), price)
    assert front.computed(len(front) - 1)[:, :, 1].all()
    assert not front.computed(len(front) - 1)[:, :, 0].all()


def test_locks_hold_what_is_painted():
    painted = Schedule.from_rows(["CRRRRC", "CCCCCC", "CCRCRC", "CCCCCC"])
    cells = np.zeros((6, 2, 2), bool)
    cells[:, 0, 0] = True
    cells[4, 1, 0] = True
    held = locks(painted, cells)
    front = budget_schedules(table(6, 2, ages=2), costs(2), locked=held)
    for i in range(len(front)):
        np.testing.assert_array_equal(front.computed(i)[cells], painted.computed[cells])
    # Four in a row were painted, more than the table has ages: a lock may, a free cell may not.
    assert front.error[0] > 0


def test_the_page_reads_the_same_bits():
    front = budget_schedules(table(5, 3, ages=4), costs(3), speedups=[1, 2, 3])
    plain = front.to_json()
    raw = base64.b64decode(plain["bits"])
    size = len(raw) // 3
    for i in range(3):
        row = raw[i * size : (i + 1) * size]
        bits = [(row[k // 8] >> (7 - k % 8)) & 1 for k in range(5 * 3 * 2)]
        np.testing.assert_array_equal(np.reshape(bits, (5, 3, 2)), front.computed(i))
    assert plain["shape"] == [5, 3, 2] and plain["unit"] == "ms"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"error": np.zeros((4, 2, 2))}, "steps, blocks, branches, ages"),
        ({"error": -np.ones((4, 2, 2, 3))}, "block 0, attn, step 1: the error at age 1 is -1"),
        ({"error": np.full((4, 2, 2, 3), np.inf)}, "expected 0 or more"),
        ({"error": np.zeros((4, 3, 2, 3))}, "expected the same of all"),
        ({"branches": ("attn",)}, "expected the same of all"),
        ({"speedups": [2, 1]}, "sort them"),
        ({"speedups": [0.5]}, "1 or more"),
        ({"speedups": [np.nan]}, "1 or more"),
        ({"share": "steps", "spans": np.zeros((4, 4))}, "errors of spans are"),
        ({"share": "steps", "spans": np.full((4, 5), -1.0)}, "negative or missing"),
        ({"share": "steps", "spans": np.full((4, 5), np.nan)}, "negative or missing"),
        ({"share": "rows"}, "expected"),
        ({"max_age": 4}, "max_age"),
        ({"locked": np.zeros((4, 2), int)}, "locks are"),
        ({"locked": np.full((4, 2, 2), 3)}, "expected 0, 1 or 2"),
        ({"locked": np.full((4, 2, 2), 2)}, "step 0"),
    ],
)
def test_refusals(changes, words):
    given = {"error": np.zeros((4, 2, 2, 3)), "costs": costs(2), **changes}
    with pytest.raises(ScheduleError, match=words):
        budget_schedules(given.pop("error"), given.pop("costs"), **given)


def test_locks_that_contradict_are_named():
    held = np.zeros((4, 2, 2), int)
    held[2, 0, 1], held[2, 1, 1] = 1, 2
    with pytest.raises(ScheduleError, match="step 2: block 0 mlp, block 1 mlp"):
        budget_schedules(table(4, 2), costs(2), share="blocks", locked=held)
    budget_schedules(table(4, 2), costs(2), locked=held)


@pytest.mark.parametrize("fixed", [-1.0, np.nan])
def test_costs_are_checked(fixed):
    with pytest.raises(ScheduleError, match="cost"):
        Costs(fixed, [[1.0]], [[0.0]], "ms")
