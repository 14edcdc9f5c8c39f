"""What our own server gives besides the page: files under their hash, and nothing else."""

from __future__ import annotations

import json

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

import app
from viz import served
from viz.compare import compare
from viz.grid import grid
from viz.live import Engine

HEAVY_BYTES = 12_000  # of one component; the painter's script alone is twenty times that
PAGE_BYTES = 600_000  # the whole configuration, which the page carries uncompressed


@pytest.fixture(scope="module")
def config() -> dict[str, object]:
    found: dict[str, object] = json.loads(
        json.dumps(app.build_app(Engine()).get_config_file(), default=str)
    )
    return found


def test_files_are_sent_under_their_hash_and_kept_by_the_browser() -> None:
    address = served.put("a.js", "let a = 'ä';")
    assert address == served.put("a.js", "let a = 'ä';") != served.put("a.js", "let a = 2;")
    client = TestClient(Starlette(routes=served.routes()))
    found = client.get("/" + address)
    assert (found.status_code, found.text) == (200, "let a = 'ä';")
    assert found.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in found.headers["cache-control"]
    for other in ("a.css", "../a.js", "%2e%2e/a.js", ""):
        assert client.get(f"/{address.rpartition('/')[0]}/{other}").status_code in (404, 405)
    with pytest.raises(ValueError, match="ending"):
        served.put("a.exe", "")


def test_data_and_pictures_are_files_too() -> None:
    client = TestClient(Starlette(routes=served.routes()))
    assert client.get("/" + served.put_json("x.json", {"a": [1, None]})).json() == {"a": [1, None]}
    picture = client.get("/" + served.put_uri("dot", "data:image/webp;base64,AAEC"))
    assert (picture.content, picture.headers["content-type"]) == (b"\x00\x01\x02", "image/webp")


def test_the_app_serves_what_its_page_asks_for() -> None:
    client = TestClient(Starlette(routes=app.launch_options()["app_kwargs"]["routes"]))
    for address, name in (
        (grid.ADDRESS, "cachebrushPaint"),
        (compare.ADDRESS, "cachebrushCompare"),
    ):
        assert f"function {name}(" in client.get("/" + address).text
        assert f"./{address}" in app.launch_options()["head"]


def test_nothing_heavy_is_a_prop(config: dict[str, object]) -> None:
    """Gradio clones props with every event, and the page carries them all."""
    sizes = {
        one["props"].get("elem_id"): len(json.dumps(one["props"])) for one in config["components"]
    }
    assert sizes["compare"] < HEAVY_BYTES and sizes["curves"] < HEAVY_BYTES
    assert sizes["grid"] < 2 * HEAVY_BYTES  # with its first spec and what the palette offers
    assert len(json.dumps(config)) < PAGE_BYTES


def test_no_event_keeps_a_progress_that_nobody_sees(config: dict[str, object]) -> None:
    """Kept for every output there ever was, it had all of their props cloned twice per event."""
    ours = [one for one in config["dependencies"] if one["backend_fn"]]
    assert ours and all(one["show_progress_on"] == [] for one in ours)
    stroke = next(one for one in ours if [config_id(config, "grid"), "input"] in one["targets"])
    assert len(stroke["outputs"]) <= 18


def config_id(config: dict[str, object], elem_id: str) -> int:
    found = [one["id"] for one in config["components"] if one["props"].get("elem_id") == elem_id]
    return int(found[0])
