"""The report: one file that asks for nothing, holds the numbers, and trusts no name."""

from __future__ import annotations

import base64
import dataclasses
import re
import shlex
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from caching.cli import _parser
from caching.formats.importers import import_schedule
from caching.formats.picture import recipe_of
from caching.measure.result import Result
from caching.methods import METHODS, method_of
from viz import palette
from viz.brushes import Canvas
from viz.images import decode_uri
from viz.pages import studio
from viz.pages.visit import Visit
from viz.report import facts
from viz.report.facts import Origin, command_of, kind_of, measured_of, request_of
from viz.report.page import report_html
from viz.report.pictures import difference, difference_words


class Seen(HTMLParser):
    """Everything a page asks for, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.wants: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.wants += [
            (tag, value or "") for name, value in attrs if name in ("src", "href", "data", "action")
        ]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def page_of(result: Result, **origin: Any) -> str:
    return report_html(
        result,
        Canvas(result.schedule),
        studio.last_change(result.tables),
        held=studio.held_words(result),
        sampler=studio.SAMPLER_NAMES[result.sampler],
        origin=Origin(**origin),
    )


@pytest.fixture
def result(visit: Visit) -> Result:
    return visit.result


def cell(page: str, name: str) -> str:
    (found,) = re.findall(f'data-testid="{name}">([^<]*)<', page)
    return str(found)


def image(page: str, name: str) -> str:
    (found,) = re.findall(f'data-testid="picture-{name}"><img src="([^"]+)"', page)
    return str(found)


# -- one file ------------------------------------------------------------------------------


def test_it_asks_for_nothing_and_runs_nothing(result: Result) -> None:
    fora = method_of("fora")
    seen = Seen(page_of(result, method=fora, fragment="1zabc"))
    assert not {"script", "iframe", "object", "embed", "form", "base"} & set(seen.tags)
    for tag, address in seen.wants:
        inside = address.startswith(("data:image/", "data:,", "#"))
        # A link that a person may follow is no request.
        assert inside or (tag == "a" and address.startswith("https://")), (tag, address[:60])
    page = page_of(result)
    assert "@import" not in page and "url(" not in page
    assert "default-src 'none'" in page


def test_a_hostile_name_stays_a_name(result: Result) -> None:
    bad = '<img src="http://x.org/a" onerror="alert(1)">"\'&'
    changed = dataclasses.replace(
        result, model=bad, class_names=(bad,) * 12, setting=bad, recorded=bad, policy=bad
    )
    page = page_of(changed, fragment=bad, weights_hash=bad, versions=((bad, bad),), made_at=bad)
    seen = Seen(page)
    assert not [w for w in seen.wants if "x.org" in w[1]]
    assert any(bad in words for words in seen.words)


def test_both_themes_are_there(result: Result) -> None:
    page = page_of(result)
    light, dark = page.split("@media (prefers-color-scheme: dark)", 1)
    assert f"--cb-paper:{palette.LIGHT['paper']}" in light
    assert f":root{{--cb-paper:{palette.DARK['paper']}" in dark[:60]


# -- what it says --------------------------------------------------------------------------


def test_the_numbers_are_those_of_the_result(result: Result) -> None:
    page = page_of(result)
    for name, f in result.figures.items():
        assert cell(page, f"{name}-work") == f"{100 * f.work:.1f}%"
        assert cell(page, f"{name}-time") == f"{np.median(f.total_ms):.0f}"
        assert cell(page, f"{name}-times").split(", ") == [f"{t:.0f}" for t in f.total_ms]
    assert cell(page, "full-psnr") == "–" and cell(page, "full-speedup") == "–"
    assert cell(page, "cached-psnr") == f"{result.figures['cached'].psnr_db:.1f} dB"
    said = " ".join(Seen(page).words)
    for words in ("seed 7", "mushroom", "DDIM (papers' spacing)", result.setting, "Seed of the"):
        assert words in said
    assert str(result.recorded) in said


def test_pictures_are_the_results_own(result: Result) -> None:
    page = page_of(result)
    for name, pictures in result.pictures.items():
        assert np.array_equal(decode_uri(image(page, name)), pictures.final)


def test_its_cached_picture_opens_as_a_schedule(result: Result) -> None:
    page = page_of(result, versions=(("numpy", "2"),), weights_hash="abc")
    data = base64.b64decode(image(page, "cached").split(",")[1])
    found = import_schedule(data, blocks=12)
    assert np.array_equal(found.schedule.actions, result.schedule.actions)
    assert found.request == request_of(result, "abc")
    assert recipe_of(data)["made_with"] == {"numpy": "2"}
    assert recipe_of(data)["measured"]["psnr_db"] == result.figures["cached"].psnr_db


def test_the_method_says_its_source_and_how_faithful_it_is(result: Result) -> None:
    page = page_of(result, method=method_of("fora", interval=3))
    said = " ".join(Seen(page).words)
    kind = METHODS["fora"]
    assert kind.source and kind.source.paper in said and kind.because in said
    assert "As published" in said and "FORA, N 3" in said
    assert "Painted by hand." in " ".join(Seen(page_of(result)).words)


def test_a_policy_is_named_and_its_source_found(result: Result) -> None:
    decided = dataclasses.replace(result, policy="FBCache (0.1)")
    assert kind_of(decided, Origin()) is METHODS["fbcache"]
    said = " ".join(Seen(page_of(decided)).words)
    assert "FBCache (0.1)" in said and METHODS["fbcache"].because in said
    assert kind_of(dataclasses.replace(result, policy="somebody's own"), Origin()) is None


def test_without_a_trace_there_are_no_curves(result: Result) -> None:
    nothing = dataclasses.replace(result.tables, change=np.zeros_like(result.tables.change))
    page = page_of(dataclasses.replace(result, tables=nothing))
    assert "<polyline" not in page and "<polyline" in page_of(result)


# -- how to repeat it ----------------------------------------------------------------------

COMMANDS = {
    "paint": (None, "--schedule cached.png"),
    "method": (("fora", {}), "--method fora --label"),
    "controls": (("fora", {"interval": 3}), "--method fora --set interval=3 --label"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_is_one_that_the_shell_takes(result: Result, name: str) -> None:
    made, part = COMMANDS[name]
    method = None if made is None else method_of(made[0], **made[1])
    command = command_of(result, method)
    assert part in command and "--seed 7" in command and "--guidance 2 " in command
    words = shlex.split(command)
    assert words[:4] == ["python", "-m", "caching", "compare"]
    asked = _parser().parse_args(words[3:])
    assert (asked.seed, asked.steps, asked.guidance, asked.sampler) == (7, 20, 2.0, "ddim")
    assert asked.label == str(result.label) and asked.model == facts.HOME
    assert command in " ".join(Seen(page_of(result, method=method)).words)


def test_a_model_of_another_name_is_quoted_for_the_shell(result: Result) -> None:
    other = dataclasses.replace(result, model="/a folder/it's; rm -rf x")
    words = shlex.split(command_of(other, None))
    assert words[-2:] == ["--model", "/a folder/it's; rm -rf x"]


def test_the_request_and_numbers_of_a_recipe(result: Result) -> None:
    request = request_of(result)
    assert request["seed"] == 7 and request["class"] == "mushroom" and request["steps"] == 20
    assert "weights_hash" not in request
    measured = measured_of(result)
    f = result.figures["cached"]
    assert measured["work"] == f.work and measured["speedup"] == f.speedup
    assert measured["repeats"] == len(f.total_ms) and "total_ms" not in measured
    assert "psnr_db" not in measured_of(result, "full")


# -- the difference ------------------------------------------------------------------------


def test_the_difference_is_signed_and_as_large_as_it_says() -> None:
    full = np.full((10, 20, 3), 100, np.uint8)
    cached = full.copy()
    cached[0, 0] = 110
    cached[0, 1] = [94, 97, 100]  # 3 less on average
    drawn, gain = difference(full, cached)
    assert gain == 16
    ramp = palette.ramp(palette.DIVERGING, 511)
    assert tuple(drawn[5, 5]) == palette.rgb(ramp[255])  # no difference is the middle
    assert tuple(drawn[0, 0]) == palette.rgb(ramp[255 + 160])
    assert tuple(drawn[0, 1]) == palette.rgb(ramp[255 - 48])
    assert difference_words(full, cached) == (
        f"mean |Δ| {(30 + 6 + 3) / 600:.2f} of 255, max 10, 1% of the pixels differ"
    )
    assert "identical" in difference_words(full, full)


@pytest.mark.parametrize(("apart", "gain"), [(15, 16), (16, 4), (63, 4), (64, 1), (250, 1)])
def test_the_gain_is_the_largest_that_fits(apart: int, gain: int) -> None:
    full = np.zeros((4, 4, 3), np.uint8)
    assert difference(full, full + np.uint8(apart))[1] == gain
