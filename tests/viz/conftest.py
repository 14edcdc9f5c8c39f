"""A visit as every page begins, and a small model of the kind of DiT-XL for it to run."""

from __future__ import annotations

import pytest

from tests.caching.tiny import save_pipeline
from tests.viz.visits import turned
from viz.live import Engine
from viz.pages.handlers import Handlers
from viz.pages.visit import Visit, start_visit


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("models") / "tiny"
    save_pipeline(path)
    return str(path)


@pytest.fixture(scope="session")
def shared() -> Engine:
    """One engine for tests that only need a model to be there."""
    return Engine(repeats=1)


@pytest.fixture
def handlers(shared: Engine) -> Handlers:
    return Handlers(shared)


@pytest.fixture
def visit() -> Visit:
    return start_visit()


@pytest.fixture
def small(handlers: Handlers, visit: Visit, folder: str) -> Visit:
    """A visit on the small model, with five steps of which some are reused."""
    *_, last = handlers.use_model(folder, visit)
    assert 'data-kind="ready"' in last["notice"], last["notice"]
    handlers.resteps(5, visit)
    turned(handlers, visit, "fora", interval=2)
    return visit
