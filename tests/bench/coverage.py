"""What the intervals of predictions hold, of means over pictures and of single ones.

Both say 80 %. By kind of schedule, by thirds of the predicted PSNR, and for single pictures by how
many other schedules had run on the picture before.
"""

import numpy as np

from caching.predict.drawn import KINDS
from caching.predict.picture import at_picture, level_of

BEFORE = (0, 1, 3, 10)
MOST = 40  # schedules of one picture that are judged
ENDS = ("low_db", "db", "high_db")


def thirds(db):
    """(n,) which third of the values each is in, 0 the lowest."""
    return np.argsort(np.argsort(db)) * 3 // len(db)


def parts(kinds, db):
    """Name and (n,) mask of everything that coverage is told for."""
    third, kinds = thirds(db), np.array(kinds)
    cuts = [f"{db[third == i].min():.0f}-{db[third == i].max():.0f} dB" for i in range(3)]
    yield "all", np.ones(len(db), bool)
    yield from ((kind, kinds == kind) for kind in KINDS if (kinds == kind).any())
    yield from ((cut, third == i) for i, cut in enumerate(cuts))


def held(estimates, measured):
    """(n,) whether each lies inside, and (n,) half of its interval."""
    low, db, high = (np.array([getattr(e, n) for e in estimates]) for n in ENDS)
    return (low <= measured) & (measured <= high), np.maximum(db - low, high - db)


def pictures_of(psnr, which):
    """For every picture its [(schedule, PSNR)] in the order measured."""
    found = {}
    for turn, n in np.argwhere(~np.isnan(psnr[..., 0])):
        for i, db in enumerate(psnr[turn, n]):
            found.setdefault((int(which[turn, n]), i), []).append((int(n), float(db)))
    return list(found.values())


def single(psnr, which, guesses, before):
    """Schedules, PSNR and estimates of single pictures, each after `before` other schedules of it,
    drawn at random."""
    rng, found = np.random.default_rng(0), []
    for runs in pictures_of(psnr, which):
        if len(runs) <= before:
            continue
        for at in rng.permutation(len(runs))[:MOST]:
            others = np.delete(np.arange(len(runs)), at)
            known = [runs[i] for i in rng.choice(others, before, replace=False)]
            level = level_of((n, db, guesses[n].db) for n, db in known)
            n, db = runs[at]
            found.append((n, db, at_picture(guesses[n], level)))
    of, db, estimates = zip(*found, strict=True)
    return np.array(of), np.array(db), estimates


def report(say, kinds, guesses, measured, psnr, which):
    """The lines of a table; every interval says 80 %."""
    predicted = np.array([g.db for g in guesses])
    columns = [(np.arange(len(measured)), *held(guesses, measured))]
    for before in BEFORE:
        of, db, estimates = single(psnr, which, guesses, before)
        columns.append((of, *held(estimates, db)))
    say("\nWhat intervals hold that say 80 %, and half of their width in dB (mean):")
    heads = "".join(f"{f'one, after {b}':>16}" for b in BEFORE)
    say(f"{'':14}{'n':>4}{'mean':>13}{heads}")
    for name, mask in parts(kinds, predicted):
        cells = []
        for of, inside, half in columns:
            here = mask[of]
            cells.append(f"{inside[here].mean():6.0%} ±{half[here].mean():4.1f}")
        say(f"{name:14}{mask.sum():4}{cells[0]:>13}{''.join(f'{c:>16}' for c in cells[1:])}")
    return float(columns[0][1].mean())
