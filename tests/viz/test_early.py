"""The page's first bytes: a script that runs before all others, packed; the rest as it is."""

from __future__ import annotations

import gzip

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

import app
from viz.pages.early import EARLY, Early

PAGE = "<!doctype html><html><head><title>é</title></head><body><head></body></html>"


async def page(request: Request) -> Response:
    return HTMLResponse(PAGE)


async def other(request: Request) -> Response:
    return JSONResponse({"page": PAGE})


ROUTES = [Route("/", page), Route("/config", other)]


def client() -> TestClient:
    return TestClient(Starlette(routes=ROUTES, middleware=[Middleware(Early)]))


def test_the_script_comes_first_in_the_page_and_once() -> None:
    found = client().get("/", headers={"accept-encoding": "identity"})
    assert found.text.startswith("<!doctype html><html><head><style>")
    assert found.content.count(EARLY) == 1 and found.text.count("<title>é</title>") == 1
    assert int(found.headers["content-length"]) == len(found.content)


def test_a_browser_that_unpacks_gets_it_packed() -> None:
    with client().stream("GET", "/", headers={"accept-encoding": "br, gzip"}) as found:
        raw = b"".join(found.iter_raw())
        assert found.headers["content-encoding"] == "gzip"
        assert int(found.headers["content-length"]) == len(raw)
    assert EARLY in gzip.decompress(raw)


def test_everything_else_passes_as_it_is() -> None:
    assert client().get("/config").json() == {"page": PAGE}
    assert client().get("/nothing").status_code == 404


def test_the_app_is_launched_with_it() -> None:
    middleware = app.launch_options()["app_kwargs"]["middleware"]
    assert [one.cls for one in middleware] == [Early]
