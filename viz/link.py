"""A page's state as a short text for its address: the wishes, and a method's name or the grid.

Anybody can write an address, so everything read from one is checked, and bounded before it is
unpacked. A method takes a few dozen characters; a grid is packed to the bits its brushes need.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from caching import actions, predictors
from caching.checks import MAX_BLOCKS, MAX_BRANCHES, MAX_LEGEND, MAX_STEPS
from caching.errors import RequestError
from caching.methods import Method, method_of
from caching.methods.base import settings_of
from caching.schedule import BRANCHES, Schedule
from viz.grid.ops import Runs
from viz.locks import mask_of, runs_of
from viz.place import STUDIO, Place, take_place, to_words
from viz.state import Settings

VERSION = "1"
MAX_CHARS = 16_384
MAX_BYTES = 256 * 1024  # unpacked: a grid of 1,000 steps, and room for any legend
MAX_NAME = 200
DEFAULTS = {"sampler": "ddim", "cfg_scale": 2.0, "seed": 0, "label": 0}
SHORT = {"label": "l", "seed": "s", "cfg_scale": "g", "sampler": "p"}


@dataclass(frozen=True)
class Link:
    """What an address says.

    Attributes:
        model: its name, which is never loaded without being asked for.
        settings: class, seed, guidance and sampler.
        steps: S.
        made: a method with its controls, or the grid itself.
        locks: the locked cells of the grid; with a method there are none.
        place: view, lesson and what is put away; without a word of it, the studio.
    """

    model: str
    settings: Settings
    steps: int
    made: Method | Schedule
    locks: Runs = ()
    place: Place = STUDIO


def to_link(link: Link, *, model: str) -> str:
    """The text behind `#` in an address; `model` is the one that goes without saying."""
    words: dict[str, Any] = {"n": link.steps, **to_words(link.place)}
    if link.model != model:
        words["m"] = link.model
    for name, short in SHORT.items():
        value = getattr(link.settings, name)
        if value != DEFAULTS[name]:
            words[short] = value
    packed = b""
    if isinstance(link.made, Method):
        words["q"] = link.made.name
        default = settings_of(type(link.made)())
        values = settings_of(link.made).items()
        if changed := {name: value for name, value in values if value != default[name]}:
            words["a"] = changed
    else:
        schedule = link.made.compact()
        words["b"] = schedule.blocks
        if schedule.branches != BRANCHES:
            words["r"] = list(schedule.branches)
        words["c"] = [predictors.to_json(p) for p in schedule.legend]
        if schedule.step_legend:
            words["w"] = [actions.to_json(a) for a in schedule.step_legend]
        # Cell by cell through time, where neighbours are most alike.
        cells = schedule.actions.reshape(schedule.steps, -1).T
        packed = _packed(cells, len(schedule.legend))
        packed += _packed(schedule.step_actions, len(schedule.step_legend))
        if link.locks:  # a field of its own, so that links without locks stay as they were
            words["k"] = 1
            packed += _packed(mask_of(link.locks, schedule).reshape(schedule.steps, -1).T, 1)
    text = json.dumps(words, separators=(",", ":"), ensure_ascii=False).encode()
    raw = text + b"\0" + packed if packed else text
    squeezed = zlib.compress(raw, 9, wbits=-15)
    kind, body = ("z", squeezed) if len(squeezed) < len(raw) else ("p", raw)
    return f"{VERSION}{kind}{base64.urlsafe_b64encode(body).decode().rstrip('=')}"


def from_link(text: object, *, model: str) -> Link:
    """What `to_link` wrote.

    Raises:
        RequestError, ScheduleError: it is no such text, or what it says cannot be; nothing is
            loaded or run.
    """
    words, packed = _unpacked(text)
    try:
        steps = _whole(words.pop("n"), 1, MAX_STEPS)
        name = words.pop("m", model)
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
            raise ValueError("its model is no name")
        given = {name: words.pop(short, DEFAULTS[name]) for name, short in SHORT.items()}
        settings = Settings(
            _whole(given["label"], 0, 2**31),
            _whole(given["seed"], 0, 2**31 - 1),
            _number(given["cfg_scale"]),
            str(given["sampler"])[:40],
        )
        place = take_place(words)
        locks: Runs = ()
        if "q" in words:
            values = words.pop("a", {})
            if not isinstance(values, dict):
                raise ValueError("the controls of its method are no object")
            made: Method | Schedule = method_of(words.pop("q"), **values)
        else:
            made, locks = _schedule(words, packed, steps)
        if words:
            raise ValueError(f"it says {', '.join(sorted(words))!r:.60}, which is not known")
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(
            f"this link cannot be read: {error}; copy the whole link anew."
        ) from error
    return Link(name, settings, steps, made, locks, place)


def _unpacked(text: object) -> tuple[dict[str, Any], bytes]:
    problem = "expected what Copy link gives; copy the whole link anew."
    if not isinstance(text, str) or not 2 < len(text) <= MAX_CHARS:
        raise RequestError(f"a link of another kind or length was given, {problem}")
    if text[0] != VERSION or text[1] not in "zp":
        raise RequestError(f"a link of version {text[:2]!r} was given, {problem}")
    try:
        raw = base64.b64decode(text[2:] + "=" * (-len(text[2:]) % 4), b"-_", validate=True)
        if text[1] == "z":
            unpacker = zlib.decompressobj(-15)
            raw = unpacker.decompress(raw, MAX_BYTES)
            if unpacker.unconsumed_tail or not unpacker.eof:
                raise ValueError("it is longer than a link can be, or cut off")
        before, _, packed = raw.partition(b"\0")
        words = json.loads(before.decode())
    except (binascii.Error, zlib.error, ValueError, RecursionError) as error:
        raise RequestError(f"a damaged link was given ({error}), {problem}") from error
    if not isinstance(words, dict):
        raise RequestError(f"a link without words was given, {problem}")
    return words, packed


def _schedule(words: dict[str, Any], packed: bytes, steps: int) -> tuple[Schedule, Runs]:
    blocks = _whole(words.pop("b"), 1, MAX_BLOCKS)
    branches = tuple(map(str, _items(words.pop("r", list(BRANCHES)), MAX_BRANCHES)))
    legend = tuple(predictors.from_json(v) for v in _items(words.pop("c"), MAX_LEGEND))
    step_legend = tuple(actions.from_json(v) for v in _items(words.pop("w", []), MAX_LEGEND))
    count = blocks * len(branches)
    used = _size(count * steps, len(legend))
    end = used + _size(steps, len(step_legend))
    locked = _whole(words.pop("k", 0), 0, 1)
    if len(packed) != end + locked * _size(count * steps, 1):
        raise ValueError(f"its grid has {len(packed)} bytes, which is not what its shape needs")
    cells = _numbers(packed[:used], count * steps, len(legend)).reshape(count, steps)
    schedule = Schedule(
        np.ascontiguousarray(cells.T).reshape(steps, blocks, len(branches)),
        legend,
        branches,
        step_actions=_numbers(packed[used:end], steps, len(step_legend)),
        step_legend=step_legend,
    )
    if not locked:
        return schedule, ()
    mask = _numbers(packed[end:], count * steps, 1).reshape(count, steps).T
    return schedule, runs_of(mask.reshape(schedule.actions.shape) != 0)


def _bits(most: int) -> int:
    return int(most).bit_length()


def _size(count: int, most: int) -> int:
    return -(-count * _bits(most) // 8)


def _packed(numbers: np.ndarray, most: int) -> bytes:
    """Whole numbers 0..most, each in as many bits as `most` needs."""
    shifts = np.arange(_bits(most), dtype=np.uint8)
    bits = numbers.reshape(-1, 1) >> shifts & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()


def _numbers(data: bytes, count: int, most: int) -> np.ndarray:
    width = _bits(most)
    bits = np.unpackbits(np.frombuffer(data, np.uint8), count=count * width).reshape(count, width)
    numbers: np.ndarray = (bits << np.arange(width, dtype=np.uint8)).sum(1).astype(np.uint8)
    return numbers


def _items(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"it has a list that is none, or is longer than {most}")
    return value


def _whole(value: Any, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"it says {value!r:.30} where a whole number {least} to {most} is due")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1000:
        raise ValueError(f"it says {value!r:.30} where a number from 0 to 1000 is due")
    return float(value)
