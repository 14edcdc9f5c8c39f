"""What the budget slider knows of a setting beforehand: some come with the app, as small files.

A response takes minutes to build and megabytes to keep. The budget's programs read two sums of
squares of it, which are a few kilobytes; and of forecasts, whose best steps are searched for by
running them, what came out of the search.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caching.errors import RequestError
from caching.policies.forecast import ORDERS, Steps
from caching.predict.kept import For

SHIPPED = Path(__file__).resolve().parents[2] / "presets" / "fronts"
VERSION = 1
MAX_BYTES = 8 * 2**20


@dataclass(frozen=True, eq=False)
class KnownFront:
    """Of one setting.

    Attributes:
        of: the setting.
        error: float64 (S, L, R, A), as of a `Response`.
        span_error: float64 (S, S + 1), likewise.
        steps: whole steps with forecasts between, one for each number of them that it knows,
            measured or, with 0 pictures, as the response has it.
        source: how it was made, where and when, in words.
    """

    of: For
    error: NDArray[np.float64]
    span_error: NDArray[np.float64]
    steps: tuple[Steps, ...]
    source: str

    def to_bytes(self) -> bytes:
        """An .npz file of plain arrays."""
        words = {
            "front": VERSION,
            **asdict(self.of),
            "source": self.source,
            "steps_found": [asdict(one) for one in self.steps],
        }
        unit = float(self.error.max()) or 1.0
        file = io.BytesIO()
        np.savez_compressed(
            file,
            # Roots, as half precision reaches twice as far down with them.
            root=np.sqrt(self.error / unit).astype(np.float16),
            unit=np.array(unit),
            spans=self.span_error.astype(np.float32),
            words=np.frombuffer(json.dumps(words).encode(), np.uint8),
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> KnownFront:
        """What `to_bytes` gave; RequestError for anything else."""
        if len(data) > MAX_BYTES:
            raise RequestError(f"a front of {len(data)} bytes: expected {MAX_BYTES} at most.")
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                words = json.loads(file["words"].tobytes().decode())
                if words["front"] != VERSION:
                    raise ValueError(f"it is of version {words['front']!r:.20}")
                of = For(
                    str(words["weights_hash"]),
                    int(words["steps"]),
                    float(words["cfg_scale"]),
                    str(words["sampler"]),
                )
                error = file["root"].astype(np.float64) ** 2 * float(file["unit"])
                spans = file["spans"].astype(np.float64)
                if error.ndim != 4 or not np.isfinite(error).all():
                    raise ValueError(f"its errors are of shape {error.shape}, or not finite")
                if len(error) != of.steps or spans.shape != (of.steps, of.steps + 1):
                    raise ValueError("its tables are of other steps than it says")
                found = tuple(_steps(one, of.steps) for one in words["steps_found"])
                return cls(of, error, spans, found, str(words["source"]))
        except (EOFError, OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise RequestError(
                f"this is no front of the budget slider ({error}); expected what "
                "`python -m presets.fronts` writes."
            ) from error


def _steps(given: Any, steps: int) -> Steps:
    computed = tuple(int(s) for s in given["computed"])
    order, db, pictures = int(given["order"]), float(given["db"]), int(given["pictures"])
    rising = all(a < b for a, b in pairwise(computed))
    if not computed or computed[0] or not rising or computed[-1] >= steps or order not in ORDERS:
        raise ValueError(f"steps {computed!r:.60}, order {order}: expected 0 first, rising")
    if not np.isfinite(db) or pictures < 0:
        raise ValueError(f"{db} dB on {pictures} pictures: expected numbers, 0 or more pictures")
    return Steps(computed, order, db, pictures)


@cache
def _all(folder: Path) -> tuple[KnownFront, ...]:
    return tuple(KnownFront.from_bytes(p.read_bytes()) for p in sorted(folder.glob("*.npz")))


def known_front(of: For, folder: Path = SHIPPED) -> KnownFront | None:
    """The shipped front of a setting, None where there is none."""
    return next((one for one in _all(folder) if one.of == of), None)
