"""How the page looks: theme, style sheet and the scripts that belong to the page as a whole."""

from __future__ import annotations

import json
from importlib.resources import files

import gradio as gr
from gradio.themes.utils.fonts import LocalFont

from viz import served
from viz.compare.compare import ADDRESS as STAGE
from viz.figures.page import FIGURE_CSS, HOVER_HEAD
from viz.grid.grid import ADDRESS as PAINTER
from viz.methods import choices
from viz.pages.keep import KEEP_HEAD, KEEP_STYLE
from viz.pages.studio import notice_html
from viz.text import KEEPING

_HERE = files(__package__)

STYLE = (
    FIGURE_CSS
    + KEEP_STYLE
    + "".join(
        (_HERE / name).read_text(encoding="utf-8")
        for name in (
            "studio.css",
            "views.css",
            "pareto.css",
            "seeing.css",
            "calibrate.css",
            "touch.css",
        )
    )
)
# A link pasted over the address of an open page opens it anew.
_PARETO = f"<script>{(_HERE / 'pareto.js').read_text(encoding='utf-8')}</script>"
_FIT = f"<script>{(_HERE / 'fit.js').read_text(encoding='utf-8')}</script>"
_TABS = f"<script>{(_HERE / 'tabs.js').read_text(encoding='utf-8')}</script>"
_SLIDERS = f"<script>{(_HERE / 'sliders.js').read_text(encoding='utf-8')}</script>"
_COPY = f"<script>{(_HERE / 'copy.js').read_text(encoding='utf-8')}</script>"
_NAMES = json.dumps(dict(choices())).replace("</", "<\\/")
_CHOOSE = (
    f"<script>{{const NAMES = {_NAMES};\n{(_HERE / 'choose.js').read_text('utf-8')}}}</script>"
)
_GLOSSARY = f"<script>{(_HERE / 'glossary.js').read_text(encoding='utf-8')}</script>"
HEAD = (
    served.preload(PAINTER, "script")
    + served.preload(STAGE, "script")
    + HOVER_HEAD
    + KEEP_HEAD
    + _PARETO
    + _GLOSSARY
    + _FIT
    + _TABS
    + _SLIDERS
    + _COPY
    + _CHOOSE
    + "<script>addEventListener('hashchange', () => window.cbMemory.leave())</script>"
)
# What the event of the list of methods waits for, see choose.js.
CHOOSE_JS = """async (name, _, ...given) => {
  const at = document.querySelector("#grid .cb-grid")?.cbGrid?.state().rev ?? null;
  await window.cbChosen;
  return [name, at, ...given];
}"""
SAY_JS = (_HERE / "say.js").read_text(encoding="utf-8")
LINK_JS = (_HERE / "link.js").read_text(encoding="utf-8")
CLASS_JS = (_HERE / "classlink.js").read_text(encoding="utf-8")
PARETO_JS = "(asked, ...rest) => [window.cbParetoAsked ?? null, ...rest]"
SAVE_JS = (_HERE / "save.js").read_text(encoding="utf-8")
KEEPING_JS = f"() => {json.dumps(notice_html(KEEPING, 'busy'))}"
# While something learns the painter shows its colour layer, and afterwards what it showed before.
# A training may begin while the one before still ends, so they are counted.
_VIEWS = "document.querySelector('#grid .cb-views')"
LEARN_JS = f"""(...given) => {{
  const views = {_VIEWS};
  window.cbLearning ||= 0;
  if (!window.cbLearning++)
    window.cbViewBefore = views?.querySelector('[aria-checked="true"]')?.dataset.id;
  views?.querySelector('[data-id="layer"]')?.click();
  return given;
}}"""
REST_JS = f"""() => {{
  const before = --window.cbLearning ? null : window.cbViewBefore;
  if (before) {_VIEWS}?.querySelector(`[data-id="${{before}}"]`)?.click();
}}"""


def theme() -> gr.themes.Base:
    """Gradio's default with a blue accent, legible greys and only fonts that ship with it.

    Weight 400 and 700: the bundled files of weight 600 hold no Latin letters.
    """
    return gr.themes.Default(
        primary_hue="blue",
        neutral_hue="slate",
        text_size="sm",
        spacing_size="sm",
        radius_size="md",
        font=(LocalFont("Source Sans Pro", weights=(400, 700)), "ui-sans-serif", "sans-serif"),
        font_mono=(LocalFont("IBM Plex Mono", weights=(400,)), "ui-monospace", "monospace"),
    ).set(
        button_primary_background_fill="#0B4F7D",
        button_primary_background_fill_hover="#083B5E",
        button_primary_background_fill_dark="#2474A8",
        button_primary_background_fill_hover_dark="#2C7DB4",
        button_primary_text_color="white",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_label_text_color="*neutral_700",
        block_info_text_color="*neutral_600",
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
        block_info_text_color_dark="*neutral_300",
    )
