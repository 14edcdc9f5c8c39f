"""The scripts and the style of what is kept and dropped: drafts, files dropped on the page."""

from __future__ import annotations

import json
from importlib.resources import files

from viz import sharetext as text
from viz.text import AFRESH_TIP, HOME_MODEL

_HERE = files(__package__)


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _constants(**values: str) -> str:
    """Words for a script; what stands in a script must not be able to end it."""
    lines = [
        f"const {name} = {json.dumps(value)};".replace("</", "<\\/")
        for name, value in values.items()
    ]
    return "".join(lines)


def _scoped(constants: str, script: str) -> str:
    return f"<script>{{{constants}\n{script}}}</script>"


KEEP_STYLE = _read("share.css") + f":root {{ --cb-drop-words: {json.dumps(text.DROP)}; }}\n"
KEEP_HEAD = (
    _scoped(_constants(TIP=AFRESH_TIP), _read("memory.js"))
    + _scoped(_constants(HOME=HOME_MODEL, WORDS=text.DRAFT, TIP=text.DRAFT_TIP), _read("drafts.js"))
    + _scoped("", _read("drop.js"))
)
ARRIVE_JS = "(link, visit, left) => [location.hash.slice(1), visit, window.cbMemory.take()]"
AFRESH_JS = "() => window.cbMemory.forget()"
KEEP_JS = "(given) => window.cbDraft.keep(given)"
TAKE_JS = "(link, visit) => [window.cbDraft.take(), visit]"
