"""Small operations on one thread: the same numbers, and every thread's setting as it was."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from caching import sample
from caching.models import alone
from caching.models.alone import Alone
from tests.caching import tiny
from tests.caching.spy import own


@pytest.fixture
def threads():
    """Two threads for a process that may have been given one."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


@pytest.fixture
def elsewhere(monkeypatch):
    """A machine whose torch has no such settings."""
    monkeypatch.setattr(alone, "_setters", lambda: None)


needs_setters = pytest.mark.skipif(alone._setters() is None, reason="torch without MKL or OpenMP")


@needs_setters
def test_only_this_thread_is_alone_and_only_for_a_while(threads):
    with ThreadPoolExecutor(1) as pool:
        with Alone(few=True):
            assert torch.get_num_threads() == 1
            assert pool.submit(torch.get_num_threads).result() == threads
        assert torch.get_num_threads() == threads


@needs_setters
def test_an_error_inside_leaves_it_as_it_was(threads):
    mkl = alone._setters().mkl
    before = mkl(0)
    with pytest.raises(RuntimeError), Alone(few=True):
        assert mkl(1) == 1
        torch.zeros(2) @ torch.zeros(3)
    assert torch.get_num_threads() == threads
    assert mkl(before) == 0


@needs_setters
def test_large_operations_keep_all_threads(threads):
    with Alone(few=False):
        assert torch.get_num_threads() == threads


def test_without_such_settings_nothing_happens(elsewhere, threads):
    with Alone(few=True):
        assert torch.get_num_threads() == threads


def test_the_picture_is_the_same_wherever_its_small_parts_run(threads, monkeypatch):
    model = own(tiny.dit(blocks=2), tiny.V)
    first = sample(model, label=1, steps=3).latents
    monkeypatch.setattr(alone, "_setters", lambda: None)
    assert torch.allclose(sample(model, label=1, steps=3).latents, first, rtol=1e-5, atol=1e-6)
