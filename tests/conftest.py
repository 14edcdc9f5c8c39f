"""Test setup shared by all: reproducible property tests that never depend on the clock."""

import gc
import os

# Set before torch is first imported: other processes share the machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest
from hypothesis import settings

# Until all tests are found nothing becomes garbage, and what is imported stays: looking through it
# again and again would be a tenth of what the tests take.
USUAL = gc.get_threshold()
gc.set_threshold(100_000, 50, 100)

settings.register_profile(
    "cachebrush", max_examples=30, deadline=None, database=None, derandomize=True
)
settings.load_profile("cachebrush")

LONGEST = (
    "test_lessons", "test_methods", "test_access", "test_first_minute", "test_vocabulary",
    "test_app", "test_pareto", "test_keys", "test_share", "test_models",
)  # fmt: skip


@pytest.fixture(scope="session")
def published() -> Path:
    """The folder of schedules others have published, which is never part of the repository."""
    folder = Path(__file__).parents[2] / "shared" / "published"
    if not folder.is_dir():
        pytest.skip("published schedules are not on this machine")
    return folder


def pytest_collection_finish() -> None:
    """Leave what was imported out of every collection of garbage from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*USUAL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, then the browser's; what is short fills the gaps at the end."""

    def place(item: pytest.Item) -> int:
        file = item.nodeid.split("::")[0]
        long = [k for k, name in enumerate(LONGEST) if file == f"tests/ui/{name}.py"]
        return long[0] if long else len(LONGEST) + ("tests/ui/" not in file)

    items.sort(key=place)
