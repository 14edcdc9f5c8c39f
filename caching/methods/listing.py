"""Methods as lists: plain values for programs, and the README's table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from caching.errors import RequestError
from caching.methods.base import Control, Method, Source, controls

BEGIN, END = "<!-- methods:begin -->", "<!-- methods:end -->"
ORDER = ("as published", "recalibrated here", "analogue", "of no paper", "does not apply")
HEADER = ("method", "source", "year", "needs", "faithfulness", "because")


def ordered(methods: Mapping[str, type[Method]]) -> tuple[type[Method], ...]:
    """The most faithful first, then by year and title; those without a source first of all."""
    return tuple(
        sorted(
            methods.values(),
            key=lambda m: (
                m.source is not None,
                ORDER.index(m.faithfulness),
                m.source.year if m.source else 0,
                m.title.lower(),
            ),
        )
    )


def entry(kind: type[Method]) -> dict[str, Any]:
    """A method as plain values."""
    return {
        "name": kind.name,
        "title": kind.title,
        "about": kind.about,
        "needs": kind.needs,
        "faithfulness": kind.faithfulness,
        "because": kind.because,
        "source": asdict(kind.source) if kind.source else None,
        "tunes": kind.tunes,
        "controls": [
            {
                "name": c.name,
                "label": c.label,
                "default": c.default,
                "expected": expected(c),
                "about": c.about,
            }
            for c in controls(kind)
        ],
    }


def expected(control: Control) -> str:
    """What a control may be set to, in words."""
    if control.choices:
        return " or ".join(control.choices)
    kind = "a whole number" if control.whole else "a number"
    return f"{kind} from {control.least:g} to {control.most:g}"


def short(control: Control) -> str:
    """A control as `name=default (range)`."""
    values = "|".join(control.choices) or f"{control.least:g}..{control.most:g}"
    return f"{control.name}={control.default} ({values})"


def cited(source: Source | None) -> str:
    """Where a method is from in a few words."""
    if source is None:
        return "a baseline of this project"
    where = f"arXiv {source.arxiv}" if source.arxiv else source.repository or source.paper
    return f"{where}, {source.year}"


def address(source: Source) -> str | None:
    """Of the paper, or else of the authors' code."""
    if source.arxiv:
        return f"https://arxiv.org/abs/{source.arxiv}"
    return f"https://github.com/{source.repository}" if source.repository else None


def markdown(methods: Mapping[str, type[Method]]) -> str:
    """The table of all methods, most faithful first."""
    rows = [HEADER, ("---",) * len(HEADER)]
    for kind in ordered(methods):
        source = kind.source
        link = "–"
        if source:
            text, target = source.arxiv or source.repository or source.paper, address(source)
            link = f"[{text}]({target})" if target else text
        year = str(source.year) if source else "–"
        title = f"{kind.title} `{kind.name}`"
        rows.append((title, link, year, kind.needs, kind.faithfulness, kind.because))
    escaped = ([cell.replace("|", r"\|") for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in escaped)


def refreshed(text: str, methods: Mapping[str, type[Method]]) -> str:
    """A text with the table anew between its two marks.

    Raises:
        RequestError: the text does not have both marks, once each and in order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise RequestError(f"expected one {BEGIN} and behind it one {END}, to write between them.")
    return f"{before}{BEGIN}\n{markdown(methods)}\n{END}{after}"
