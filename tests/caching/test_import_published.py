"""Published files: exactly the cells, patterns and orders that methods.md 4 found in them."""

import numpy as np
import pytest

from caching.actions.hidden import FinalHidden
from caching.errors import ScheduleError
from caching.formats.importers import import_schedule

SMOOTH = {
    "30-N-2-fora": (30, 16, "101010101010101010101010101011"),
    "30-N-3-threshold-0.35": (30, 16, "100101010101010101010101010111"),
    "50-N-2-fora": (50, 26, "10" * 24 + "11"),
    "50-N-3-threshold-0.08": (50, 46, "10010101" + "1" * 42),
    "50-N-3-threshold-0.18": (50, 24, "100010010010" + "10" * 18 + "11"),
    "70-N-2-fora": (70, 36, "10" * 34 + "11"),
    "70-N-3-threshold-0.08": (70, 34, None),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_smoothcache_lists_of_whole_steps(published, name):
    steps, computed, pattern = SMOOTH[name]
    found = import_schedule(published / f"smoothcache-{name}.json", blocks=28)
    report = found.report
    assert (report.format, report.steps, report.blocks) == ("smoothcache", steps, 28)
    assert report.computed == computed * 56 == int(found.schedule.computed.sum())
    assert report.pattern.count("1") == computed and report.pattern.count("+") == 0
    if pattern is not None:
        assert report.pattern == pattern
    assert report.forced == 0 and report.lost == ()


def test_smoothcache_copy_of_the_learned_router(published):
    found = import_schedule(published / "smoothcache-50-N-2-l2c.json")
    assert found.report.computed == 2136 and found.report.cells == 2800
    assert found.report.by_branch == (("attn", 1071, 1400), ("mlp", 1065, 1400))
    assert found.report.pattern == "101+10101" + "+1" * 16 + "11+1+1111"
    # Learned in pairs: even steps are full, so that nothing is older than one step.
    assert found.schedule.computed[0::2].all()
    assert found.schedule.age().max() == 1


def test_smoothcache_for_diffusers_has_attention_alone(published):
    found = import_schedule(published / "smoothcache-diffuser_schedule.json", blocks=28)
    assert found.report.by_branch == (("attn", 24 * 28, 1400), ("mlp", 1400, 1400))
    assert "No list is for mlp: always computed." in found.report.understood


@pytest.mark.parametrize(
    ("name", "reused", "computed", "pattern"),
    [
        ("sth0.61_msa0.2_mlp0.2", 29, 1066, "11001000000100001001++001+001+++10011+000010000011"),
        ("sth0.63_msa0.22_mlp0.22", 30, 946, "11000000000000001001++001+001+++10001++10010000011"),
    ],
)
def test_invardiff_books(published, name, reused, computed, pattern):
    path = published / f"invardiff-cache_books_stp50_n0.0_{name}.json"
    found = import_schedule(path)
    assert (found.report.computed, found.report.cells) == (computed, 2800)
    assert found.report.pattern == pattern
    assert found.schedule.step_legend == (FinalHidden(),)
    assert int((found.schedule.step_actions == 1).sum()) == reused
    assert f"{reused} of 50 steps reuse the final hidden state." in found.report.understood
    plain = import_schedule(path, steps="reuse")
    assert plain.schedule.step_legend == () and plain.report.computed == computed
    assert np.array_equal(plain.schedule.actions, found.schedule.actions)
    assert "another approximation" in plain.report.lost[0]


def test_a_file_for_another_number_of_blocks_is_refused(published):
    with pytest.raises(ScheduleError, match="is for 28 blocks and the model has 12"):
        import_schedule(published / "smoothcache-50-N-2-l2c.json", blocks=12)


def test_a_file_that_does_not_say_its_blocks_asks_for_them(published):
    with pytest.raises(ScheduleError, match=r"does not say how many blocks .* 28 for DiT-XL/2"):
        import_schedule(published / "smoothcache-50-N-2-fora.json")
