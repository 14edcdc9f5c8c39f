"""CompareView: the picture stage of the page, a gr.HTML whose DOM the JS files here build."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import gradio as gr

from viz import palette
from viz.compare.values import Comparison

# In reading order; they share one function scope, so later files see what earlier ones define.
SCRIPTS = (
    "dom.js",
    "pictures.js",
    "difference.js",
    "stage.js",
    "scrubber.js",
    "cards.js",
    "compare.js",
)
_HERE = files(__package__)


def _script() -> str:
    css = palette.css_variables() + (_HERE / "compare.css").read_text(encoding="utf-8")
    head = f"const CSS = {json.dumps(css)};\nconst DIVERGING = {json.dumps(palette.DIVERGING)};\n"
    return head + "\n".join((_HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)


_JS = _script()  # read once: every update of a prop builds a new CompareView


class CompareView(gr.HTML):
    """Shows a Comparison; takes no input.

    Write it with `Comparison` as the value, and `gr.update(live=live_frame(...))` while a run is in
    progress. Keep it mounted (visible="hidden" instead of False): Gradio forgets props on re-mount.
    """

    PROPS = ("live",)

    def __init__(
        self,
        value: Comparison | None = None,
        *,
        live: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        # The template stays constant, so that an update never replaces what the script built.
        kwargs.setdefault("html_template", '<div class="cb-compare"></div>')
        kwargs.setdefault("css_template", "")
        kwargs.setdefault("js_on_load", _JS)
        kwargs.setdefault("apply_default_css", False)
        super().__init__(value=value, live=live, **kwargs)
        start = {"key": str(self.elem_id or self._id), "live": live}
        self.js_on_load = f"const START = {json.dumps(start)};\n{self.js_on_load}"

    def __getattr__(self, name: str) -> Any:
        # gr.HTML takes any word quoted in the script for an event; a prop of that name would be
        # sent to the page as the text of that event's function.
        if name in CompareView.PROPS:
            raise AttributeError(name)
        return super().__getattr__(name)

    def preprocess(self, payload: Any) -> None:
        """Nothing from the browser is taken: whatever arrives becomes None."""

    def postprocess(self, value: Any) -> dict[str, Any] | None:  # type: ignore[override]
        """A Comparison as the JSON that the page reads."""
        if value is None:
            return None
        if not isinstance(value, Comparison):
            raise ValueError(f"CompareView got {type(value).__name__}: expected a Comparison")
        return value.lower()

    def api_info(self) -> dict[str, Any]:
        """JSON schema for the API page."""
        return {"type": "object", "title": "Comparison", "description": "output only"}

    def example_payload(self) -> None:
        """No input, so no example."""

    def example_value(self) -> None:
        """No input, so no example."""
