"""Taking away and bringing back: downloads, opened files with their settings, and drafts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import gradio as gr

from caching.formats.importers import Imported, import_schedule
from viz import sharetext as text
from viz.pages import asked, saved, studio
from viz.pages.edits import Parts
from viz.pages.handlers import Handlers
from viz.pages.lessons import Lessons
from viz.pages.resume import Resume
from viz.pages.visit import Visit, start_visit
from viz.place import STUDIO
from viz.state import Configure, Gather, Settings, ViewState


class Share:
    """The handlers of the files box and of drafts."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers, self.resume = handlers, Resume(Lessons(handlers))

    # -- out -------------------------------------------------------------------------------

    def download(self, what: Any, visit: Visit) -> Parts:
        """One of `saved.MAKERS`, as the browser takes it."""
        if not isinstance(what, str) or what not in saved.MAKERS:
            words = text.UNKNOWN_DOWNLOAD.format(name=f"{what!r:.30}")
            return {"export_file": "", **self.handlers.refuse(visit, words)}
        try:
            made = saved.MAKERS[what][1](visit)
        except ValueError as error:
            return {"export_file": "", **self.handlers.refuse(visit, str(error))}
        of_now = what.startswith("curves") or what.startswith("grid")
        stale = not of_now and studio.is_stale(visit.shown, visit.state)
        words = (text.SAVED_OTHER if stale else text.SAVED).format(name=made.name)
        return {"export_file": made.to_json(), "notice": studio.notice_html(words)}

    def picture(self, visit: Visit) -> Parts:
        """The cached picture with its recipe inside."""
        return self.download("picture", visit)

    def report(self, visit: Visit) -> Parts:
        """The comparison as one HTML file."""
        return self.download("report", visit)

    def export(self, target: Any, visit: Visit) -> Parts:
        """The schedule in another program's form; nothing where it was refused."""
        # Otherwise the file of the time before would be saved once more.
        return {"export_file": "", **self.handlers.export(target, visit)}

    def draft(self, visit: Visit) -> str:
        """What the browser is to keep: the state as a link, and the visit; "" for nothing.

        No link while nothing is painted, no visit while nothing has happened.
        """
        link, page = _link_of(self.handlers, visit), self.resume.keep(visit)
        if link == _untouched(self.handlers):
            link = ""
        if not page and (not link or visit.arrived is not None):
            return ""
        return json.dumps({"model": visit.state.model.name, "link": link, "page": page})

    def restore(self, link: Any, visit: Visit) -> Parts:
        """The draft that the browser has kept; checked like any link."""
        parts = self.handlers.open_link(link, visit)
        if not visit.refused:
            parts["notice"] = studio.notice_html(text.DRAFT_BACK, "ready")
        return parts

    # -- in --------------------------------------------------------------------------------

    def open_file(self, path: Any, visit: Visit) -> Parts:
        """A schedule of ours or of another project; a picture of ours brings its settings too."""
        model = visit.state.model
        try:
            found = import_schedule(str(path), blocks=model.blocks, branches=model.branches)
            found.schedule.check_fits(blocks=model.blocks, branches=model.branches)
        except ValueError as error:
            return self.handlers.refuse(visit, f"The file was not opened: {error}")
        return self.open_found(found, visit)

    def open_found(self, found: Imported, visit: Visit) -> Parts:
        """What was understood of a file, put on the page: settings first, then the grid."""
        settings, words = settings_in(found.request, visit)
        before = visit.state
        if settings is not None:
            try:
                visit.session.dispatch(Configure(settings))
            except ValueError as error:
                settings, words = None, text.BAD_SETTINGS.format(why=error)
        parts = self.handlers.open_found(found, visit, words)
        visit.session.dispatch(Gather(before))
        if settings is None or visit.refused:
            return parts
        parts["grid"] = {**parts["grid"], "value": visit.value(), "spec": visit.spec()}
        return {**parts, **_controls(settings), **self._box_of(visit, before)}

    def _box_of(self, visit: Visit, before: ViewState) -> Parts:
        """What the method box says, where what it says it for has changed."""
        old, new = before.settings, visit.state.settings
        same = (old.cfg_scale, old.sampler) == (new.cfg_scale, new.sampler)
        steps = before.schedule.steps == visit.state.schedule.steps
        return {} if same and steps else self.handlers.box(visit)


def _controls(settings: Settings) -> Parts:
    """The controls of the picture, as settings have them."""
    values = {"label": settings.label, "seed": settings.seed, "cfg": settings.cfg_scale}
    found = {**values, "sampler": settings.sampler}
    return {name: gr.update(value=value) for name, value in found.items()}


def _link_of(handlers: Handlers, visit: Visit) -> str:
    """The state as a link without its view: a draft is what was painted, not the way it is seen."""
    return str(handlers.copy_link(visit, STUDIO)["link"])


@cache
def _untouched(handlers: Handlers) -> str:
    """The link of a page as it opens."""
    return _link_of(handlers, start_visit())


def settings_in(request: Mapping[str, Any] | None, visit: Visit) -> tuple[Settings | None, str]:
    """The settings in a file's request, None where there are none to take, and words about them."""
    if request is None:
        return None, ""
    model = visit.state.model
    if request.get("model") != model.name:
        return None, text.OTHER_MODEL.format(model=f"{request.get('model')!s:.80}")
    try:
        label = request.get("label")
        settings = asked.settings_of(
            label, request.get("seed"), request.get("cfg_scale"), request.get("sampler")
        )
        if settings.label >= len(model.class_names):
            raise ValueError(f"class {settings.label} is not one of this model.")
    except ValueError as error:
        return None, text.BAD_SETTINGS.format(why=error)
    words = text.RESTORED.format(
        words=f"{model.class_names[settings.label]}, seed {settings.seed}, guidance "
        f"{settings.cfg_scale:g}, {studio.SAMPLER_NAMES[settings.sampler]}"
    )
    theirs = request.get("weights_hash")
    if visit.weights_hash and isinstance(theirs, str) and theirs not in ("", visit.weights_hash):
        words += f" {text.OTHER_WEIGHTS}"
    return settings, words
