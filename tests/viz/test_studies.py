"""The Study box and links: rows become the grid, and nobody can send what is no row or link."""

from __future__ import annotations

import re
from typing import Any

import pytest

from caching.errors import CachebrushError
from caching.methods import method_of
from caching.policies.interval import every
from caching.study.bootstrap import Interval
from caching.study.store import Missing, Row, Study
from tests.viz.visits import JUNK, refused, stroke, turned
from viz import studies
from viz.link import from_link
from viz.pages import studies as box
from viz.pages.handlers import Handlers
from viz.pages.visit import Visit


def row(method: str, db: float, **changes: Any) -> Row:
    values: dict[str, Any] = {
        "method": method, "controls": {}, "words": f"{method} <b>", "faithfulness": "as published",
        "target": 2.0, "speedup": 2.1, "least_speedup": 2.1, "most_speedup": 2.1, "matched": True,
        "decided": False, "steps": 20, "ms": None, "ms_speedup": None,
        "psnr_db": Interval(db, db - 1, db + 1), "ssim": Interval(0.9, 0.8, 0.95),
        "latent_rel_l2": Interval(0.1, 0.05, 0.2), "agrees": None, "same": None, "rival_steps": 9,
        "gain_db": None,
    }  # fmt: skip
    return Row(**(values | changes))


STUDY = Study(
    model="scenes-dit", weights_hash="0" * 16, steps=20, cfg_scale=2.0, sampler="ddim", pictures=4,
    first_seed=0, targets=(1.5, 2.0), command="a command", setting="a machine", date="2026-11-21",
    full_ms=None,
    rows=(
        row("fora", 31.0, controls={"interval": 4, "align": "end"}),
        row("plain-steps", 29.0, faithfulness="rival"),
        row("fora", 40.0, target=1.5, controls={"interval": 2, "align": "start"}),
        row("fora", 20.0, controls={"interval": 99, "align": "end"}),
    ),
    plain=(), missing=(Missing("goc", 2.0, 1.8, "why"),),
)  # fmt: skip


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box, "recorded", lambda: STUDY)


def test_a_table_has_every_row_of_its_speedup_and_places_dots_by_their_numbers() -> None:
    page = studies.table_html(STUDY, 2.0)
    assert page.count("<tr") == 1 + 3 and "<b>40.0</b>" not in page
    assert "fora &lt;b&gt;" in page and "fora <b>" not in page
    # The scale goes from 19 to 32 dB: 31 lies at 12/13, the plain steps' 29 at 10/13.
    assert 'class="cb-dot" style="left:92.3%"' in page
    assert 'class="cb-plain" style="left:76.9%"' in page
    assert "GOC (1.80×)" in page and "Not within 0.95 to 1.25" in page
    assert "1 method on scenes-dit" in studies.intro_html(STUDY)  # rivals are none
    assert "No method" in studies.table_html(STUDY, 3.0)


def test_only_methods_can_be_put_on_the_grid() -> None:
    assert [number for _, number in studies.choices(STUDY, 2.0)] == ["0", "3"]
    assert studies.method_at(STUDY, "0") == method_of("fora", interval=4)
    for number in (*JUNK[:6], "-1", "9", "1", "3"):
        with pytest.raises((CachebrushError, ValueError)):
            studies.method_at(STUDY, number)


def test_published_tables_are_quoted_as_such() -> None:
    page = studies.published_html()
    assert "never compare rows of two tables" in page
    assert re.search(r"L2C, 50 steps</th><td>2.269</td><td>4.226</td>", page)


@pytest.mark.usefixtures("told")
def test_a_row_is_painted_with_its_steps_and_undone(handlers: Handlers, visit: Visit) -> None:
    handlers.resteps(10, visit)
    parts = handlers.paint_row("0", visit)
    expected = every(20, 12, 4).actions
    assert (visit.state.schedule.actions == expected).all() and not visit.refused
    assert parts["grid"]["value"] == visit.value() and parts["steps"]["value"] == 20
    assert parts["method"]["value"] == "fora" and parts["number0"]["value"] == 4
    assert visit.method == method_of("fora", interval=4)
    assert handlers.choose_once("fora", visit) == {}  # of the list, which was set to it


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("number", [*JUNK, "1", "3"])
def test_what_is_no_row_is_refused(handlers: Handlers, visit: Visit, number: Any) -> None:
    before = visit.state
    refused(handlers.paint_row(number, visit))
    assert visit.state is before


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("target", [None, 3.0, "2", []])
def test_an_unknown_speedup_is_refused(handlers: Handlers, visit: Visit, target: Any) -> None:
    refused(handlers.show_study(target, visit))
    assert "cb-study" in handlers.show_study(1.5, visit)["study"]


# -- links ---------------------------------------------------------------------------------


def test_a_method_goes_by_name_until_somebody_paints_over_it(
    handlers: Handlers, visit: Visit
) -> None:
    turned(handlers, visit, "fora", interval=3)
    assert from_link(handlers.copy_link(visit)["link"], model="scenes-dit").made == visit.method
    handlers.strokes((stroke(1),), visit)
    made = from_link(handlers.copy_link(visit)["link"], model="scenes-dit").made
    assert made == visit.state.schedule.compact()


def test_a_link_opens_on_another_visit(handlers: Handlers, visit: Visit, second: Visit) -> None:
    handlers.configure(3, 99, 4.0, "euler", visit)
    handlers.resteps(8, visit)
    turned(handlers, visit, "fora", interval=3)
    parts = handlers.open_link(handlers.copy_link(visit)["link"], second)
    assert second.method is not None and handlers.choose_once(second.method.name, second) == {}
    assert second.state.settings == visit.state.settings and second.method == visit.method
    assert (second.state.schedule.actions == visit.state.schedule.actions).all()
    assert parts["grid"]["value"] == second.value() and parts["seed"]["value"] == 99
    assert "Opened from the link" in parts["notice"] and not second.refused


@pytest.fixture
def second(visit: Visit) -> Visit:
    return Visit(visit.state, visit.result, visit.tables)


@pytest.mark.parametrize("junk", [j for j in JUNK if j not in (None, "", [], {})])
def test_a_bad_link_changes_nothing(handlers: Handlers, visit: Visit, junk: Any) -> None:
    before = visit.state
    refused(handlers.open_link(junk, visit), "link was not opened")
    assert visit.state is before and visit.refused


def test_a_link_of_another_model_or_shape_is_refused(handlers: Handlers, visit: Visit) -> None:
    from viz.link import Link, to_link

    before = visit.state
    other = Link("facebook/DiT-XL-2-256", before.settings, 20, method_of("fora"))
    refused(handlers.open_link(to_link(other, model="scenes-dit"), visit), "DiT-XL-2-256", "load")
    deeper = Link("scenes-dit", before.settings, 20, every(20, 28, 2))
    refused(handlers.open_link(to_link(deeper, model="scenes-dit"), visit), "28")
    assert visit.state is before
