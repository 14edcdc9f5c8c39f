"""The table of measured numbers: what it says, when it takes it back, and what it escapes."""

from __future__ import annotations

import math
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from caching.measure.result import Result
from viz.numbers import numbers_html, psnr_words, title_of, verdict
from viz.pages.visit import start_visit

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>'
TAGS = {"div", "table", "thead", "tbody", "tr", "th", "td", "p", "button"}
ATTRIBUTES = {"class", "data-testid", "data-source", "scope", "title", "role"} | {
    "type",
    "data-term",
    "aria-haspopup",
}  # of the links to the glossary


class Reader(HTMLParser):
    """Tags, attribute names and the text of every element with a test id."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: dict[str, str] = {}
        self.values: dict[str, dict[str, str | None]] = {}
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        test = dict(attrs).get("data-testid") or ""
        self._open.append(test)
        self.values[test] = dict(attrs)

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]] = self.texts.get(self._open[-1], "") + data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


@pytest.fixture(scope="module")
def recorded() -> Result:
    return start_visit().result


def result(recorded: Result, cached: dict[str, object], fewer: dict[str, object]) -> Result:
    """The recorded result with other figures."""
    figures = dict(recorded.figures)
    figures["cached"] = replace(figures["cached"], **cached)
    figures["fewer"] = replace(figures["fewer"], **fewer)
    return replace(recorded, figures=figures)


@pytest.mark.parametrize(
    ("psnr_db", "words"),
    [(None, "–"), (math.inf, "∞ (identical)"), (31.26, "31.3 dB"), (0.0, "0.0 dB")],
)
def test_psnr_in_words(psnr_db: float | None, words: str) -> None:
    assert psnr_words(psnr_db) == words


@pytest.mark.parametrize(
    ("name", "title"),
    [("full", "Full, 13 steps"), ("cached", "Your schedule"), ("fewer", "13 plain steps")],
)
def test_titles(recorded: Result, name: str, title: str) -> None:
    assert title_of(name, recorded.figures["fewer"]) == title


CACHED = {"work": 0.6, "speedup": 1.5, "psnr_db": 30.0}
FEWER = {"steps": 12, "psnr_db": 30.0}
SHARE = "40% of the work was reused and the run was 1.50× as fast; "
VERDICTS = [
    ({}, {"psnr_db": 33.24}, SHARE + "it is 3.2 dB farther from the full picture than simply "
     "taking 12 steps."),
    ({"psnr_db": 31.0}, {}, SHARE + "it is 1.0 dB closer to the full picture than simply taking "
     "12 steps."),
    ({"psnr_db": 30.49}, {}, SHARE + "simply taking 12 steps comes out about as close to the full "
     "picture."),
    ({"psnr_db": math.inf}, {}, SHARE + "it is much closer to the full picture than simply taking "
     "12 steps."),
    ({}, {"psnr_db": math.inf}, SHARE + "it is much farther from the full picture than simply "
     "taking 12 steps."),
    ({"psnr_db": math.inf}, {"psnr_db": math.inf}, SHARE + "simply taking 12 steps comes out about "
     "as close to the full picture."),
    ({"speedup": 0.95}, {}, "40% of the work was reused and the run was 0.95× as fast; simply "
     "taking 12 steps comes out about as close to the full picture."),
    ({"work": 1.0, "psnr_db": math.inf}, {"psnr_db": math.inf}, "Every cell was computed: this is "
     "the full run itself, nothing is saved."),
]  # fmt: skip


@pytest.mark.parametrize(("cached", "fewer", "words"), VERDICTS)
def test_the_verdict_says_what_was_won_and_what_fewer_steps_would_have(
    recorded: Result, cached: dict[str, object], fewer: dict[str, object], words: str
) -> None:
    assert verdict(result(recorded, {**CACHED, **cached}, {**FEWER, **fewer})) == words


def test_the_table_shows_every_figure(recorded: Result) -> None:
    cached = {
        **CACHED,
        "total_ms": (900.0, 1230.0, 1300.0),
        "ssim": 0.98765,
        "psnr_db": math.inf,
        "cache_mib": 3.0,
    }
    page = read(numbers_html(result(recorded, cached, {"total_ms": (450.4,)}), stale=False))
    expected = {
        "cached-work": "60%",
        "cached-time": "1.23 s",
        "cached-speedup": "1.50×",
        "cached-psnr": "∞ (identical)",
        "cached-ssim": "0.988",
        "full-work": "100%",
        "full-speedup": "–",
        "full-psnr": "–",
        "full-ssim": "–",
        "fewer-time": "450 ms",
    }
    assert {name: page.texts[name] for name in expected} == expected
    assert "900, 1230, 1300 ms" in str(page.values["cached-time"]["title"])
    assert "3.00 MiB" in str(page.values["cached-work"]["title"])
    assert page.values["numbers"]["data-source"] == "recorded"
    assert page.texts["source"] == recorded.recorded


def test_a_live_result_names_its_device(recorded: Result) -> None:
    page = read(numbers_html(replace(recorded, recorded=None, setting="an abacus"), stale=False))
    assert page.values["numbers"]["data-source"] == "live"
    assert page.texts["source"] == "measured on an abacus"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"stale": True}, "before the last change"),
        ({"stale": True, "other_model": True}, "Measured with scenes-dit"),
        ({"stale": False, "other_model": True}, "Measured with scenes-dit"),
    ],
)
def test_old_numbers_take_their_verdict_back(
    recorded: Result, flags: dict[str, bool], words: str
) -> None:
    page = read(numbers_html(recorded, **flags))
    assert words in page.texts["verdict"] and "press Run" in page.texts["verdict"]
    assert "full picture" not in page.texts["verdict"]
    assert "cb-stale" in str(page.values["numbers"]["class"])


def test_fresh_numbers_are_not_marked_old(recorded: Result) -> None:
    page = read(numbers_html(recorded, stale=False))
    assert page.texts["verdict"] == verdict(recorded)
    assert "cb-stale" not in str(page.values["numbers"]["class"])


@pytest.mark.parametrize("recorded_words", [HOSTILE, None])
def test_hostile_names_stay_text(recorded: Result, recorded_words: str | None) -> None:
    hostile = replace(recorded, model=HOSTILE, setting=HOSTILE, recorded=recorded_words)
    page = read(numbers_html(hostile, stale=True, other_model=True))
    assert page.tags == TAGS and page.attributes == ATTRIBUTES
    assert HOSTILE in page.texts["source"] and HOSTILE in page.texts["verdict"]
    assert HOSTILE in str(page.values["full-time"]["title"])
