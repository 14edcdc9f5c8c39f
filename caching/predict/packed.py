"""A kept prediction in the few bytes a page is sent, and as Python uses it for that page.

Both sides must add the same numbers, so the packing is exact: `pack` gives the bytes together with
a `Kept` that holds what they say and nothing finer. Three things make it small:

    effects  turned to the directions in which they are strongest (sums of squares stay), the first
             `STRONG` with a byte for each number, the next `WEAK` with half of one, the rest left
             out; a power of two for all of a kind at a cell and age; nothing for ages that reach
             before step 0
    known    two bytes for each feature of each run, in steps of a power of two for each feature
    inverse  not at all: it follows from `known`, the length and the noise
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caching.predict.evidence import BEND_DB, BEST_DB, SLOPE_DB, signal
from caching.predict.features import NAMES
from caching.predict.fit import FORECASTS, Estimator, inverse_of
from caching.predict.kept import Kept
from caching.predict.response import Response

STRONG, WEAK = 16, 16
MOST_BYTES = 1 << 20  # of effects, before base64; a large model gets fewer directions
FEWEST = 4  # of either kind
LEAST_POWER = -24  # 2^-24 is the finest of half precision
BYTE, HALF_BYTE, PAIR = 127, 7, 32767


@dataclass(frozen=True, eq=False)
class Packed:
    """A prediction as a page has it.

    Attributes:
        kept: the prediction, in exactly the numbers of `data`.
        data: plain values for the page; arrays are base64 of little-endian numbers.
    """

    kept: Kept
    data: dict[str, Any]


@lru_cache(maxsize=8)
def pack(kept: Kept) -> Packed:
    """The prediction rounded to few bytes; the same object for the same prediction."""
    response, effects = _packed_response(kept.response)
    estimator, learned = _packed_estimator(kept.estimator)
    data = {
        "shape": [response.steps, response.blocks, response.width, response.ages],
        **effects,
        "estimator": learned,
        "best_db": BEST_DB,
        "source": kept.source,
    }
    # What a page already has, it need not take again.
    words = json.dumps(data, separators=(",", ":"), allow_nan=False).encode()
    data["key"] = hashlib.sha256(words).hexdigest()[:16]
    return Packed(dataclasses.replace(kept, response=response, estimator=estimator), data)


def _packed_response(response: Response) -> tuple[Response, dict[str, Any]]:
    strong, weak = _counts(response)
    tables = _strongest((response.open, response.held), strong + weak)
    grown = max(1.0, *(float(np.abs(t).max()) for t in tables))
    rounded, packed = [], {}
    for name, table in zip(("open", "held"), tables, strict=True):
        parts = (table[:strong] / grown, BYTE), (table[strong:] / grown, HALF_BYTE)
        (whole, units, powers), (half, small, small_powers) = (_rounded(*part) for part in parts)
        rounded.append(np.concatenate([whole, half]).astype(np.float16))
        packed[name] = {
            "units": _text(_in_order(units).astype(np.int8)),
            "powers": _text(_in_order(powers).astype(np.int8)),
            "halves": _text(_halves(_in_order(small))),
            "half_powers": _text(_in_order(small_powers).astype(np.int8)),
        }
    # Only their squared sum counts, so one direction can hold it.
    spans = np.zeros((len(rounded[0]), *response.spans.shape[1:]), np.float32)
    spans[0] = np.sqrt(response.span_error)
    made = dataclasses.replace(
        response, open=rounded[0], held=rounded[1], spans=spans, unit=response.unit * grown
    )
    return made, {
        "directions": [strong, len(rounded[0]) - strong],
        "unit": made.unit,
        **packed,
        "change": _text(_in_order(response.change[None])[:, 0]),
        "spans": _text(np.nan_to_num(spans[0], nan=0.0)),
    }


def _counts(response: Response) -> tuple[int, int]:
    """How many strong and weak directions there is room for."""
    blocks = len(_in_order(response.change[None]))
    room = MOST_BYTES / (2 * blocks) - 2  # bytes for each, without the two powers
    count = len(response.open)
    strong, weak = min(count, STRONG), min(max(count - STRONG, 0), WEAK)
    if strong + weak / 2 > room:
        strong = min(count, max(FEWEST, int(room / 1.5)))
        weak = min(count - strong, strong)
    return strong, weak


def _strongest(tables: tuple[NDArray[Any], ...], count: int) -> list[NDArray[np.float64]]:
    """(count, S, L, R, A) each: along the directions in which all tables together are largest."""
    exact = [t.astype(np.float64) for t in tables]
    flat = np.concatenate([t.reshape(len(t), -1) for t in exact], axis=1)
    vectors = np.linalg.eigh(flat @ flat.T)[1][:, ::-1][:, :count]
    return [np.tensordot(vectors.T, t, axes=1) for t in exact]


def _rounded(
    table: NDArray[np.float64], most: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The table in units of -most..most times one power of two for all directions (1, S, L, R, A):
    what it is then, the units and the exponents."""
    largest = np.abs(table).max(axis=0, keepdims=True, initial=2.0**-60)
    powers = np.maximum(np.ceil(np.log2(largest / most)), LEAST_POWER)
    units = np.rint(table / 2.0**powers)
    return units * 2.0**powers, units, powers


def _in_order(table: NDArray[Any]) -> NDArray[Any]:
    """(G, S, L, R, A) as (blocks, G), a block for every age that does not reach before step 0; row
    by row, then by step, then by age."""
    directions, steps, blocks, width, ages = table.shape
    rows = table.reshape(directions, steps, blocks * width, ages).transpose(2, 1, 3, 0)
    found: NDArray[Any] = rows[:, np.arange(ages) < np.arange(steps)[:, None]]
    return found.reshape(found.shape[0] * found.shape[1], directions)


def _halves(units: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Units -7..7 (blocks, G), two to a byte, each plus 8, the first in the lower half."""
    shifted = np.pad(units + 8, ((0, 0), (0, units.shape[1] % 2)), constant_values=8)
    return (shifted[:, ::2] + 16 * shifted[:, 1::2]).astype(np.uint8)


def _packed_estimator(e: Estimator) -> tuple[Estimator, dict[str, Any]]:
    most = np.abs(e.known).max(axis=0)
    steps = 2.0 ** np.ceil(np.log2(np.maximum(most, 2.0**-60) / PAIR))
    units = np.rint(e.known / steps)
    known = units * steps
    noise = np.diag(np.linalg.inv(e.inverse) - signal(e.known, e.length)).copy()
    inverse = inverse_of(known, e.length, noise)
    made = dataclasses.replace(e, known=known, inverse=inverse)
    return made, {
        "features": list(NAMES),
        "center": e.center.tolist(),
        "spread": e.spread.tolist(),
        "known": _text(units.astype("<i2")),
        "known_steps": steps.tolist(),
        "bends": _text(e.bends),
        "slopes": e.slopes.tolist(),
        "level_db": e.level_db,
        "length": e.length,
        "noise": _text(noise),
        "bend_db": BEND_DB,
        "slope_db": SLOPE_DB,
        "forecasts": len(NAMES) + FORECASTS,
        "width": dataclasses.asdict(e.width),
    }


def _text(array: NDArray[Any]) -> str:
    packed = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return base64.b64encode(packed.tobytes()).decode("ascii")
