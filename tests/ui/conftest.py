"""One Chromium and one server per session; a page that fails its test on any error or leak.

`CHROMIUM` names the browser (default /usr/bin/chromium). Without one the tests are skipped, but
in CI (`CI=true`) they fail: a test that never runs proves nothing.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.ui.painter import Painter

sync_api = pytest.importorskip("playwright.sync_api")

REPOSITORY = Path(__file__).resolve().parents[2]
CALM = Path(__file__).with_name("calm_driver.cjs")  # for Playwright's own process
# Playwright's own list would be lost, as a browser hears only the last of several. The first two
# are pages of Chromium's, with scripts and animations, behind the address bar that nobody sees: a
# pair for every page of ours, and a fifth of what that costs.
NOT_WANTED = (
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup",
    "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding",
    "ThirdPartyStoragePartitioning", "AvoidCorsURLLoaderRestartOnRedirect", "OptimizationHints",
    "NetworkTimeServiceQuerying", "AimEnabled", "PreconnectToSearch",
)  # fmt: skip
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    f"--disable-features={','.join(NOT_WANTED)}",
]  # fmt: skip
# The library of the figures is four times as large as all the rest of the page, and takes a third
# of the time in which a page opens. Where nobody looks at a figure, there is none: the browser gets
# no library, and the server of `quick_app` draws none for a page with this cookie.
FIGURES, NO_FIGURE = re.compile(r"/PlotlyPlot-[^/]*\.js"), "export default function () {}"
UNSEEN = "cachebrush-unseen"
# Gradio's opening screen counts its seconds, sixty times each, until the page is left: it is taken
# away without its clock being stopped (6.31). Where there is no such clock, nothing is replaced.
CLOCK = re.compile(r"/statustracker-[^/]*\.js")
COUNTS = re.compile(r"(\(performance\.now\(\)-\w+\(\w+\)\)/1e3\)),\w+&&\w+\(\)")
USUAL: dict[str, Any] = {
    "viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce",
}  # fmt: skip
FAILED = pytest.StashKey[bool]()
PUT_AWAY: list[Callable[[], None]] = []  # what closes pages and servers that may be opened again
LOCAL = {"127.0.0.1", "localhost", ""}
START_S = 120
POLL_MS = 50
# Long, because a machine that others load too may hold everything up; a test waits for states.
PATIENCE_MS = 45_000
# What Gradio says when a page is left or reloaded while it hears from the server; a server that is
# really gone fails the test by what then does not happen.
LEAVING = ("AbortError: signal is aborted", "Unexpected error Connection errored out")
sync_api.expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def browser() -> Iterator[sync_api.Browser]:
    """The one Chromium of the session."""
    path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    if not Path(path).exists():
        message = f"no Chromium at {path}: install it, or set CHROMIUM to its path"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with _driver() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Start `python -m <module> <port>` once per module and give its address."""
    cache = str(tmp_path_factory.mktemp("cache"))
    started: dict[str, tuple[subprocess.Popen[bytes], str]] = {}

    def stop() -> None:
        for process, _ in started.values():
            process.terminate()
        for process, _ in started.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        started.clear()

    def start(module: str, **environment: str) -> str:
        if module not in started:
            port = _free_port()
            address = f"http://127.0.0.1:{port}/"
            process = subprocess.Popen(
                [sys.executable, "-m", module, str(port)],
                cwd=REPOSITORY,
                env={
                    **os.environ,
                    "GRADIO_ANALYTICS_ENABLED": "False",
                    "GRADIO_SERVER_PORT": str(port),
                    # One thread for each of several servers beside several browsers.
                    "OMP_NUM_THREADS": "1",
                    "CACHEBRUSH_THREADS": "1",
                    "CACHEBRUSH_REPEATS": "0",  # nobody reads these times
                    "CACHEBRUSH_CALIBRATE": "24",  # and none begins by itself
                    "XDG_CACHE_HOME": cache,  # searches of other days would be gone on with
                    **environment,
                },
            )
            started[module] = process, address
            _wait_for(process, address)
        return started[module][1]

    PUT_AWAY.append(stop)
    yield start
    stop()


@pytest.fixture
def app_address(serve: Callable[..., str]) -> str:
    """Where the whole app is served, with the shipped model."""
    return serve("tests.ui.quick_app")


@pytest.fixture
def open_page(browser: sync_api.Browser) -> Iterator[Callable[..., sync_api.Page]]:
    """Open an address in a fresh context; console errors and foreign requests fail the test.

    `figures`: whether plotly's figures are drawn. Nothing moves unless a test asks for it: what
    does is drawn anew sixty times a second, by the processor that the model runs on.
    """
    complaints: list[str] = []
    contexts: list[sync_api.BrowserContext] = []

    def open_(address: str, *, figures: bool = False, **options: object) -> sync_api.Page:
        context = browser.new_context(**{**USUAL, **options})
        contexts.append(context)
        if not figures:
            context.route(FIGURES, _script(NO_FIGURE))
            context.add_cookies([{"name": UNSEEN, "value": "figures", "url": address}])
        page = _page_of(context, complaints)
        page.goto(address)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not complaints, "\n".join(complaints)


@pytest.fixture(scope="session")
def used(browser: sync_api.Browser) -> Iterator[dict[str, Any]]:
    """The page of the last test with the painter, and what it complained of."""
    last: dict[str, Any] = {"painter": None, "complaints": []}

    def close() -> None:
        if last["painter"] is not None:
            last["painter"].page.context.close()
            last["painter"] = None

    PUT_AWAY.append(close)
    yield last
    close()


@pytest.fixture
def painter(
    request: pytest.FixtureRequest,
    serve: Callable[..., str],
    browser: sync_api.Browser,
    used: dict[str, Any],
) -> Iterator[Painter]:
    """A painter on invented numbers, as new; the page around it is a new one after a failure."""
    complaints: list[str] = used["complaints"]
    complaints.clear()
    if used["painter"] is None:
        page = _page_of(browser.new_context(**USUAL), complaints)
        page.goto(serve("tests.ui.grid_demo"))
        used["painter"] = Painter(page)
    else:
        used["painter"].afresh()
    yield used["painter"]
    if complaints or request.node.stash.get(FAILED, False):
        used["painter"].page.context.close()
        used["painter"] = None
    assert not complaints, "\n".join(complaints)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run a browser test that fails once more, but no other.

    The browser, the server and the model share their cores with everything else that the machine
    does, and no test of ours can rule out all that the browser may do late. A test that fails twice
    fails; one that passes the second time is listed at the end (-rR), so that a race stays visible
    and can be mended.
    """
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Note what fails, for the fixtures that tidy up."""
    item.stash[FAILED] = item.stash.get(FAILED, False) or call.excinfo is not None
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Any:
    """After the last browser test, leave the processor to the tests without a browser."""
    found = yield
    if nextitem is not None and not nextitem.get_closest_marker("browser"):
        for put_away in reversed(PUT_AWAY):
            put_away()
    return found


@contextlib.contextmanager
def _driver() -> Iterator[sync_api.Playwright]:
    """Playwright, waiting without describing what it does not yet find."""
    with pytest.MonkeyPatch.context() as only_here:
        only_here.setenv("NODE_OPTIONS", f'--require "{CALM}"')
        started = sync_api.sync_playwright()
        playwright = started.start()
    yield playwright
    playwright.stop()


def _page_of(context: sync_api.BrowserContext, complaints: list[str]) -> sync_api.Page:
    """A new page at rest, which notes its errors and whatever leaves this machine."""
    context.route(CLOCK, _without_clock)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    # Asking with every frame would have the browser draw one sixty times a second.
    page.wait_for_function = functools.partial(page.wait_for_function, polling=POLL_MS)
    page.on("pageerror", lambda error: complaints.append(f"page error: {error}"))
    page.on("console", lambda message: _listen(message, complaints))
    page.on("request", lambda request: _watch(request.url, complaints))
    return page


def _script(body: str) -> Callable[[sync_api.Route], None]:
    return lambda route: route.fulfill(content_type="text/javascript", body=body)


def _without_clock(route: sync_api.Route) -> None:
    name = urlsplit(route.request.url).path.rsplit("/", 1)[-1]
    script = files("gradio").joinpath("templates", "frontend", "assets", name)
    _script(COUNTS.sub(r"\1", script.read_text(encoding="utf-8")))(route)


def _listen(message: sync_api.ConsoleMessage, complaints: list[str]) -> None:
    if message.type == "error" and not any(words in message.text for words in LEAVING):
        complaints.append(f"console: {message.text[:300]}")


def _watch(url: str, complaints: list[str]) -> None:
    parts = urlsplit(url)
    if parts.scheme in ("http", "https", "ws", "wss") and (parts.hostname or "") not in LOCAL:
        complaints.append(f"request leaves this machine: {url[:200]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(process: subprocess.Popen[bytes], address: str) -> None:
    for _ in range(START_S * 4):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with code {process.returncode}")
        try:
            with urllib.request.urlopen(address + "config", timeout=2):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.25)
    raise RuntimeError(f"no answer from {address} in {START_S} s")
