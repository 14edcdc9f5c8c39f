"""The style for fingers and phones keeps clear of what Gradio does to a page's CSS."""

from __future__ import annotations

import re

from viz.pages import look


def test_no_rule_for_phones_has_a_comma_within_brackets() -> None:
    css = (look._HERE / "touch.css").read_text(encoding="utf-8")
    rules = re.sub(r"/\*.*?\*/", "", css, flags=re.S)
    assert not re.search(r"\([^()]*,[^()]*\)", rules), "Gradio puts its prefix behind every comma"
