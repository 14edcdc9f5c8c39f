"""The authors' files on the page: shown with their licence, fetched when asked, opened like any."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

import gradio as gr

from caching.errors import CachebrushError
from caching.fetch import Opener, fetch, kept
from caching.formats.authors import FILES, AuthorsFile, file_of
from caching.formats.importers import import_schedule
from viz import sharetext as text
from viz.pages import studio
from viz.pages.edits import Parts
from viz.pages.handlers import Handlers
from viz.pages.share import Share
from viz.pages.visit import Visit

CHOICES = [(file.title, name) for name, file in FILES.items()]
FIRST = next(iter(FILES))


class Authors:
    """The handlers of the box; `opener` stands in for the network in tests."""

    def __init__(self, handlers: Handlers, opener: Opener | None = None) -> None:
        self.handlers, self.share, self.opener = handlers, Share(handlers), opener

    def choose(self, name: Any, visit: Visit) -> Parts:
        """What is known of a file before it is fetched."""
        try:
            file = file_of(name)
        except CachebrushError as error:
            return self.handlers.refuse(visit, str(error))
        return {"author_facts": facts_html(file, visit.state.model.blocks), **_button(file)}

    def fetch(self, name: Any, visit: Visit) -> Iterator[Parts]:
        """Fetch a file, unless it is here already, and put it on the grid."""
        try:
            file = file_of(name)
            here = visit.state.model.blocks
            if file.blocks not in (None, here):
                words = text.AUTHORS_FITS.format(blocks=file.blocks, here=here)
                yield self.handlers.refuse(visit, words)
                return
            if kept(file) is None:
                said = text.FETCHING.format(title=file.title, size=f"{file.size:,}")
                yield {"notice": studio.notice_html(said, "busy")}
            path = fetch(file, opener=self.opener)
            model = visit.state.model
            found = import_schedule(path, blocks=model.blocks, branches=model.branches)
        except (CachebrushError, ValueError) as error:
            yield self.handlers.refuse(visit, str(error))
            return
        parts = self.share.open_found(found, visit)
        yield {**parts, "author_facts": facts_html(file, model.blocks), **_button(file)}


def _button(file: AuthorsFile) -> Parts:
    words = text.AUTHORS_BUTTON if kept(file) is None else text.AUTHORS_HERE
    return {"author_fetch": gr.update(value=words)}


def facts_html(file: AuthorsFile, blocks: int) -> str:
    """Address, size, hash and licence; and whether it goes with a model of so many blocks."""
    esc = html.escape
    count = text.ANY_BLOCKS if file.blocks is None else text.BLOCKS.format(count=file.blocks)
    rows = (
        (text.LICENCE, f"<b>{esc(file.licence)}</b>"),
        (text.FOR, esc(text.STEPS_AND_BLOCKS.format(steps=file.steps, blocks=count))),
        (text.SIZE, esc(text.BYTES.format(size=file.size))),
        (text.ADDRESS, f"<code>{esc(file.address)}</code>"),
        (text.SHA256, f"<code>{file.sha256}</code>"),
    )
    inside = "".join(f"<dt>{esc(name)}</dt><dd>{value}</dd>" for name, value in rows)
    notes = [file.note] if file.note else []
    if file.blocks not in (None, blocks):
        notes.append(text.AUTHORS_FITS.format(blocks=file.blocks, here=blocks))
    if kept(file):
        notes.append(text.ALREADY_HERE)
    said = "".join(f"<p>{esc(note)}</p>" for note in notes)
    return f'<div class="cb-facts" data-file="{esc(file.name)}"><dl>{inside}</dl>{said}</div>'
