"""The methods as the page offers them: their order, the controls it shows, and what it says.

Values in, plain data out: nothing here knows of Gradio, of a visit or of a model.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from caching.errors import RequestError
from caching.methods import METHODS, Method, Plan, method_of
from caching.methods.base import Control, Faithfulness, controls
from caching.methods.smoothcache import LOOKAHEAD
from caching.policies.threshold import smoothcache_rows
from viz import text
from viz.figures.alpha import Alpha, Rows

SLOTS = 4
# How near to its paper a method is, in front of its name in the list.
MARKS: Mapping[Faithfulness, str] = {
    "as published": "●",
    "recalibrated here": "◐",
    "analogue": "○",
    "of no paper": "★",
    "does not apply": "–",
}
FIRST = ("full", "ends", "budget")  # ours that everybody tries first


def mark_of(kind: type[Method]) -> str:
    """The short sign of a method's faithfulness."""
    return MARKS[kind.faithfulness]


def _place(kind: type[Method]) -> tuple[int, int, str]:
    """Ours first, then everything that runs by title, then what does not apply."""
    if kind.source is None:
        rank = FIRST.index(kind.name) if kind.name in FIRST else len(FIRST)
        return 0, rank, kind.title.lower()
    return 2 if kind.faithfulness == "does not apply" else 1, 0, kind.title.lower()


def choices() -> list[tuple[str, str]]:
    """Label and name of every method, in the order of the list."""
    kinds = sorted(METHODS.values(), key=_place)
    return [(f"{mark_of(kind)} {kind.title}", kind.name) for kind in kinds]


def kind_of(name: Any) -> type[Method]:
    """A method's class by name; RequestError lists the known ones."""
    return type(method_of(name))


def shown_controls(kind: type[Method]) -> tuple[Control, ...]:
    """The controls that have a slot on the page; the others keep their defaults."""
    return controls(kind)[:SLOTS]


@dataclass(frozen=True)
class Slot:
    """One place for a control: a slider or a list, never both, or nothing.

    Attributes:
        control: what it sets, None for an empty place.
        value: what it stands at.
    """

    control: Control | None = None
    value: Any = None

    @property
    def is_list(self) -> bool:
        return self.control is not None and bool(self.control.choices)


def slots_of(method: Method) -> tuple[Slot, ...]:
    """What the places for controls show for a method, always `SLOTS` of them."""
    shown = [Slot(one, getattr(method, one.name)) for one in shown_controls(type(method))]
    return (*shown, *[Slot()] * (SLOTS - len(shown)))


def method_from(name: Any, numbers: Sequence[Any], words: Sequence[Any]) -> Method:
    """The method that the page's controls describe.

    Args:
        name: of the method.
        numbers: what the sliders of all places say, whatever is shown there.
        words: likewise of the lists.

    Raises:
        RequestError: an unknown method, or a value out of range; anybody may send anything.
    """
    kind = kind_of(name)
    values = {
        control.name: _value(kind, control, word if control.choices else number)
        for control, number, word in zip(shown_controls(kind), numbers, words, strict=False)
    }
    return method_of(name, **values)


def _value(kind: type[Method], control: Control, given: Any) -> Any:
    """A control's value, a whole number also when it came as a float."""
    if control.choices:
        if isinstance(given, str) and given in control.choices:
            return given
        raise _refused(kind, control, given, f"one of: {', '.join(control.choices)}")
    expected = f"{control.least:g} to {control.most:g}"
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise _refused(kind, control, given, expected)
    # Before anything else: comparing is safe with NaN and with whole numbers of any length.
    if not control.least <= given <= control.most:
        raise _refused(kind, control, given, expected)
    if not control.whole:
        return float(given)
    if given != math.floor(given):
        raise _refused(kind, control, given, f"a whole number, {expected}")
    return int(given)


def _refused(kind: type[Method], control: Control, given: Any, expected: str) -> RequestError:
    try:
        shown = "nothing" if given is None or given == "" else f"{given!r:.40}"
    except ValueError:  # Python refuses to write out whole numbers of thousands of digits
        shown = "a huge number"
    return RequestError(f"{kind.title}: {control.label} is {shown}, expected {expected}.")


def threshold_of(method: Method) -> float | None:
    """The change a method lets pass, to be drawn into the curves of changes; else None."""
    alpha = getattr(method, "alpha", None) if method.needs == "trace" else None
    return float(alpha) if alpha is not None else None


DRAGGED = "smoothcache"  # what dragging the threshold chooses where the method has none
DRAG_STEP = 0.005


def alpha_of(
    method: Method | None, change: np.ndarray | None, branches: tuple[str, ...]
) -> Alpha | None:
    """The line to drag on the curves of `change` (S, L, R, K); None before they are known."""
    if change is None:
        return None
    on = method is not None and threshold_of(method) is not None
    mine: Any = method if on else method_of(DRAGGED)
    control = next(one for one in controls(type(mine)) if one.name == "alpha")
    rows: Rows = {}
    if mine.name == DRAGGED:
        lookahead = min(LOOKAHEAD, change.shape[-1])
        rows = smoothcache_rows(change, lookahead=lookahead, branches=branches)
    return Alpha(
        mine.title, mine.alpha, on, control.least, control.most, control.step or DRAG_STEP, rows
    )


def about_html(kind: type[Method], *, plan: Plan | None = None, missing: str = "") -> str:
    """What a method does, where it is from, how faithful it is here; and what it still needs.

    Args:
        kind: the method.
        plan: what it made, for its notes.
        missing: why it has made none, in its own words.
    """
    esc = html.escape
    lines = [f"<p>{esc(kind.about)}</p>"]
    if missing:
        lines.append(f'<p class="cb-needs" role="status">{esc(sentence(missing))}</p>')
    for note in plan.notes if plan else ():
        lines.append(f'<p class="cb-found">{esc(sentence(note))}</p>')
    where = "" if kind.source is None else f" {_source_html(kind)}"
    faith = kind.faithfulness
    lines.append(
        f'<p class="cb-source"><b>{mark_of(kind)} {esc(faith[0].upper() + faith[1:])}.</b> '
        f"{esc(kind.because)}{where}</p>"
    )
    return f'<div class="cb-about" data-method="{esc(kind.name)}">{"".join(lines)}</div>'


def _source_html(kind: type[Method]) -> str:
    """Paper, arXiv id and year. Links are followed only when somebody clicks them."""
    source = kind.source
    assert source is not None
    where = str(source.year)
    if source.arxiv:
        where = (
            f"{_link('https://arxiv.org/abs/' + source.arxiv, 'arXiv ' + source.arxiv)}, {where}"
        )
    words = f"<cite>{html.escape(source.paper)}</cite> ({where})."
    if source.repository:
        words += f" {_link('https://github.com/' + source.repository, 'Code')}"
        words += f", {html.escape(source.licence or text.NO_LICENCE)}."
    return words


def _link(address: str, words: str) -> str:
    return (
        f'<a href="{html.escape(address)}" target="_blank" rel="noopener noreferrer">'
        f"{html.escape(words)}</a>"
    )


def sentence(words: str) -> str:
    """Words as a sentence: a capital letter at the start, an end at the end."""
    words = words.strip()
    words = words[:1].upper() + words[1:]
    return words if words.endswith((".", "!", "?", "…")) else words + "."
