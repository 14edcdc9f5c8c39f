"""Files of authors on the page: their licence first, a fetch when asked, then opened like any."""

from __future__ import annotations

import contextlib
import io
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from caching.formats.authors import FILES
from tests.viz.visits import JUNK, kinds, refused
from viz.pages.authors import Authors, facts_html
from viz.pages.handlers import Handlers
from viz.pages.visit import Visit

FITS = "smoothcache-50-N-3-threshold-0.18"  # a list per branch, for any number of blocks


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("CACHEBRUSH_CACHE", str(tmp_path))
    return tmp_path / "authors"


def opener_of(published: Path, asked: list[str]) -> Any:
    """Answers from the copies at hand, whatever the address."""

    @contextlib.contextmanager
    def opened(address: str) -> Iterator[io.BytesIO]:
        asked.append(address)
        yield io.BytesIO((published / f"smoothcache-{address.rsplit('/', 1)[1]}").read_bytes())

    return opened


def never(address: str) -> Any:
    pytest.fail(f"{address} was fetched without being asked for")


@pytest.mark.parametrize("file", FILES.values(), ids=lambda f: f.name)
def test_what_is_known_is_shown_before_anything_is_fetched(file: Any) -> None:
    shown = facts_html(file, 12)
    for words in (file.address, file.sha256, f"{file.size:,} bytes", f"{file.steps} steps"):
        assert words in shown
    assert file.licence.split(":")[0] in shown
    # The licence stands first.
    assert shown.index(file.licence.split(":")[0]) < shown.index(file.address)
    assert ("load its model first" in shown) == (file.blocks == 28)


def test_choosing_a_file_fetches_nothing(handlers: Handlers, visit: Visit) -> None:
    authors = Authors(handlers, never)
    parts = authors.choose(FITS, visit)
    assert FILES[FITS].sha256 in parts["author_facts"]
    assert parts["author_fetch"]["value"] == "Fetch and open"


def test_fetching_opens_the_file_on_the_grid(
    handlers: Handlers, visit: Visit, published: Path, cache: Path
) -> None:
    asked: list[str] = []
    authors = Authors(handlers, opener_of(published, asked))
    events = list(authors.fetch(FITS, visit))
    assert asked == [FILES[FITS].address] and kinds(events) == ["busy", "info"]
    # methods.md 4.3: 24 of its 50 steps are computed.
    computed = visit.state.schedule.computed
    assert computed.shape == (50, 12, 2) and int(computed[:, 0, 0].sum()) == 24
    assert "SmoothCache JSON: 50 steps, 12 blocks." in events[-1]["notice"]
    assert events[-1]["author_fetch"]["value"] == "Open"
    assert "needs no network" in events[-1]["author_facts"]
    again = list(authors.fetch(FITS, visit))
    assert len(asked) == 1 and kinds(again) == ["info"]
    assert [path.name for path in cache.iterdir()] == [FILES[FITS].filename]


def test_a_file_for_another_shape_is_not_fetched(handlers: Handlers, visit: Visit) -> None:
    before = visit.state
    (parts,) = Authors(handlers, never).fetch("l2c-20", visit)
    refused(parts, "28 blocks", "12")
    assert visit.state is before


def test_offline_is_said_and_changes_nothing(handlers: Handlers, visit: Visit) -> None:
    def offline(address: str) -> Any:
        raise urllib.error.URLError("no network")

    before = visit.state
    *_, last = Authors(handlers, offline).fetch(FITS, visit)
    refused(last, "cannot be reached", "no network")
    assert visit.state is before


def test_a_name_that_is_none_is_refused(handlers: Handlers, visit: Visit) -> None:
    authors = Authors(handlers, never)
    for name in (*JUNK, "l2c-99"):
        refused(authors.choose(name, visit), "not known")
        (parts,) = authors.fetch(name, visit)
        refused(parts, "not known")
