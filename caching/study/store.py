"""The recorded study: one row per method and target, checked when read. Needs no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from caching.errors import RequestError, ScheduleError
from caching.formats.bounded import read_json
from caching.study.bootstrap import Interval

VERSION = 1
SHIPPED = Path(__file__).resolve().parents[2] / "presets" / "studies" / "scenes-dit-20.json"
MAX_ROWS = 2000
MAX_TEXT = 1000


@dataclass(frozen=True)
class Row:
    """One method, or rival, at one target. Every interval is a mean over the judged pictures with
    the ends of its 95 % interval.

    Attributes:
        method, controls, words: which, with which values of its controls.
        faithfulness: the method's mark; "rival" for what methods are measured against.
        target: the speed-up in MACs asked for; None for rows of the plain curve.
        speedup: in MACs, mean work over the judged pictures.
        least_speedup, most_speedup: of single pictures; they differ where a policy decides.
        matched: whether the speed-up lies within the tolerance of the target.
        decided: whether a policy decided, one picture at a time.
        steps: of its runs.
        ms, ms_speedup: median of whole runs of one picture, and of the ratios to the full runs
            beside them; None where it was not timed.
        psnr_db, ssim, latent_rel_l2: against the full run of the same label and seed.
        agrees, same: share of pictures whose class is the one asked for, and the full run's; None
            without a classifier.
        rival_steps: the most plain steps that cost no more than this row.
        gain_db: PSNR over that of the rival, picture by picture; None for the rival itself.
        notes: what the plan said.
    """

    method: str
    controls: Mapping[str, Any]
    words: str
    faithfulness: str
    target: float | None
    speedup: float
    least_speedup: float
    most_speedup: float
    matched: bool
    decided: bool
    steps: int
    ms: float | None
    ms_speedup: float | None
    psnr_db: Interval
    ssim: Interval
    latent_rel_l2: Interval
    agrees: Interval | None
    same: Interval | None
    rival_steps: int
    gain_db: Interval | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Missing:
    """A method that has no row at a target (None: at any), the speed-up nearest to it, and why."""

    method: str
    target: float | None
    nearest: float | None
    why: str


@dataclass(frozen=True)
class Study:
    """Every method at the same work.

    Attributes:
        model, weights_hash, steps, cfg_scale, sampler: of the runs.
        pictures, first_seed: judged; picture i has seed first_seed + i, label i modulo classes.
        targets: speed-ups in MACs.
        command: what made it.
        setting: machine, threads and dtype of the times, empty where nothing was timed.
        date: when it was written, ISO.
        full_ms: median of the full run, one picture; None where nothing was timed.
        rows: by target, then by PSNR from the best down.
        plain: fewer plain steps without any caching, from few to all.
        missing: what has no row, and why.
    """

    model: str
    weights_hash: str
    steps: int
    cfg_scale: float
    sampler: str
    pictures: int
    first_seed: int
    targets: tuple[float, ...]
    command: str
    setting: str
    date: str
    full_ms: float | None
    rows: tuple[Row, ...]
    plain: tuple[Row, ...]
    missing: tuple[Missing, ...]

    def group(self, target: float) -> tuple[Row, ...]:
        """The rows of one target, best PSNR first."""
        return tuple(row for row in self.rows if row.target == target)


def save_study(study: Study, path: Path) -> None:
    """Writes it with one row per line, so that a change of one row shows as such."""
    text = {"cachebrush_study": VERSION, **asdict(study)}
    lists = {name: text.pop(name) for name in ("rows", "plain", "missing")}
    lines = [f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in text.items()]
    for name, items in lists.items():
        inside = ",\n".join(json.dumps(_rounded(x), ensure_ascii=False) for x in items)
        lines.append(f"{json.dumps(name)}: [\n{inside}\n]")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    """Six digits, which is more than any of it is known to."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        # Controls stay to the last digit: the same row has to come out of them again.
        return {k: v if k == "controls" else _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list | tuple) else value


def load_study(path: Path = SHIPPED) -> Study:
    """Reads what `save_study` wrote; nothing in it is believed before it is checked.

    Raises:
        RequestError: not there, or not a study; the message says what is wrong.
    """
    try:
        text = read_json(path)
        if not isinstance(text, dict) or text.get("cachebrush_study") != VERSION:
            raise ValueError(f"expected a file of kind cachebrush_study, version {VERSION}")
        return _study(text)
    except (ScheduleError, ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{path} cannot be read as a study: {error}.") from error


def _study(text: Mapping[str, Any]) -> Study:
    return Study(
        model=_text(text["model"]),
        weights_hash=_text(text["weights_hash"]),
        steps=_whole(text["steps"], 1, 1000),
        cfg_scale=_number(text["cfg_scale"], 0, 100),
        sampler=_text(text["sampler"]),
        pictures=_whole(text["pictures"], 1, 10**6),
        first_seed=_whole(text["first_seed"], 0, 10**15),
        targets=tuple(_number(t, 0, 1000) for t in _list(text["targets"])),
        command=_text(text["command"]),
        setting=_text(text["setting"]),
        date=_text(text["date"]),
        full_ms=_maybe(text["full_ms"]),
        rows=tuple(map(_row, _list(text["rows"]))),
        plain=tuple(map(_row, _list(text["plain"]))),
        missing=tuple(map(_missing, _list(text["missing"]))),
    )


def _row(value: Mapping[str, Any]) -> Row:
    controls = value["controls"]
    if not isinstance(controls, dict) or len(controls) > 32:
        raise ValueError("a row's controls are no object of at most 32 values")
    for name, one in controls.items():
        if len(name) > 60 or not isinstance(one, int | float | str) or len(str(one)) > 200:
            raise ValueError(f"control {name[:60]!r} is no number and no word")
    return Row(
        method=_text(value["method"]),
        controls=dict(controls),
        words=_text(value["words"]),
        faithfulness=_text(value["faithfulness"]),
        target=_maybe(value["target"]),
        speedup=_number(value["speedup"], 0, 1e6),
        least_speedup=_number(value["least_speedup"], 0, 1e6),
        most_speedup=_number(value["most_speedup"], 0, 1e6),
        matched=_flag(value["matched"]),
        decided=_flag(value["decided"]),
        steps=_whole(value["steps"], 1, 1000),
        ms=_maybe(value["ms"]),
        ms_speedup=_maybe(value["ms_speedup"]),
        psnr_db=_interval(value["psnr_db"]),
        ssim=_interval(value["ssim"]),
        latent_rel_l2=_interval(value["latent_rel_l2"]),
        agrees=_maybe_interval(value["agrees"]),
        same=_maybe_interval(value["same"]),
        rival_steps=_whole(value["rival_steps"], 1, 1000),
        gain_db=_maybe_interval(value["gain_db"]),
        notes=tuple(map(_text, _list(value["notes"]))),
    )


def _missing(value: Mapping[str, Any]) -> Missing:
    return Missing(
        _text(value["method"]), _maybe(value["target"]), _maybe(value["nearest"]),
        _text(value["why"]),
    )  # fmt: skip


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError(f"{value!r:.40} is no text of at most {MAX_TEXT} letters")
    return value


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list) or len(value) > MAX_ROWS:
        raise ValueError(f"{value!r:.40} is no list of at most {MAX_ROWS} things")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r:.40} is neither true nor false")
    return value


def _number(value: Any, least: float = -1e6, most: float = 1e9) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r:.40} is no number")
    if not math.isfinite(value) or not least <= value <= most:
        raise ValueError(f"{value!r:.40} is not from {least:g} to {most:g}")
    return float(value)


def _whole(value: Any, least: int, most: int) -> int:
    number = _number(value, least, most)
    if number != int(number):
        raise ValueError(f"{value!r:.40} is no whole number")
    return int(number)


def _maybe(value: Any) -> float | None:
    return None if value is None else _number(value, 0)


def _interval(value: Any) -> Interval:
    found = Interval(*map(_number, _list(value)))
    if not found.low <= found.high:
        raise ValueError(f"{value!r:.60} is no mean with a low and a high end")
    return found


def _maybe_interval(value: Any) -> Interval | None:
    return None if value is None else _interval(value)
