"""The Learn panel: training a router on the page, watched while it changes."""

from __future__ import annotations

import html
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import gradio as gr

from caching.learn.store import Learned
from caching.learn.trainers import TRAINERS
from caching.methods import METHODS, Method
from viz import text
from viz.learning import (
    POWERS,
    Learning,
    control_of,
    layer_of,
    offered,
    panel_html,
    power_of,
    price_of,
    trainer_from,
)
from viz.pages import studio
from viz.pages.edits import Parts
from viz.pages.method_box import slot_parts
from viz.pages.methods import Methods
from viz.pages.runs import failed
from viz.pages.visit import Visit
from viz.work import Made

SHOW_EVERY_S = 0.25
MOST_KEPT = 12  # of a visitor's trainings


class Learns(Methods):
    """The handlers of the Learn panel, on top of those of methods."""

    def choose_training(self, name: Any, visit: Visit) -> Parts:
        """Another training was chosen: its own sliders."""
        if name not in [known for _, known in offered()]:
            return self._refuse(visit, f"training {name!r:.40} is not known.")
        return training_parts(str(name))

    def to_learn(self, visit: Visit) -> Parts:
        """Open the panel on the chosen method."""
        method = visit.method
        if method is None or method.name not in TRAINERS:
            return self._refuse(visit, text.NOT_TRAINABLE)
        return {
            "learn_box": gr.update(open=True),
            "training": gr.update(value=method.name),
            **training_parts(method.name),
        }

    def learn(
        self, name: Any, power: Any, theta: Any, iterations: Any, visit: Visit
    ) -> Iterator[Parts]:
        """Train, showing the router as colours of the grid; at the end paint what it makes."""
        try:
            trainer = trainer_from(name, power, theta, iterations)
        except ValueError as error:
            yield self._refuse(visit, str(error))
            return
        state = visit.state
        stopped = visit.session.begin_run()
        mine = visit.busy = object()
        shown = 0.0
        learned: Learned | None = None
        failure: Exception | None = None
        try:
            yield {"keep": gr.update(interactive=True)}
            yield from self._waiting(visit)
            for item in self.engine.learn(
                state, trainer, stopped=stopped, enough=lambda: visit.enough is mine
            ):
                if isinstance(item, Made):
                    learned = item.value
                elif (now := time.monotonic()) - shown >= SHOW_EVERY_S:
                    shown = now
                    yield self._learning(visit, trainer.title, item)
        except Exception as error:
            failure = error
        finally:
            if visit.busy is mine:
                visit.busy = None
        if failure is not None:
            yield {"notice": failed("training", failure), **self._rested(visit)}
            return
        if learned is not None:
            yield self._keep(visit, learned, theta)
            return
        parts = self._rested(visit)
        if visit.session.at_rest:
            parts["notice"] = studio.notice_html(text.STOPPED_LEARNING)
        yield parts

    def keep(self, visit: Visit) -> Parts:
        """End the training in progress and keep what there is."""
        if visit.busy is None:
            return self._refuse(visit, text.NOTHING_TO_KEEP)
        visit.enough = visit.busy
        return {"notice": gr.skip()}  # the page has said so itself, and the training speaks next

    def _learning(self, visit: Visit, title: str, item: Learning) -> Parts:
        ending = visit.enough is not None and visit.enough is visit.busy
        words = text.KEEPING if ending else f"{title}. {item.words}"
        parts: Parts = {
            "learning": panel_html(item),
            "notice": studio.notice_html(words, "busy"),
        }
        if item.probs.shape == visit.state.schedule.actions.shape:
            parts["grid"] = gr.update(layer=layer_of(item))
        return parts

    def _rested(self, visit: Visit) -> Parts:
        """The page without a training, unless a newer one has begun."""
        if visit.busy is not None:
            return {}
        return {"grid": gr.update(layer=visit.layer()), "keep": gr.update(interactive=False)}

    def _keep(self, visit: Visit, learned: Learned, theta: Any) -> Parts:
        """Put what was learned on the visitor's shelf, and paint what its method makes of it."""
        visit.learned = [*visit.learned, learned][-MOST_KEPT:]
        visit.method = method = _with_theta(METHODS[learned.method](), theta)
        visit.left[method.name] = method
        parts = {"method": gr.update(value=method.name), **slot_parts(method)}
        fits = (visit.state.model.name, visit.state.schedule.steps)
        if fits == (learned.model, learned.steps):
            parts |= self._apply(visit, method)
        else:
            parts |= self.box(visit)
        parts["grid"] = {**parts.get("grid", gr.update()), "layer": visit.layer()}
        parts["learning"] = panel_html(None, learned)
        parts["keep"] = gr.update(interactive=False)
        if not parts.get("notice"):
            words = text.LEARNED.format(title=method.title, steps=learned.steps)
            parts["notice"] = studio.notice_html(words, "ready")
        return parts


def _with_theta(method: Method, theta: Any) -> Method:
    """The method at the θ of the panel, where it has one of that range."""
    try:
        known = [f.name for f in fields(method)]
        return replace(method, **{"theta": float(theta)}) if "theta" in known else method
    except ValueError:
        return method


def training_parts(name: str) -> Parts:
    """The sliders of a training, at its defaults."""
    kind = TRAINERS[name]
    price, theta = price_of(kind), control_of(kind, "theta")
    iterations = control_of(kind, "iterations")
    parts: Parts = {
        "price": gr.update(visible=False),
        "theta": gr.update(visible=False),
        "learn_about": (
            f'<div class="cb-about"><p>{html.escape(kind.about)}</p><p>{text.LEARN_INFO}</p></div>'
        ),
        "iterations": gr.update(value=iterations.default if iterations else 1000),
    }
    if price is not None:
        middle = power_of(price)
        parts["price"] = gr.update(
            visible=True,
            label=text.PRICE.format(label=price.label),
            minimum=middle - POWERS,
            maximum=middle + POWERS,
            value=middle,
        )
    if theta is not None:
        parts["theta"] = gr.update(
            visible=True, minimum=theta.least, maximum=theta.most, value=theta.default
        )
    return parts
