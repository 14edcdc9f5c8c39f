"""The boxes of the page: their names, and what their own controls do."""

from __future__ import annotations

import inspect
from collections import Counter
from typing import Any

import gradio as gr
import pytest

from app import BOXES
from viz.boxes.picture import Bounded
from viz.pages.visit import start_visit


def test_no_part_of_a_box_takes_the_place_of_another_s() -> None:
    start, names, ids = start_visit(), Counter[str](), Counter[str]()
    with gr.Blocks() as page:
        for box in BOXES:
            for name in ("build", "build_teacher"):
                build: Any = getattr(box, name, None)
                if build is not None:
                    takes = len(inspect.signature(build).parameters)
                    names.update(list(build(*[start][:takes])))
    ids.update(block.elem_id for block in page.blocks.values() if block.elem_id)
    assert {name for name, count in names.items() if count > 1} == set()
    assert {name for name, count in ids.items() if count > 1} == set()
    assert len(names) > 50


@pytest.mark.parametrize(
    ("given", "meant"), [(99, 10), (0.2, 1), (2.5, 2.5), (None, None), ("x", "x")]
)
def test_a_typed_number_out_of_bounds_is_the_bound_that_the_slider_shows(
    given: object, meant: object
) -> None:
    slider = Bounded(1, 10, value=2)
    assert slider.preprocess(given) == meant  # type: ignore[arg-type]
    assert slider.get_block_name() == "slider"
