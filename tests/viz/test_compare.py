"""CompareView in Python: values check themselves and lower to JSON; nothing comes in."""

import base64
import json

import gradio as gr
import numpy as np
import pytest

from viz import served
from viz.compare import CompareView, Comparison, LiveFrame, Source, live_frame, pending, source
from viz.compare.compare import ADDRESS, SCRIPTS, script
from viz.images import decode_uri, picture_uri


def frames(count: int = 5, size: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def comparison(**changes) -> Comparison:
    parts = {"full": source("Full", "0.5 s", frames()), "cached": pending("Cached")}
    return Comparison(**{"rev": 1, "held": "same noise, seed 7", "sources": parts} | changes)


def test_a_comparison_lowers_to_json():
    lowered = json.loads(json.dumps(comparison(badge="recorded on a laptop").lower()))
    full = lowered["sources"]["full"]
    assert list(full) == [
        "label", "caption", "src", "frames", "columns", "size", "lossless", "final",
    ]  # fmt: skip
    assert (full["frames"], full["columns"], full["size"], full["lossless"]) == (5, 3, 8, True)
    assert lowered["sources"]["cached"] == {"label": "Cached", "caption": "not run yet"}
    assert (lowered["rev"], lowered["badge"]) == (1, "recorded on a laptop")


def test_the_final_picture_is_the_last_frame_or_the_one_given():
    given = frames(1)[0] // 2
    last = source("Full", "", frames()).final
    assert last is not None and np.array_equal(decode_uri(last), frames()[-1])
    own = source("Full", "", frames(), given).final
    assert own is not None and np.array_equal(decode_uri(own), given)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"rev": -1}, "rev = -1"),
        ({"rev": "3"}, "rev = '3'"),
        ({"held": " "}, "held"),
        ({"held": "x" * 200}, "held"),
        ({"badge": ""}, "badge"),
        ({"sources": {"Full!": pending("Full")}}, "source key 'Full!'"),
        ({"sources": {"full": {"label": "Full"}}}, "'full' is dict: expected a Source"),
        ({"sources": {f"s{i}": pending("x") for i in range(7)}}, "7 sources"),
    ],
)
def test_a_comparison_checks_itself(changes, match):
    with pytest.raises(ValueError, match=match):
        comparison(**changes)


def test_a_source_has_both_sheet_and_final_or_neither():
    with pytest.raises(ValueError, match="has no sheet and a final picture"):
        Source("Full", "", None, picture_uri(frames()[0]))
    with pytest.raises(ValueError, match="data:image"):
        Source("Full", "", source("Full", "", frames()).sheet, "https://example.org/full.png")
    with pytest.raises(ValueError, match="label"):
        pending("")


def test_a_live_frame_lowers_and_checks_itself():
    frame = live_frame("r1", "cached", 3, 20, frames()[0], "running the cached schedule …")
    assert (frame["step"], frame["total"], frame["done"]) == (3, 20, False)
    assert np.array_equal(decode_uri(frame["src"]), frames()[0])
    assert live_frame("r1", "cached", 0, 20, None, "starting")["src"] is None
    for wrong in ({"step": 20}, {"step": -1}, {"source": "no key"}, {"run": ""}, {"src": "a.png"},
                  {"held": " "}, {"held": "x" * 999}, {"title": ""}):  # fmt: skip
        good = {"run": "r1", "source": "cached", "step": 0, "total": 20, "label": "running"}
        with pytest.raises(ValueError, match="expected"):
            LiveFrame(**good | wrong)


def test_the_component_sends_the_comparison_and_takes_nothing():
    view = CompareView(comparison(), elem_id="view")
    assert view.value == comparison().lower()
    for payload in (None, "<b>", {"rev": 9, "sources": {}}, 3):
        assert view.preprocess(payload) is None
    with pytest.raises(ValueError, match="got dict: expected a Comparison"):
        view.postprocess({"rev": 1})
    assert view.postprocess(None) is None


def test_the_config_is_json_with_a_constant_template():
    config = json.loads(json.dumps(CompareView(comparison()).get_config()))
    assert config["html_template"] == '<div class="cb-compare"></div>'
    assert config["css_template"] == ""
    assert ADDRESS in config["js_on_load"] and len(json.dumps(config)) < 5000
    assert len(SCRIPTS) == 8 and "root.cbCompare" in script()


def test_the_first_pictures_are_files_of_our_own_server():
    lowered = comparison().lower()["sources"]
    sent = CompareView(comparison()).get_config()["value"]["sources"]
    assert "data:" not in json.dumps(sent) and sent.keys() == lowered.keys()
    for key, part in sent.items():
        for name in ("src", "final"):
            assert (name in part) == (name in lowered[key])
            if name in part:
                kind, data = lowered[key][name].removeprefix("data:").split(";base64,")
                found = served._FILES[part[name]]
                assert (found.media_type, found.body) == (kind, base64.b64decode(data))


def test_the_prop_is_not_taken_for_an_event():
    view = CompareView()
    assert '"live"' in script()  # of a word quoted in js_on_load gradio makes an event
    assert not hasattr(view, "live")
    frame = live_frame("r1", "cached", 0, 2, None, "running")
    sent = gr.blocks.postprocess_update_dict(view, gr.update(live=frame), postprocess=True)
    assert sent["props"]["live"] == frame
