"""CompareView: the picture stage of the page, a gr.HTML whose DOM the JS files here build."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import gradio as gr

from viz import palette, served
from viz.compare.values import Comparison

# In reading order; they share one function scope, so later files see what earlier ones define.
SCRIPTS = (
    "dom.js",
    "pictures.js",
    "difference.js",
    "stage.js",
    "region.js",
    "scrubber.js",
    "cards.js",
    "compare.js",
)
_HERE = files(__package__)


def script() -> str:
    """The stage as one script that defines `cachebrushCompare`, with style and colours in it."""
    css = palette.css_variables() + (_HERE / "compare.css").read_text(encoding="utf-8")
    return "\n".join((
        "function cachebrushCompare(element, props, watch, START) {",
        f"const CSS = {json.dumps(css)};",
        f"const DIVERGING = {json.dumps(palette.DIVERGING)};",
        *((_HERE / name).read_text(encoding="utf-8") for name in SCRIPTS),
        "}",
    ))  # fmt: skip


ADDRESS = served.put("compare.js", script())


def _with_files(value: dict[str, Any]) -> dict[str, Any]:
    """A comparison with the addresses of its pictures in their place."""
    made = {}
    for key, part in value["sources"].items():
        uris = {name: part[name] for name in ("src", "final") if part.get(name)}
        made[key] = part | {n: served.put_uri(f"{key}-{n}", uri) for n, uri in uris.items()}
    return {**value, "sources": made}


class CompareView(gr.HTML):
    """Shows a Comparison; takes no input.

    Write it with `Comparison` as the value, and `gr.update(live=live_frame(...))` while a run is in
    progress. Keep it mounted (visible="hidden" instead of False): Gradio forgets props on re-mount.
    """

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
        kwargs.setdefault("js_on_load", "")
        kwargs.setdefault("apply_default_css", False)
        super().__init__(value=value, live=live, **kwargs)

    def get_config(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The page's configuration: the first pictures are files, so that the page stays light."""
        config: dict[str, Any] = super().get_config(*args, **kwargs)
        start = {"key": str(self.elem_id or self._id), "live": self.props.get("live")}
        call = "cachebrushCompare(element, props, watch, {...START, base})"
        config["js_on_load"] = f"const START = {json.dumps(start)};\n{served.loader(ADDRESS, call)}"
        if config.get("value"):
            config["value"] = _with_files(config["value"])
        return config

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
