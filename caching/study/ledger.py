"""What a study has done so far, as lines of JSON that are only ever added to."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from caching.errors import RequestError

VERSION = 1
MAX_LINE = 200_000
MAX_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Conditions:
    """Everything the judged numbers depend on besides method and controls.

    Attributes:
        model, weights_hash: what ran.
        steps, cfg_scale, sampler: of the full run.
        seeds: of the judged pictures; picture i has label i modulo the number of classes.
        tuning_seeds: of the pictures that policies are tuned on, none of the judged ones.
        dtype: of the model.
    """

    model: str
    weights_hash: str
    steps: int
    cfg_scale: float
    sampler: str
    seeds: tuple[int, ...]
    tuning_seeds: tuple[int, ...]
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if both := set(self.seeds) & set(self.tuning_seeds):
            raise RequestError(
                f"seed {min(both)} is to be judged and tuned on; give other seeds to one of them."
            )

    @property
    def key(self) -> str:
        """16 hex digits that stand for all of it."""
        text = json.dumps([VERSION, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Scores:
    """One contender over the judged pictures, each (N,); agreement is empty without a classifier.

    Attributes:
        steps: of its runs.
        decided: whether a policy decided, one picture at a time.
        work: share of the full run's multiply-accumulates.
        psnr_db, ssim, latent_rel_l2: against the full run of the same label and seed.
        agrees: 1.0 where the classifier sees the class asked for.
        same: 1.0 where it sees what it sees in the full run's picture.
    """

    steps: int
    decided: bool
    work: tuple[float, ...]
    psnr_db: tuple[float, ...]
    ssim: tuple[float, ...]
    latent_rel_l2: tuple[float, ...]
    agrees: tuple[float, ...] = ()
    same: tuple[float, ...] = ()


@dataclass(frozen=True)
class Timed:
    """Milliseconds of whole runs of one picture, this and the full one in turn, on a machine."""

    setting: str
    ms: tuple[float, ...]
    full_ms: tuple[float, ...]


@dataclass(frozen=True)
class Chosen:
    """What tuning found for a method and a target.

    Attributes:
        controls: of the rung, None where nothing could be planned.
        words: of it, for people.
        speedup: in MACs when tuned, None likewise.
        why: it is not judged: it misses the target, or cannot be planned; empty when it is.
        notes: what the plan said.
    """

    controls: Mapping[str, Any] | None
    words: str
    speedup: float | None
    why: str = ""
    notes: tuple[str, ...] = ()


@dataclass
class Ledger:
    """Reads what earlier studies left in a folder, and adds to it.

    Several processes may share one: each adds whole lines, and `catch_up` reads those of others.
    Lines that cannot be read, such as one cut off by a kill, are left out and counted.
    """

    folder: Path
    conditions: Conditions
    judged: dict[tuple[str, str], Scores] = field(default_factory=dict)
    timed: dict[tuple[str, str], Timed] = field(default_factory=dict)
    chosen: dict[tuple[str, float], Chosen] = field(default_factory=dict)
    unread: int = 0
    _read_to: int = 0

    def __post_init__(self) -> None:
        self.catch_up()

    @property
    def path(self) -> Path:
        return self.folder / f"study-{self.conditions.key}.jsonl"

    def catch_up(self) -> None:
        """Reads what has been added since the last time, up to the last whole line."""
        if not self.path.is_file():
            return
        if self.path.stat().st_size > MAX_BYTES:
            raise RequestError(f"{self.path} has more than {MAX_BYTES} bytes, expected a ledger.")
        with self.path.open("rb") as file:
            file.seek(self._read_to)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for line in whole.split(b"\n"):
            if line.strip():
                self._read(line)

    def judge(self, key: tuple[str, str], scores: Scores) -> None:
        self._add("judged", list(key), asdict(scores))

    def time(self, key: tuple[str, str], timed: Timed) -> None:
        self._add("timed", list(key), asdict(timed))

    def choose(self, method: str, target: float, chosen: Chosen) -> None:
        self._add("chosen", [method, target], asdict(chosen))

    def again(self, method: str) -> None:
        """Forgets what is known of a method, or rival."""
        self._add("again", [method], {})

    def _add(self, kind: str, key: list[Any], value: Mapping[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        line = json.dumps([kind, key, value], ensure_ascii=False, allow_nan=False)
        # One call, so that lines of several processes do not mix; it ends a line that was cut off.
        with self.path.open("ab", buffering=0) as file:
            file.write((b"\n" if self._cut_off() else b"") + line.encode() + b"\n")
        self.catch_up()

    def _cut_off(self) -> bool:
        """Whether the last line was never finished; the next one must not stick to it."""
        if not self.path.stat().st_size:
            return False
        with self.path.open("rb") as file:
            file.seek(-1, 2)
            return file.read(1) != b"\n"

    def _forget(self, method: str) -> None:
        self.judged = {k: v for k, v in self.judged.items() if k[0] != method}
        self.timed = {k: v for k, v in self.timed.items() if k[0] != method}
        self.chosen = {k: v for k, v in self.chosen.items() if k[0] != method}

    def _read(self, line: bytes) -> None:
        try:
            if len(line) > MAX_LINE:
                raise ValueError("too long")
            kind, key, value = json.loads(line)
            if kind == "again":
                (method,) = key
                self._forget(str(method))
            elif kind == "judged":
                method, controls = _text(key[0]), _text(key[1])
                self.judged[method, controls] = _scores(value, len(self.conditions.seeds))
            elif kind == "timed":
                method, controls = _text(key[0]), _text(key[1])
                ms, full_ms = _numbers(value["ms"]), _numbers(value["full_ms"])
                if not ms or len(ms) != len(full_ms):
                    raise ValueError("times without a pair")
                self.timed[method, controls] = Timed(_text(value["setting"]), ms, full_ms)
            elif kind == "chosen":
                method, (target,) = _text(key[0]), _numbers(key[1:])
                self.chosen[method, target] = _chosen(value)
            else:
                raise ValueError("unknown kind")
        except (ValueError, TypeError, LookupError, RecursionError):
            self.unread += 1


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 2000:
        raise ValueError("expected a text")
    return value


def _numbers(values: Sequence[Any], count: int | None = None) -> tuple[float, ...]:
    found = tuple(float(v) for v in values if not isinstance(v, str | bool))
    if len(found) != (len(values) if count is None else count) or not all(
        map(math.isfinite, found)
    ):
        raise ValueError("expected finite numbers")
    return found


def _scores(value: Mapping[str, Any], count: int) -> Scores:
    whole = ("work", "psnr_db", "ssim", "latent_rel_l2")
    read = {name: _numbers(value[name], count) for name in whole}
    read |= {
        name: _numbers(value[name], count) if value[name] else () for name in ("agrees", "same")
    }
    if not all(w > 0 for w in read["work"]):
        raise ValueError("expected work above 0")
    return Scores(steps=int(value["steps"]), decided=bool(value["decided"]), **read)


def _chosen(value: Mapping[str, Any]) -> Chosen:
    controls, speedup = value["controls"], value["speedup"]
    if controls is not None and not isinstance(controls, dict):
        raise ValueError("expected controls by name")
    return Chosen(
        controls,
        _text(value["words"]),
        None if speedup is None else _numbers([speedup])[0],
        _text(value["why"]),
        tuple(map(_text, value["notes"])),
    )
