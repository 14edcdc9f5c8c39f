"""Links: the state of the page as an address that opens it again elsewhere."""

from __future__ import annotations

from typing import Any

import gradio as gr

from caching.errors import CachebrushError
from caching.methods import Method
from caching.schedule import Schedule
from viz import text
from viz.link import Link, from_link, to_link
from viz.pages import asked, studio
from viz.pages.edits import Parts, settings_parts
from viz.pages.learn import Learns
from viz.pages.method_box import slot_parts
from viz.pages.methods import GROUP
from viz.pages.visit import Visit
from viz.place import Place
from viz.state import Configure, Gather, Repaint, Resteps, ViewState


class Links(Learns):
    """The handlers of links, on top of all that edits, runs and learns."""

    def copy_link(self, visit: Visit, place: Place | None = None) -> Parts:
        """The state as the text behind `#` in an address; the page's script does the copying.

        `place`: where the link leads, if not to where the visitor is.
        """
        state, method = visit.state, visit.method
        made: Method | Schedule = state.schedule
        # By name only while the grid is what the method, as its controls stand, has painted.
        as_named = method and state.now.painted_by == (method.words, GROUP + method.name)
        if method and as_named and not state.now.locks:
            made = method
        steps, locks = state.schedule.steps, state.now.locks
        link = Link(state.model.name, state.settings, steps, made, locks, place or state.place)
        found = to_link(link, model=home())
        words = text.LINK_COPIED.format(count=len(found))
        return {"link": found, "notice": studio.notice_html(words, "ready")}

    def open_link(self, given: Any, visit: Visit) -> Parts:
        """The page was opened with a link in its address; a wrong one changes nothing."""
        try:
            return self.take_link(from_link(given, model=home()), visit)
        except (CachebrushError, ValueError) as error:
            return self._refuse(visit, text.LINK_REFUSED.format(why=error))

    def take_link(self, link: Link, visit: Visit, what: str = "link") -> Parts:
        """Settings, steps and grid of a link; its place is for whoever opens it.

        `what`: what undo calls a grid that it brings.

        Raises:
            CachebrushError, ValueError: it does not go with this page; nothing has changed.
        """
        state = visit.state
        if link.model != state.model.name:
            return self._refuse(visit, text.LINK_OF_OTHER_MODEL.format(model=link.model))
        s = link.settings
        settings = asked.settings_of(s.label, s.seed, s.cfg_scale, s.sampler)
        steps = asked.steps_of(link.steps)
        if isinstance(link.made, Schedule):
            link.made.check_fits(
                steps=steps, blocks=state.model.blocks, branches=state.model.branches
            )
        before = visit.state
        visit.session.dispatch(Configure(settings))
        visit.session.dispatch(Resteps(steps))
        parts = settings_parts(visit.state)
        if isinstance(link.made, Method):
            visit.method = visit.left[link.made.name] = link.made
            painted = self._apply(visit, link.made)
            parts |= {"method": gr.update(value=link.made.name), **slot_parts(link.made)}
        else:
            painted = self._dispatch(visit, Repaint(what, link.made, locks=link.locks))
        visit.session.dispatch(Gather(before))
        if isinstance(link.made, Method):
            visit.note_choice(link.made.name)
        parts |= self._with_all(visit, before, painted)
        parts["notice"] = parts["notice"] or studio.notice_html(text.LINK_OPENED, "ready")
        return parts

    def refuse(self, visit: Visit, words: str) -> Parts:
        """Say why something was not taken."""
        return self._refuse(visit, words)

    def repaint(self, visit: Visit, event: Repaint) -> Parts:
        """Another grid, of whichever box."""
        return self._dispatch(visit, event)

    def all_changed(self, visit: Visit, before: ViewState) -> Parts:
        """Everything that has changed since `before`, with the controls of the picture."""
        return {**settings_parts(visit.state), **self._changed(visit, before)}

    def _with_all(self, visit: Visit, before: ViewState, painted: Parts) -> Parts:
        """What painting showed, with all that has changed since `before`, which was longer ago."""
        refused = visit.refused
        parts = {**painted, **self._changed(visit, before)}
        visit.refused = refused
        return {**parts, "notice": painted.get("notice", "")}


def home() -> str:
    """The model that a link need not name: the one that ships."""
    return text.HOME_MODEL
