"""A finished calibration of predictions, kept as one file of plain arrays; some ship with us.

What a model answers to schedules depends on its weights, the number of steps, guidance and sampler,
so each file is for one of these settings.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, astuple, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from caching.errors import RequestError, ScheduleError
from caching.predict.evidence import signal
from caching.predict.fit import Estimate, Estimator, inverse_of, predict_error
from caching.predict.response import Response
from caching.predict.widths import Judged, Width
from caching.schedule import Schedule

SHIPPED = Path(__file__).resolve().parents[2] / "presets" / "predictions"
VERSION = 4
MAX_BYTES = 64 * 2**20
ARRAYS = ("center", "spread", "known", "bends", "slopes")
NUMBERS = ("level_db", "length", "median_db", "spearman", "runs")
MOST_WIDTH = 1e6


@dataclass(frozen=True)
class For:
    """What a prediction is for."""

    weights_hash: str
    steps: int
    cfg_scale: float
    sampler: str


@dataclass(frozen=True, eq=False)
class Kept:
    """Response and estimator of one setting.

    Attributes:
        of: the setting.
        source: how it was made, where and when, in words.
        judged: what its intervals were set by, None where its own runs set them.
    """

    of: For
    response: Response
    estimator: Estimator
    source: str
    judged: Judged | None = None

    def predict(self, schedule: Schedule) -> Estimate:
        """PSNR against the full run to expect, in the mean over pictures.

        Raises:
            ScheduleError: the schedule is of another shape.
        """
        return predict_error(schedule, self.response, self.estimator)

    def to_bytes(self) -> bytes:
        """An .npz file of plain arrays."""
        e = self.estimator
        numbers = {name: getattr(e, name) for name in NUMBERS} | {"width": asdict(e.width)}
        words = {"kept": VERSION, **asdict(self.of), "source": self.source, "estimator": numbers}
        arrays: dict[str, Any] = {name: getattr(e, name) for name in ARRAYS}
        # The inverse follows from these, and is larger than all the rest.
        covered = np.linalg.inv(e.inverse) - signal(e.known, e.length)
        arrays["noise"] = np.diag(covered)
        if self.judged is not None:
            arrays["judged_db"] = self.judged.psnr_db.astype(np.float32)
            arrays["judged_groups"] = self.judged.groups.astype(np.int32)
        arrays["words"] = np.frombuffer(json.dumps(words).encode(), np.uint8)
        arrays["response"] = np.frombuffer(self.response.to_bytes(), np.uint8)
        file = io.BytesIO()
        np.savez_compressed(file, **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Kept:
        """What `to_bytes` gave; RequestError for anything else."""
        if len(data) > MAX_BYTES:
            raise RequestError(f"a kept prediction of {len(data)} bytes: expected {MAX_BYTES}.")
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                words = json.loads(file["words"].tobytes().decode())
                if words["kept"] != VERSION:
                    raise ValueError(f"it is of version {words['kept']!r:.20}")
                numbers = {name: float(words["estimator"][name]) for name in NUMBERS}
                arrays = {name: file[name] for name in (*ARRAYS, "noise")}
                if not all(np.isfinite(a).all() for a in arrays.values()):
                    raise ValueError("it holds numbers that are not finite")
                noise = arrays.pop("noise")
                if noise.shape != (len(arrays["known"]),) or not (noise > 0).all():
                    raise ValueError("it holds no noise for every run")
                arrays["inverse"] = inverse_of(arrays["known"], numbers["length"], noise)
                runs = int(numbers.pop("runs"))
                fields: dict[str, Any] = {**arrays, **numbers, "runs": runs}
                estimator = Estimator(**fields, width=_width(words["estimator"]["width"]))
                of = For(
                    str(words["weights_hash"]),
                    int(words["steps"]),
                    float(words["cfg_scale"]),
                    str(words["sampler"]),
                )
                response = Response.from_bytes(file["response"].tobytes())
                judged = None
                if "judged_db" in file:
                    judged = Judged(file["judged_db"].astype(np.float64), file["judged_groups"])
                return cls(of, response, estimator, str(words["source"]), judged)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            if isinstance(error, ScheduleError):
                raise RequestError(f"a kept prediction cannot be read: {error}") from error
            raise RequestError(
                f"this is no kept prediction ({error}); expected what `python -m presets.predict` "
                "writes."
            ) from error


def _width(said: dict[str, Any]) -> Width:
    plain, forecast, floor_db = (float(said[name]) for name in ("plain", "forecast", "floor_db"))
    found = Width(plain, forecast, floor_db, int(said["pictures"]))
    if not all(0 < number < MOST_WIDTH for number in astuple(found)):
        raise ValueError("its intervals have no width")
    return found


@cache
def shipped(of: For, folder: Path = SHIPPED) -> Kept | None:
    """The shipped prediction for a setting, None where there is none."""
    for path in sorted(folder.glob("*.npz")):
        kept = Kept.from_bytes(path.read_bytes())
        if kept.of == of:
            return kept
    return None
