"""The box that judges: what it shows, streaming, stopping, taking turns, refusing."""

from __future__ import annotations

import dataclasses
import re
import threading
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from caching.errors import RequestError
from caching.quality.record import Report, Row
from caching.schedule import Schedule
from caching.study.bootstrap import Interval
from tests.caching import judging
from tests.viz.visits import JUNK
from viz import quality
from viz.judging import HOME, YOURS, Judges, Judging, Turns
from viz.pages import quality as pages
from viz.pages.quality import Quality, samples_of
from viz.pages.visit import Visit
from viz.state import ModelFacts, UseModel
from viz.work import Made


def row(words: str, psnr: float, change: tuple[float, float, float], **more: Any) -> Row:
    """An arm whose Fréchet distance changed so."""
    return Row(
        words, 0.5, {"frechet": Interval(1.0, 0.9, 1.1)},
        {"frechet": Interval(*change), **more}, {"psnr_db": Interval(psnr, psnr - 1, psnr + 1)},
    )  # fmt: skip


def report(*rows: Row) -> Report:
    full = Row("full", 1.0, {"frechet": Interval(0.9, 0.8, 1.0)})
    return Report("m", 20, 2.0, "ddim", 0, 64, "a <b>", "c", (full, *rows), "here", "cmd", "today")


# -- words and tables ----------------------------------------------------------------------


def test_closeness_to_data_and_to_pictures_never_share_a_table() -> None:
    made = quality.report_html(report(row("mine", 37.2, (0.01, -0.1, 0.1))))
    tables = re.findall(r"<table>.*?</table>", made)
    assert len(tables) == 2
    assert "Fréchet" in tables[0] and "PSNR" not in tables[0]
    assert "PSNR" in tables[1] and "Fréchet" not in tables[1]
    assert "1.000 <small>0.900 … 1.100</small>" in tables[0]
    assert "37.20 <small>36.20 … 38.20</small>" in tables[1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((0.01, -0.1, 0.1), "no change of Fréchet distance that 64 pictures can tell from 0"),
        ((0.3, 0.1, 0.5), "farther by Fréchet distance (+0.300, +0.100 to +0.500)"),
        ((-0.3, -0.5, -0.1), "nearer by Fréchet distance"),
    ],
)
def test_the_verdict_says_what_the_interval_says(change: Any, words: str) -> None:
    found = quality.verdict(report(row("mine", 37.2, change)))
    assert found.startswith("To the uncached pictures: PSNR 37.2 dB. To the data: ")
    assert words in found


def test_the_story_sorts_the_arms_by_what_happened() -> None:
    gone = Interval(-0.1, -0.2, -0.01)
    found = quality.story(
        report(
            row("soft", 37, (0.0, -0.1, 0.1)),
            row("rough", 20, (2.0, 1.5, 2.5)),
            row("odd", 30, (-0.2, -0.3, -0.1)),
            row("narrow", 27, (0.0, -0.1, 0.1), precision=gone),
        )
    )
    same, worse, better = found.split(". ")[:3]
    assert "soft (37.0 dB, +0.000)" in same and "precision -0.100" in same
    assert worse.startswith("PSNR and Fréchet distance both get worse: rough (20.0 dB, +2.000)")
    assert "nearer to the data: odd" in better
    assert quality.verdict(report()).startswith("The full model alone")


def test_names_from_files_are_escaped() -> None:
    mean = row("<img src=x onerror=alert(1)>", 30, (0, -1, 1))
    made = quality.recorded_html(report(mean)) + quality.report_html(report(mean))
    assert "<img" not in made and "a <b>" not in made and "&lt;img" in made
    assert "<script" not in quality.progress_html(None, "<script>")


def test_progress_counts_and_tells_the_time_left() -> None:
    made = quality.progress_html(Judging(16, 64, 130.0))
    assert 'max="64" value="16"' in made and "16 of 64 pictures, about 2 min left" in made
    assert "left" not in quality.progress_html(Judging(0, 64))
    assert quality.progress_html(None) == "" and quality.report_html(None) == ""


@pytest.mark.parametrize("value", [v for v in JUNK if v != 64] + [65, 64.0, "64"])
def test_only_the_offered_numbers_of_pictures_are_taken(value: Any) -> None:
    with pytest.raises(RequestError, match="pictures were asked for, expected one of 64"):
        samples_of(value)
    assert samples_of(64) == 64


# -- judging -------------------------------------------------------------------------------


class Stub:
    """An engine with one small model under the shipped one's name."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.model = judging.model()

    def get(self, name: str) -> Any:
        return SimpleNamespace(model=self.model)

    def wait_unless(self, name: str, stopped: Any) -> Any:
        return None if stopped() else self.get(name)


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Quality:
    made = Quality(SimpleNamespace(engine=Stub()))  # type: ignore[arg-type]
    made.judges._against = judging.Colours(), judging.reference()
    monkeypatch.setattr("viz.judging.LET_IN_S", 0.0)
    monkeypatch.setattr("viz.judging.SHOW_EVERY_S", 0.0)
    monkeypatch.setattr(pages, "samples_of", lambda value: value)
    return made


@pytest.fixture
def here(visit: Visit) -> Visit:
    """A visit on the small model, every other step reused."""
    facts = ModelFacts(HOME, 2, ("attn", "mlp"), ("a", "b", "c"))
    settings = dataclasses.replace(visit.state.settings, label=0, cfg_scale=1.0)
    schedule = Schedule.every(4, 2, 2)
    visit.session.dispatch(UseModel(facts, settings, schedule))
    return visit


def test_a_table_streams_in_and_ends_finished(box: Quality, here: Visit) -> None:
    told = list(box.start(40, here))
    assert "Drawing the first pictures" in told[0]["judging"] and told[0]["judged"] == ""
    last = told[-1]["judged"]
    assert 'data-done="true"' in last and 'data-samples="40"' in last and YOURS in last
    for parts in told[1:-1]:
        assert set(parts) <= {"judging", "judged"}  # never the notice: runs speak there
        assert 'data-done="false"' in parts.get("judged", 'data-done="false"')
    assert here.judging is None and not box.judges.turn.locked()
    full = Schedule.full(4, 2)
    here.session.dispatch(UseModel(here.state.model, here.state.settings, full))
    assert "The full model alone" in list(box.start(16, here))[-1]["judged"]


def test_stop_ends_it_and_keeps_the_table(box: Quality, here: Visit) -> None:
    told: list[Any] = []
    for parts in box.start(4000, here):
        told.append(parts)
        if parts.get("judged") and here.judging is not None:  # not in what it says last
            # Its own words could arrive after those of the evaluation that ends.
            assert box.stop(here) == {"judging": gr.skip()}
    assert pages.STOPPED in told[-1]["judging"]
    assert "No evaluation is under way" in box.stop(here)["judging"]


def test_a_page_that_leaves_and_a_newer_start_end_it(box: Quality, here: Visit) -> None:
    first = box.start(4000, here)
    next(first)
    next(first)
    first.close()
    assert here.judging is None
    second, third = box.start(4000, here), box.start(8, here)
    next(second)
    next(third)
    assert list(second) == []  # silent: the newer one speaks
    assert 'data-done="true"' in list(third)[-1]["judged"]


def test_an_edit_meanwhile_changes_nothing(box: Quality, here: Visit) -> None:
    events = box.start(16, here)
    next(events)
    here.session.begin_run()  # as every run of the page does
    assert 'data-done="true"' in list(events)[-1]["judged"]


def test_what_goes_wrong_is_said_and_nothing_is_held(box: Quality, here: Visit) -> None:
    box.judges.engine.model = None  # type: ignore[attr-defined]
    here_parts = list(box.start(16, here))[-1]
    assert 'data-kind="error"' in here_parts["judging"]
    assert not box.judges.turn.locked() and here.judging is None
    other = dataclasses.replace(here.state.model, name="<other>")
    here.session.dispatch(UseModel(other, here.state.settings, here.state.schedule))
    words = list(box.start(16, here))[-1]["judging"]
    assert "&lt;other&gt;" in words and "--features inception" in words


def test_numbers_nobody_offered_are_refused_by_the_box(here: Visit) -> None:
    strict = Quality(SimpleNamespace(engine=Stub()))  # type: ignore[arg-type]
    (parts,) = strict.start("many", here)
    assert "expected one of 64" in parts["judging"] and here.judging is None


def test_other_runs_get_their_turn_between_batches(box: Quality, here: Visit) -> None:
    """Whoever waits for the engine gets it before the evaluation is over."""
    lock = box.judges.engine.turn
    got = threading.Event()

    def wait() -> None:
        with lock:
            got.set()

    pages_events = box.start(4000, here)
    next(pages_events)
    waiter = threading.Thread(target=wait)
    waiter.start()
    for _ in pages_events:
        if got.is_set():
            box.stop(here)
    waiter.join(10)
    assert got.is_set()


def test_a_stop_while_waiting_for_the_turn_takes_nothing() -> None:
    lock = threading.Lock()
    with lock:
        turns = Turns(lock, lambda: True)
        with turns:
            assert not turns.held
    assert not lock.locked()


def test_the_shipped_reference_is_found() -> None:
    net, reference = Judges(Stub())._reference()  # type: ignore[arg-type]
    assert reference.net == net.key and reference.count == 5000


def test_made_is_the_report(box: Quality, here: Visit) -> None:
    items = list(box.judges.judge(here.state, 16, stopped=lambda: False))
    assert isinstance(items[-1], Made) and items[-1].value.samples == 16
