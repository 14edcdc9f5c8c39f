"""What the Method box shows of a method: its controls, what it says, and its buttons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from caching.learn.trainers import TRAINERS
from caching.methods import Method, Plan
from viz.methods import SLOTS, about_html, kind_of, slots_of
from viz.pages.edits import Parts
from viz.pages.visit import Visit
from viz.setting import Missing

NUMBERS = tuple(f"number{k}" for k in range(SLOTS))
WORDS = tuple(f"word{k}" for k in range(SLOTS))
BUTTONS = ("calibrate", "decide", "bake", "to_learn")


@dataclass(frozen=True)
class Look:
    """What a method makes of a page as it stands, without running anything.

    Attributes:
        plan: None if there is none yet.
        missing: what there would have to be first, or for a better one.
        words: why there is no plan.
        wrong: whether nothing can help: the method does not go with this model or step count.
    """

    plan: Plan | None = None
    missing: Missing = ""
    words: str = ""
    wrong: bool = False


def as_known(name: Any, visit: Visit) -> list[Any]:
    """What the controls of a method stand at, numbers then words; nothing of an unknown one."""
    try:
        kind = kind_of(name)
    except ValueError:
        return []
    chosen = visit.method
    known = chosen if chosen is not None and chosen.name == kind.name else visit.left.get(kind.name)
    return [slot.value for slot in slots_of(known or kind())] * 2


def slot_parts(method: Method) -> Parts:
    """The places for controls, as a method fills them."""
    parts: Parts = {}
    for number, word, slot in zip(NUMBERS, WORDS, slots_of(method), strict=True):
        parts[number] = gr.update(visible=False)
        parts[word] = gr.update(visible=False)
        if (control := slot.control) is None:
            continue
        common = {"visible": True, "label": control.label, "value": slot.value}
        about = control.about or None
        if slot.is_list:
            parts[word] = gr.update(choices=list(control.choices), info=about, **common)
        else:
            parts[number] = gr.update(
                minimum=control.least,
                maximum=control.most,
                step=1 if control.whole else control.step,
                info=about,
                **common,
            )
    return parts


def box_parts(visit: Visit, method: Method, look: Look) -> Parts:
    """What the box says and which buttons it has."""
    decides = look.plan is not None and look.plan.policy is not None
    shown = {
        "calibrate": look.missing == "calibration",
        "to_learn": look.missing == "training" and method.name in TRAINERS,
        "decide": decides,
        "bake": decides or visit.result.policy is not None,
    }
    words = look.words if not look.wrong or method.faithfulness == "does not apply" else ""
    return {
        "about": about_html(type(method), plan=look.plan, missing=words),
        **{name: gr.update(visible=on) for name, on in shown.items()},
    }
