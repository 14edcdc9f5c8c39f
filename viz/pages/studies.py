"""The Study box: the recorded comparison of all methods, and any of its rows put on the grid."""

from __future__ import annotations

from functools import cache
from typing import Any

import gradio as gr

from caching.errors import CachebrushError
from caching.study.store import SHIPPED, Study, load_study
from viz import studies, text
from viz.pages.edits import Parts
from viz.pages.links import Links
from viz.pages.method_box import slot_parts
from viz.pages.visit import Visit
from viz.state import Resteps

FIRST_TARGET = 2.0


@cache
def recorded() -> Study | None:
    """The study that ships, None where there is none."""
    return load_study(SHIPPED) if SHIPPED.is_file() else None


class Studies(Links):
    """The handlers of the Study box, on top of all others that edit."""

    def show_study(self, target: Any, visit: Visit) -> Parts:
        """Another speed-up of the study."""
        study = recorded()
        if study is None or target not in study.targets:
            return self._refuse(visit, text.NO_STUDY)
        return {
            "study": studies.table_html(study, target),
            "study_row": gr.update(choices=studies.choices(study, target), value=None),
            "notice": gr.skip(),
        }

    def paint_row(self, number: Any, visit: Visit) -> Parts:
        """Put a row of the study on the grid, its method with the controls it had."""
        study = recorded()
        try:
            if study is None:
                raise CachebrushError(text.NO_STUDY)
            if study.model != visit.state.model.name:
                raise CachebrushError(text.STUDY_OF_OTHER_MODEL.format(model=study.model))
            method = studies.method_at(study, number)
        except (CachebrushError, ValueError) as error:
            return self._refuse(visit, str(error))
        before = visit.state
        visit.session.dispatch(Resteps(study.steps))
        visit.method = visit.left[method.name] = method
        painted = self._apply(visit, method)
        return {
            "method": gr.update(value=method.name),
            **slot_parts(method),
            **self._with_all(visit, before, painted),
        }
