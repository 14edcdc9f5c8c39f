"""An evaluation as a table: closeness to the data and closeness to the full run, kept apart.

Needs no torch, so a page can show a recorded one before any model is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from caching.errors import RequestError
from caching.formats.bounded import read_json
from caching.study.bootstrap import Interval

VERSION = 1
MAX_ROWS = 64
MAX_TEXT = 2000
SHARES = ("agreement", "precision", "recall")
RECORDED = Path(__file__).resolve().parents[2] / "presets" / "quality" / "cases.json"

# Closeness to the data. name: (what people read, more is better, format)
QUALITY: Mapping[str, tuple[str, bool, str]] = {
    "agreement": ("class agreement", True, ".1%"),
    "frechet": ("Fréchet distance", False, ".3f"),
    "kernel": ("kernel distance", False, ".5f"),
    "precision": ("precision", True, ".3f"),
    "recall": ("recall", True, ".3f"),
    "spatial_frechet": ("sFID", False, ".2f"),
    "inception_score": ("Inception Score", True, ".2f"),
}
# Closeness to the full run's picture of the same noise.
CLOSENESS: Mapping[str, tuple[str, bool, str]] = {
    "psnr_db": ("PSNR dB", True, ".2f"),
    "ssim": ("SSIM", True, ".4f"),
    "latent_rel_l2": ("latent error", False, ".4f"),
    "lpips": ("LPIPS", False, ".4f"),
}


@dataclass(frozen=True)
class Row:
    """One arm.

    Attributes:
        words: for people.
        work: share of the full run's multiply-accumulates, mean.
        quality: name -> measure against the data, with the ends of its 95 % interval.
        change: name -> this arm's less the full model's, on the same noises; empty for the full
            model itself.
        closeness: name -> mean against the full run's pictures, likewise empty.
    """

    words: str
    work: float
    quality: Mapping[str, Interval]
    change: Mapping[str, Interval] = field(default_factory=dict)
    closeness: Mapping[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """A table.

    Attributes:
        model, steps, cfg_scale, sampler, first_seed: of the runs.
        samples: pictures of each arm.
        reference: what they were judged against, in words.
        net: what judged.
        rows: the full model first.
        setting, command, date: where, how and when, for a record; empty while it is live.
    """

    model: str
    steps: int
    cfg_scale: float
    sampler: str
    first_seed: int
    samples: int
    reference: str
    net: str
    rows: tuple[Row, ...]
    setting: str = ""
    command: str = ""
    date: str = ""


def names_in(rows: Sequence[Row], kind: Literal["quality", "closeness"]) -> list[str]:
    """The measures that some row has, in the order of the tables above."""
    known = QUALITY if kind == "quality" else CLOSENESS
    return [name for name in known if any(name in getattr(row, kind) for row in rows)]


def to_json(report: Report) -> dict[str, Any]:
    """A report as plain values, rounded to six digits, more than any of it is known to."""
    plain: dict[str, Any] = _rounded({"cachebrush_quality": VERSION, **asdict(report)})
    return plain


def save_report(report: Report, path: Path) -> None:
    """Writes it with one measure per line, so that a change of one shows as such."""
    text = to_json(report)
    rows = text.pop("rows")
    lines = [f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in text.items()]
    lines.append('"rows": [\n' + ",\n".join(_row_text(row) for row in rows) + "\n]")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _row_text(row: Mapping[str, Any]) -> str:
    inside = ",\n ".join(
        f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in row.items()
    )
    return "{" + inside + "}"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list | tuple) else value


def load_report(path: Path = RECORDED) -> Report:
    """Reads what `save_report` wrote; nothing in it is believed before it is checked.

    Raises:
        RequestError: it is no such file.
    """
    try:
        value = read_json(path)
        if not isinstance(value, dict) or value.pop("cachebrush_quality", None) != VERSION:
            raise ValueError(f"it is no file of kind cachebrush_quality, version {VERSION}")
        rows = value.pop("rows")
        if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_ROWS:
            raise ValueError(f"rows is no list of 1 to {MAX_ROWS}")
        for field_ in fields(Report):
            if field_.name != "rows":
                _check(field_.name, value[field_.name], str(field_.type))
        return Report(**value, rows=tuple(map(_row, rows)))
    except (ValueError, TypeError, LookupError) as error:
        raise RequestError(f"{path} cannot be read as an evaluation: {error}.") from error


def _check(name: str, value: Any, kind: str) -> None:
    kinds: dict[str, Any] = {"str": str, "int": int, "float": int | float}
    if not isinstance(value, kinds[kind]) or isinstance(value, bool):
        raise ValueError(f"{name} is {value!r:.40}, expected a {kind}")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise ValueError(f"{name} has more than {MAX_TEXT} letters")


def _row(value: Any) -> Row:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r:.40} is no row")
    _check("words", value["words"], "str")
    _check("work", value["work"], "float")
    return Row(
        value["words"],
        float(value["work"]),
        _intervals(value["quality"], QUALITY),
        _intervals(value["change"], QUALITY),
        _intervals(value["closeness"], CLOSENESS),
    )


def _intervals(value: Any, known: Mapping[str, Any]) -> dict[str, Interval]:
    if not isinstance(value, dict) or set(value) - set(known):
        raise ValueError(f"{value!r:.40} are no known measures")
    found = {}
    for name, ends in value.items():
        if not isinstance(ends, list) or len(ends) != 3:
            raise ValueError(f"{name} is no value with a low and a high end")
        for end in ends:
            _check(name, end, "float")
        found[name] = Interval(*map(float, ends))
        if not found[name].low <= found[name].mean <= found[name].high:
            raise ValueError(f"{name} lies outside its interval")
    return found
