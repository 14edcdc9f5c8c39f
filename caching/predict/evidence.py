"""Which features matter, by how much: what makes the measured runs likeliest (Gaussian processes).

Runs y (N,) on features z (N, F) are taken as jointly normal, with a level common to all and

    C = bend² near + slope² z · z' / F + shared (level² + way² near) + noise² exp(2 b (ŷ - mean))

near = 1 / sqrt(1 + |z - z'|² / F), every feature counted in a unit of its own: it falls off slowly,
as a sum over many lengths would, and makes the runs likelier than one length does. `shared` says
what part of their pictures two runs have in common, since pictures differ in how much any schedule
does to them, and each in its own way in what similar schedules do; noise may rise with PSNR. Units,
level, way, noise and b descend the negative log likelihood (Rasmussen & Williams, ch. 5), held by a
wide prior on the units, so that a feature that explains little comes to count little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BEST_DB = 60.0  # what counts as equal; here, because it is needed where torch is not loaded
BEND_DB, SLOPE_DB = 3.0, 8.0
FIRST_UNIT, FIRST_NOISE_DB, FIRST_LEVEL_DB, FIRST_WAY_DB = 1 / 0.7, 0.6, 3.0, 1.5
PRIOR = 1.5
"""Standard deviation of a unit's logarithm about the first."""
DESCENT, RATE = 80, 0.1
"""Steps of Adam, and how far one goes."""
STEEPEST = 0.1
"""|b| at most: noise a factor 2.7 larger 10 dB on."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Evidence:
    """The best fit found.

    Attributes:
        units: (F,) what each feature counts, times its value.
        mean: the level common to all, dB.
        weights: (N,) C^-1 (y - mean).
        noise: (N,) of C's diagonal beyond what features explain, dB².
        missed: (N,) measured minus predicted from all other runs.
        fitness: log likelihood with the prior, up to a constant.
    """

    units: Array
    mean: float
    weights: Array
    noise: Array
    missed: Array
    fitness: float


def by_evidence(z: Array, y: Array, shared: Array) -> Evidence:
    """Twice: what was left out of the first fit says how noise rises with PSNR in the second."""
    first = _descended(z, y, shared, np.zeros(len(y)), rising=False)
    fitted = y - first.missed
    return _descended(z, y, shared, fitted - fitted.mean(), rising=True)


def signal(z: Array, length: float = 1.0) -> Array:
    """(N, N): the covariance that features explain, at a length of the bend common to all."""
    product = z @ z.T / z.shape[1]
    return np.asarray(_bend(product, length) + SLOPE_DB**2 * product)


def _bend(product: Array, length: float) -> Array:
    """From z · z' / F of all pairs."""
    own = np.diag(product)
    squares = np.maximum(own[:, None] + own - 2 * product, 0)
    return np.asarray(BEND_DB**2 / np.sqrt(1 + squares / length**2))


def _descended(z: Array, y: Array, shared: Array, rise: Array, *, rising: bool) -> Evidence:
    count = z.shape[1]
    sizes = np.log([FIRST_NOISE_DB, FIRST_LEVEL_DB, FIRST_WAY_DB])
    first = np.r_[np.full(count, np.log(FIRST_UNIT)), sizes, 0.0]
    at, pace, size = first.copy(), np.zeros_like(first), np.zeros_like(first)
    best: Evidence | None = None
    for turn in range(1, DESCENT + 1):
        here, slope = _weighed(z, y, shared, rise, at, first)
        if best is None or here.fitness > best.fitness:
            best = here
        slope[-1] *= rising
        pace = 0.9 * pace + 0.1 * slope
        size = 0.99 * size + 0.01 * slope**2
        by = (pace / (1 - 0.9**turn)) / (np.sqrt(size / (1 - 0.99**turn)) + 1e-9)
        # The last is no logarithm: a tenth as far moves it as much.
        at = at - RATE * by * np.r_[np.ones(count + 3), 0.05]
        at[-1] = np.clip(at[-1], -STEEPEST, STEEPEST)
    assert best is not None
    return best


def _weighed(
    z: Array, y: Array, shared: Array, rise: Array, at: Array, first: Array
) -> tuple[Evidence, Array]:
    """The fit at one point, and the gradient (F + 4,) of what is to be small there."""
    count = z.shape[1]
    units = np.exp(at[:count])
    u = z * units / count**0.5
    product = u @ u.T
    bent = _bend(product, 1.0)
    noise = np.exp(2 * at[count] + 2 * at[count + 3] * rise)
    level = np.exp(2 * at[count + 1]) * shared
    way = np.exp(2 * at[count + 2]) / BEND_DB**2 * shared * bent
    covered = bent + SLOPE_DB**2 * product + level + way
    covered[np.diag_indices(len(y))] += noise
    inverse = np.linalg.inv(covered)
    total = inverse.sum(axis=1)
    mean = float(total @ y / total.sum())
    weights = inverse @ (y - mean)
    far = (at[:count] - first[:count]) / PRIOR
    determinant = float(np.linalg.slogdet(covered)[1])
    unlikely = 0.5 * float((y - mean) @ weights + determinant + far @ far)
    pull = np.outer(weights, weights) - inverse
    # Of 1 / sqrt(1 + x) by x / 2 it is the cube, less.
    near = pull * (bent + way) * (bent / BEND_DB**2) ** 2
    moved = near.sum(axis=1) @ u**2 - np.einsum("nf,nf->f", u, near @ u)
    straight = SLOPE_DB**2 * np.einsum("nf,nf->f", u, pull @ u)
    own = np.diag(pull) * noise
    slope = np.r_[
        moved - straight + far / PRIOR,
        -own.sum(),
        -(pull * level).sum(),
        -(pull * way).sum(),
        -(own * rise).sum(),
    ]
    alone = np.diag(inverse)
    return Evidence(
        units=units,
        mean=mean,
        weights=weights,
        noise=noise + np.diag(level + way),
        missed=weights / alone,
        fitness=-unlikely,
    ), slope
