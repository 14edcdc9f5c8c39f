"""What was learned for one model and number of steps, as two files: JSON and plain arrays."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from caching.errors import RequestError

VERSION = 1
MAX_TEXT_BYTES = 4 * 2**20
MAX_ARRAY_BYTES = 256 * 2**20
SHIPPED = Path(__file__).resolve().parents[2] / "presets" / "learned"

BROKEN = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    RecursionError,
    MemoryError,
    NotImplementedError,  # of zipfile, for packings it does not know
    zipfile.BadZipFile,
    zlib.error,
)
TEXTS = ("method", "model", "weights_hash", "sampler", "data", "command", "setting")
KINDS: dict[str, type] = {
    **dict.fromkeys(TEXTS, str),
    **dict.fromkeys(("steps", "seed", "iterations"), int),
    "options": dict,
    "curve": dict,
}


@dataclass(frozen=True, eq=False)
class Learned:
    """The outcome of one training.

    Attributes:
        method: name of the method it is for.
        model, weights_hash: what it was trained for.
        steps, cfg_scale, sampler: of the runs it was trained for (guidance 1: without).
        data: where the training's pictures come from, in words.
        command: what was called, to do it again.
        seed, iterations, seconds: of the training.
        setting: device, threads and dtype.
        options: hyperparameters by the paper's names.
        curve: name -> values over the training, all as long as curve["iteration"].
        values: name -> array, what the method reads.
    """

    method: str
    model: str
    weights_hash: str
    steps: int
    cfg_scale: float
    sampler: str
    data: str
    command: str
    seed: int
    iterations: int
    seconds: float
    setting: str
    options: Mapping[str, Any] = field(default_factory=dict)
    curve: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    values: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Where it is from and how much went into it, in words: some trainings were longer."""
        of = "".join(
            words.format(self.options[name])
            for name, words in (("batch", " of {} pictures"), ("rate", " at a rate of {:g}"))
            if isinstance(self.options.get(name), int | float)
        )
        return (
            f"trained for {self.model} at {self.steps} steps: {self.iterations} iterations{of} on "
            f"{self.data}, seed {self.seed}"
        )


def save_learned(learned: Learned, folder: Path) -> Path:
    """Write `<method>-<steps>.json` and `.npz` into a folder; returns the path of the JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    text = {"cachebrush_learned": VERSION, **asdict(learned)}
    del text["values"]
    target = folder / f"{learned.method}-{learned.steps}.json"
    arrays: Any = dict(learned.values)
    np.savez_compressed(target.with_suffix(".npz"), **arrays)
    target.write_text(json.dumps(text, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return target


def load_learned(path: Path) -> Learned:
    """Read what `save_learned` wrote.

    Raises:
        RequestError: the files are missing, too large, damaged or of another kind.
    """
    if not path.name:
        raise RequestError(f"{str(path)!r} was given, expected the .json of what was learned.")
    arrays = path.with_suffix(".npz")
    for one, most in ((path, MAX_TEXT_BYTES), (arrays, MAX_ARRAY_BYTES)):
        if not one.is_file():
            raise RequestError(f"{one} is missing, expected a .json and a .npz side by side.")
        if one.stat().st_size > most:
            raise RequestError(f"{one} has more than {most} bytes, expected a trained router.")
    try:
        text = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(text, dict) or text.pop("cachebrush_learned", None) != VERSION:
            raise ValueError(f"it is no file of kind cachebrush_learned, version {VERSION}")
        _check_fields(text)
        with arrays.open("rb") as file, zipfile.ZipFile(file) as archive:
            # Packed zeros are small: what counts is what they unpack to.
            size = sum(item.file_size for item in archive.infolist())
        if size > MAX_ARRAY_BYTES:
            raise ValueError(f"its arrays unpack to {size} bytes, more than {MAX_ARRAY_BYTES}")
        with arrays.open("rb") as file, np.load(file, allow_pickle=False) as found:
            values = {name: found[name] for name in found.files}
        if not all(np.isfinite(v).all() for v in values.values()):
            raise ValueError("an array holds numbers that are not finite")
        curve = {name: tuple(map(float, v)) for name, v in text.pop("curve").items()}
        return Learned(**text, curve=curve, values=values)
    except BROKEN as error:
        raise RequestError(f"{path} cannot be read as what was learned: {error}.") from error


def _check_fields(text: Mapping[str, Any]) -> None:
    for name, kind in KINDS.items():
        value = text[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{name} is {value!r:.40}, expected a {kind.__name__}")


def shipped(folder: Path = SHIPPED) -> Iterator[Learned]:
    """Everything learned that ships with the project."""
    for path in sorted(folder.glob("*.json")):
        yield load_learned(path)
