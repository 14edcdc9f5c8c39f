"""An evaluation on disk: one file of plain arrays that a stopped evaluation goes on from."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from caching.errors import RequestError
from caching.learn.store import BROKEN
from caching.quality.judged import ARRAYS, FULL, VERSION, Conditions, Judged

MAX_BYTES = 2 * 2**30
MAX_ABOUT = 2**20
MAX_PICTURES = 100_000
MAX_ARMS = 64
ABOUT = "about"


@dataclass(frozen=True, eq=False)
class Saved:
    """A file's content.

    Attributes:
        conditions: of all runs in it.
        arms: key -> words of every arm beside the full model, in order.
        judged: key -> its pictures, FULL among them; all of one length.
    """

    conditions: Conditions
    arms: Mapping[str, str]
    judged: Mapping[str, Judged]

    def __len__(self) -> int:
        return len(self.judged[FULL])


def save(saved: Saved, path: Path) -> None:
    """Writes it beside the old file first: a kill never leaves half of one."""
    about = {
        "cachebrush_evaluation": VERSION,
        "conditions": asdict(saved.conditions),
        "arms": dict(saved.arms),
    }
    arrays: dict[str, Any] = {ABOUT: np.frombuffer(json.dumps(about).encode(), np.uint8)}
    for key, judged in saved.judged.items():
        arrays |= {f"{key}.{name}": values for name, values in judged.arrays.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            np.savez(file, **arrays)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load(path: Path) -> Saved:
    """Reads what `save` wrote; nothing in it is believed before it is checked.

    Raises:
        RequestError: the file is missing, too large, damaged or of another kind.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            # Packed zeros are small: what counts is what they unpack to.
            size = sum(item.file_size for item in archive.infolist())
        if size > MAX_BYTES:
            raise ValueError(f"it unpacks to {size} bytes, more than {MAX_BYTES}")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        return _saved(arrays)
    except BROKEN as error:
        raise RequestError(
            f"{path} cannot be read as an evaluation ({error}): expected a file that "
            "`python -m caching evaluate --out` wrote; give another name to begin anew."
        ) from error


def _saved(arrays: dict[str, np.ndarray]) -> Saved:
    about = arrays.pop(ABOUT)
    if about.dtype != np.uint8 or about.ndim != 1 or about.size > MAX_ABOUT:
        raise ValueError("its description is no text")
    text = json.loads(about.tobytes())
    if not isinstance(text, dict) or text.get("cachebrush_evaluation") != VERSION:
        raise ValueError(f"it is no file of kind cachebrush_evaluation, version {VERSION}")
    conditions, arms = _conditions(text["conditions"]), text["arms"]
    if not isinstance(arms, dict) or len(arms) > MAX_ARMS or FULL in arms:
        raise ValueError("its arms are not named by their keys")
    for key, words in arms.items():
        if not isinstance(words, str) or len(words) > 2000 or not key.isalnum():
            raise ValueError("an arm has no words")
    judged = {key: _judged(key, arrays) for key in (FULL, *arms)}
    if arrays:
        raise ValueError(f"{min(arrays)[:60]!r} belongs to no arm")
    counts = {len(one) for one in judged.values()}
    if len(counts) != 1 or not max(counts) <= MAX_PICTURES:
        raise ValueError("its arms have different numbers of pictures")
    return Saved(conditions, arms, judged)


def _conditions(value: Mapping[str, Any]) -> Conditions:
    kinds: dict[str, type | tuple[type, ...]] = {
        "str": str, "int": int, "bool": bool, "float": (int, float),
    }  # fmt: skip
    for field in fields(Conditions):
        one = value[field.name]
        kind = kinds[str(field.type)]
        if not isinstance(one, kind) or (kind is not bool and isinstance(one, bool)):
            raise ValueError(f"{field.name} is {one!r:.40}, expected a {field.type}")
        if isinstance(one, str) and len(one) > 300:
            raise ValueError(f"{field.name} is too long")
    return Conditions(**value)


def _judged(key: str, arrays: dict[str, np.ndarray]) -> Judged:
    """The arrays of one arm, taken out of the file's."""
    found: dict[str, np.ndarray] = {}
    for name, (dtype, dimensions) in ARRAYS.items():
        values = arrays.pop(f"{key}.{name}", None)
        if values is None:
            continue
        if values.dtype != np.dtype(dtype) or values.ndim != dimensions:
            raise ValueError(f"{name} of {key} is no {dtype} array of {dimensions} dimensions")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} of {key} holds numbers that are not finite")
        found[name] = values
    if {"features", "work"} - set(found):
        raise ValueError(f"{key} has no features")
    if len({len(values) for values in found.values()}) != 1:
        raise ValueError(f"the arrays of {key} have different lengths")
    if not (found["work"] > 0).all():
        raise ValueError(f"work of {key} is not above 0")
    return Judged(found)
