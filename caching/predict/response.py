"""What a reused cell does to the final picture, to first order, for every cell and age.

Reusing a cell replaces its output o_s by o_{s-a}. To first order the final latent then moves along
direction v by g · (o_{s-a} - o_s), g the gradient of v · latent with respect to that output. These
signed numbers are what a `Response` holds, one for each of G directions (of a few pictures), scaled
so that the squares of all G sum to the mean square error of what is seen over the square of black
to white, in the mean over pictures; see `directions.py` for what is seen, and for models of which
it is the latent itself. Shapes: G, S steps, L blocks, R branches, A ages.

Three ways to sum them, since who answers a change matters as much as the change itself:

    open    all later cells are computed anew and answer: right for a cell that is reused alone
    held    nothing later in the same step answers, later steps do: right for a step reused whole
    spans   [i, j]: the steps between computed steps i and j are reused whole; none of them answers
"""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caching.errors import ScheduleError

Kind = Literal["gradients", "changes"]

MAX_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class Response:
    """First-order effects of reuse; all arrays are read-only.

    Attributes:
        open: float16 (G, S, L, R, A), in units of `unit`; 0 where the age reaches before step 0.
        held: float16 (G, S, L, R, A), likewise.
        spans: float32 (G, S, S + 1); the last column is the end of the run. 0 where j = i + 1, NaN
            where a step between would be older than A.
        change: float16 (S, L, R, A) relative L1 change of the branch output, mean over pictures.
        unit: what `open` and `held` count in.
        pictures: how many it was measured on.
        kind: "gradients", or "changes" for the substitute that knows relative changes only.
        source: where it is from, for a reader.
    """

    open: NDArray[np.float16]
    held: NDArray[np.float16]
    spans: NDArray[np.float32]
    change: NDArray[np.float16]
    unit: float
    pictures: int
    kind: Kind
    source: str

    def __post_init__(self) -> None:
        arrays: dict[str, NDArray[Any]] = {
            "open": np.array(self.open, np.float16),
            "held": np.array(self.held, np.float16),
            "spans": np.array(self.spans, np.float32),
            "change": np.array(self.change, np.float16),
        }
        shape = arrays["open"].shape
        if len(shape) != 5 or 0 in shape or arrays["held"].shape != shape:
            raise ScheduleError(
                f"effects are of shapes {shape} and {arrays['held'].shape}: expected (directions, "
                "steps, blocks, branches, ages) of both; build the response again"
            )
        expected = {"spans": (shape[0], shape[1], shape[1] + 1), "change": shape[1:]}
        for name, wanted in expected.items():
            if arrays[name].shape != wanted:
                raise ScheduleError(
                    f"{name} is of shape {arrays[name].shape}: expected {wanted}; build the "
                    "response again"
                )
        finite = all(np.isfinite(arrays[name]).all() for name in ("open", "held", "change"))
        whole = not np.isinf(arrays["spans"]).any() and 0 < self.unit < np.inf
        if not finite or not whole or not (arrays["change"] >= 0).all():
            raise ScheduleError(
                "a response holds infinite numbers or a negative change: build it again"
            )
        if self.kind not in ("gradients", "changes") or not self.source:
            raise ScheduleError(
                f"a response of kind {self.kind!r:.40} from {self.source!r:.40}: expected "
                '"gradients" or "changes", and where it is from'
            )
        for name, array in arrays.items():
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def steps(self) -> int:
        return int(self.open.shape[1])

    @property
    def blocks(self) -> int:
        return int(self.open.shape[2])

    @property
    def width(self) -> int:
        """R, the number of branches."""
        return int(self.open.shape[3])

    @property
    def ages(self) -> int:
        """A, the largest age it knows."""
        return int(self.open.shape[4])

    @property
    def error(self) -> NDArray[np.float64]:
        """(S, L, R, A): squared error of what is seen in the end if this cell alone is reused."""
        return _sum_of_squares(self.open) * self.unit**2

    @property
    def step_error(self) -> NDArray[np.float64]:
        """(S, A): likewise if a whole step is reused alone."""
        whole = self.held.astype(np.float64).sum(axis=(2, 3)) * self.unit
        return np.asarray((whole**2).sum(axis=0))

    @property
    def span_error(self) -> NDArray[np.float64]:
        """(S, S + 1): likewise if all steps between computed steps i and j are; NaN as `spans`."""
        return np.asarray((self.spans.astype(np.float64) ** 2).sum(axis=0))

    @cached_property
    def lasting(self) -> NDArray[np.float64]:
        """(S, S + 1): the effect of reusing all steps between i and j when none of them answers,
        over that when all do; beyond the ages known that of the longest known span."""
        steps, ages = self.steps, self.ages
        whole = self.held.astype(np.float64).sum(axis=(2, 3)) * self.unit  # (G, S, A)
        span, ratio = self.span_error, np.ones((steps, steps + 1))
        for i in range(steps):
            answered = np.zeros(len(whole))
            for s in range(i + 1, steps):
                ratio[i, s + 1] = ratio[i, s]
                if s - i <= ages:
                    answered = answered + whole[:, s, s - i - 1]
                    if (most := float((answered**2).sum())) > 0:
                        ratio[i, s + 1] = (span[i, s + 1] / most) ** 0.5
        ratio.setflags(write=False)
        return ratio

    # -- to keep and to send -----------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Plain values for the page; arrays are base64 of little-endian numbers in C order."""
        return {
            "shape": list(self.open.shape),
            "open": _packed(self.open, "<f2"),
            "held": _packed(self.held, "<f2"),
            "spans": _packed(self.spans, "<f4"),
            "change": _packed(self.change, "<f2"),
            **self._words(),
        }

    def to_bytes(self) -> bytes:
        """An .npz file of plain arrays."""
        file = io.BytesIO()
        words = np.frombuffer(json.dumps(self._words()).encode(), np.uint8)
        np.savez_compressed(
            file, open=self.open, held=self.held, spans=self.spans, change=self.change, words=words
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Response:
        """What `to_bytes` gave, checked; ScheduleError otherwise."""
        if len(data) > MAX_BYTES:
            raise ScheduleError(f"a response of {len(data)} bytes: expected 1 GiB at most")
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                words = json.loads(file["words"].tobytes().decode())
                arrays = {name: file[name] for name in ("open", "held", "spans", "change")}
                return cls(**arrays, **{name: words[name] for name in _WORDS})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ScheduleError(
                f"this is no stored response ({error}); expected what `to_bytes` wrote: build it "
                "again"
            ) from error

    def _words(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _WORDS}


_WORDS = ("unit", "pictures", "kind", "source")


def scaled(
    open_: NDArray[np.floating],
    held: NDArray[np.floating],
    spans: NDArray[np.floating],
    change: NDArray[np.floating],
    *,
    pictures: int,
    kind: Kind,
    source: str,
) -> Response:
    """A Response from effects in plain units, which may be smaller than half precision reaches."""
    unit = max(float(np.abs(open_).max()), float(np.abs(held).max())) or 1.0
    half = np.finfo(np.float16).max
    return Response(
        open=(open_ / unit).astype(np.float16),
        held=(held / unit).astype(np.float16),
        spans=spans.astype(np.float32),
        change=np.minimum(change, half).astype(np.float16),
        unit=unit,
        pictures=pictures,
        kind=kind,
        source=source,
    )


def response_of_changes(change: ArrayLike, *, pictures: int, source: str) -> Response:
    """The substitute where gradients are too dear: every cell moves the result by its own change.

    One direction, along which all effects have the same sign, so that they add up and never cancel:
    the sum of relative L1 changes at each cell's age, over S L R. It ranks schedules far worse than
    gradients do, and its numbers are no errors, only in proportion to what a fit makes of them.

    Args:
        change: (S, L, R, A) relative L1 change at ages 1..A; NaN before step 0.
    """
    table = np.nan_to_num(np.asarray(change, np.float64), nan=0.0)
    if table.ndim != 4 or 0 in table.shape or not (table >= 0).all():
        raise ScheduleError(
            f"changes are of shape {table.shape}: expected (steps, blocks, branches, ages), 0 or "
            "more; measure the trace again"
        )
    steps, blocks, width, ages = table.shape
    effect = (table / (steps * blocks * width))[None]
    whole = effect.sum(axis=(2, 3))  # (1, S, A)
    spans = np.full((1, steps, steps + 1), np.nan)
    for i in range(steps):
        spans[:, i, i + 1] = 0.0
        for s in range(i + 1, min(steps, i + 1 + ages)):
            spans[:, i, s + 1] = spans[:, i, s] + whole[:, s, s - i - 1]
    return scaled(effect, effect, spans, table, pictures=pictures, kind="changes", source=source)


def _sum_of_squares(effects: NDArray[np.float16]) -> NDArray[np.float64]:
    """Over the first axis, one direction at a time: in double precision all would be four times
    the size of what is held."""
    total = np.zeros(effects.shape[1:])
    for one in effects:
        total += one.astype(np.float64) ** 2
    return total


def _packed(array: NDArray[Any], kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, kind).tobytes()).decode("ascii")
