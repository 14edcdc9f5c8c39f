"""Router checkpoints: thresholds and order by hand, and files that want to do harm."""

import argparse
import io
import os
import pickle
import pickletools
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from caching.errors import ScheduleError
from caching.formats.importers import import_schedule
from tests.caching import foreign
from tests.caching.foreign import HARMONICA_ROWS, HIGH, L2C_ROWS, LOW, checkpoint, logit, saved


def rows(schedule):
    return list(schedule.rows().values())


# -- what a good file says -----------------------------------------------------------------


def test_l2c_only_even_indices_reuse_and_the_order_is_turned():
    found = import_schedule(checkpoint(L2C_ROWS))
    # Columns: block 0 attn, block 0 mlp, block 1 attn, block 1 mlp.
    assert rows(found.schedule) == ["CRCC", "CCCR", "CRCC", "CRCC"]
    assert found.report.format == "l2c" and "turned round" in found.report.order
    assert found.report.understood[0].startswith("Theta 0.1: 4 of 8 cells computed on the steps")
    assert "model DiT-XL/2, image_size 256" in found.report.understood[1]


def test_harmonica_every_step_reuses_but_the_first():
    found = import_schedule(checkpoint(HARMONICA_ROWS))
    assert found.report.format == "harmonica"
    assert rows(found.schedule) == ["CRRC", "CCRR", "CRRC", "CRRC"]
    assert found.report.forced == 0


def test_a_harmonica_file_read_as_l2c_keeps_the_odd_indices_full():
    found = import_schedule(checkpoint(HARMONICA_ROWS), format="l2c")
    assert rows(found.schedule) == ["CRCC", "CCCR", "CRCC", "CRCC"]


@pytest.mark.parametrize(
    ("theta", "expected"), [(0.04, 4), (0.1, 3), (0.5, 2), (0.89, 1), (0.95, 0)]
)
def test_theta_is_a_strict_threshold_on_the_probability(theta, expected):
    row = [logit(p) for p in (0.05, 0.3, 0.6, 0.9)]
    found = import_schedule(checkpoint([row, [LOW] * 4]), theta=theta)
    assert found.schedule.computed[1].sum() == expected


def test_a_probability_of_just_theta_is_reused():
    found = import_schedule(checkpoint([[0.0, 1e-3], [LOW] * 2]), theta=0.5)
    assert found.schedule.computed[1].tolist() == [[False, True]]


@pytest.mark.parametrize("theta", [0, 1, -1, 2, float("nan"), "0.1", True, None])
@pytest.mark.parametrize("name", ["l2c", "harmonica"])
def test_theta_out_of_range_is_refused(theta, name):
    with pytest.raises(ScheduleError, match=f"{name}: theta is .* between 0 and 1"):
        import_schedule(foreign.SAMPLES[name], theta=theta)


def test_an_odd_number_of_steps_would_reuse_step_0_which_is_forced():
    found = import_schedule(checkpoint([[HIGH] * 2, [LOW] * 2, [LOW] * 2]))
    assert found.schedule.computed.all() and found.report.forced == 2


def test_bare_routers_and_other_float_types_are_read():
    assert import_schedule(checkpoint(L2C_ROWS, bare=True)).schedule.computed.sum() == 12
    value = {f"{i}.prob": torch.tensor(r, dtype=torch.bfloat16) for i, r in enumerate(L2C_ROWS)}
    assert import_schedule(saved({"routers": value})).schedule.computed.sum() == 12


def test_no_warning_and_nothing_is_left_allowed_for_others():
    before = set(torch.serialization.get_safe_globals())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        import_schedule(foreign.SAMPLES["l2c"])
    assert set(torch.serialization.get_safe_globals()) == before


def test_many_readers_at_once_do_not_take_the_allow_list_from_each_other():
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: import_schedule(foreign.SAMPLES["l2c"]), range(64)))
    assert len({one.schedule for one in found}) == 1


def test_published_routers_of_u_vit_are_refused_by_name():
    with pytest.raises(ScheduleError, match="for U-ViT: 29 layers without gates"):
        import_schedule(checkpoint([[0.0] * 58] * 2, bare=True))


# -- what a bad file says ------------------------------------------------------------------

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (checkpoint([[NAN, 0.0], [0.0, 0.0]]), "router 0 holds NaN or infinity"),
        (checkpoint([[0.0, 0.0], [INF, 0.0]]), "router 1 holds NaN or infinity"),
        (checkpoint([[0.0] * 3] * 2), "router 0 has 3 entries: expected two for each"),
        (checkpoint([[]] * 2), "router 0 has 0 entries"),
        (checkpoint([[0.0] * 514] * 2), "router 0 has 514 entries"),
        (checkpoint([[0.0] * 2, [0.0] * 4]), "router 1 has 4 entries and router 0 has 2"),
        (checkpoint([[0.0] * 2] * 1001), "has no routers"),
        (saved({"routers": {}}), "has no routers"),
        (saved({"routers": [1]}), "has no routers"),
        (saved([1, 2]), "has no routers"),
        (saved({"routers": {"1.prob": torch.zeros(2)}}), "lack 0.prob"),
        (saved({"routers": {"0.prob": torch.zeros(2), "x": 1}}), "the routers have 'x'"),
        (saved({"routers": {"0.prob": 5}}), "router 0 is int: expected a vector"),
        (saved({"routers": {"0.prob": torch.zeros(2, 2)}}), r"router 0 is \(2, 2\)"),
        (saved({"routers": {"0.prob": torch.zeros(2, dtype=torch.int64)}}), "router 0 is"),
        (saved({"routers": {"0.prob": torch.eye(2).to_sparse()}}), "router 0 is"),
        (saved({"model": torch.zeros(2)}), "have 'model'"),
    ],
)
def test_checkpoints_that_are_no_routers_are_refused(data, message):
    with pytest.raises(ScheduleError, match=message):
        import_schedule(data)


def test_a_tensor_that_claims_to_be_enormous_is_refused_by_its_shape():
    """One stored number, viewed as ten thousand million: any arithmetic on it would fill memory."""
    wide = torch.zeros(1).expand(10**10)
    with pytest.raises(ScheduleError, match="router 0 has 10000000000 entries"):
        import_schedule(saved({"routers": {"0.prob": wide}}))


class Evil:
    """When unpickled without care, makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("where", ["args", "opt", "routers"])
def test_a_checkpoint_that_is_a_program_is_refused_and_never_run(tmp_path, where):
    mark = tmp_path / "executed"
    good = {"routers": {"0.prob": torch.zeros(2)}, "opt": {}, "args": argparse.Namespace()}
    data = saved({**good, where: Evil(mark)})
    with pytest.raises(ScheduleError, match=r"cannot be read .* anything else is never opened"):
        import_schedule(data)
    assert not mark.exists()
    # The trap is one: a reader that follows pickle's orders would call mkdir.
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (orders,) = [n for n in archive.namelist() if n.endswith("data.pkl")]
        found = list(pickletools.genops(archive.read(orders)))
    assert any("mkdir" in str(argument) for _, argument, _ in found)


def test_a_namespace_cannot_smuggle_a_program_in(tmp_path):
    mark = tmp_path / "executed"
    value = {"routers": {"0.prob": torch.zeros(2)}, "args": argparse.Namespace(x=Evil(mark))}
    with pytest.raises(ScheduleError, match="cannot be read"):
        import_schedule(saved(value))
    assert not mark.exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_plain_pickle_is_never_opened(tmp_path, protocol):
    mark = tmp_path / "executed"
    data = pickle.dumps(Evil(mark), protocol=protocol)
    for extra in ({}, {"format": "l2c"}, {"format": "ebcache"}):
        with pytest.raises(ScheduleError):
            import_schedule(data, blocks=2, **extra)
    assert not mark.exists()


def test_torchs_old_format_is_refused():
    data = saved({"routers": {"0.prob": torch.zeros(2)}}, _use_new_zipfile_serialization=False)
    with pytest.raises(ScheduleError, match="Python pickle"):
        import_schedule(data)


def repacked(data, *, compression=zipfile.ZIP_STORED, extra=()):
    """The same zip packed again, with more entries."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        for name, content in extra:
            new.writestr(name, content)
    return file.getvalue()


def test_a_zip_bomb_is_refused_before_it_is_unpacked():
    bomb = repacked(
        foreign.SAMPLES["l2c"],
        compression=zipfile.ZIP_DEFLATED,
        extra=[("archive/data/99", bytes(200 * 2**20))],
    )
    assert len(bomb) < 2**20
    with pytest.raises(ScheduleError, match=r"compressed or holds 200\.0 MiB in 0\.2 MiB"):
        import_schedule(bomb)


def test_a_packed_zip_is_refused_however_small_it_is():
    packed = repacked(foreign.SAMPLES["l2c"], compression=zipfile.ZIP_DEFLATED)
    file = io.BytesIO(packed)
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = b"x" * 60_000  # larger outside than inside
    with pytest.raises(ScheduleError, match="the zip is compressed"):
        import_schedule(file.getvalue())


def test_a_zip_of_very_many_entries_is_refused():
    crowd = repacked(foreign.SAMPLES["l2c"], extra=[(f"archive/x{i}", b"") for i in range(8200)])
    with pytest.raises(ScheduleError, match="entries: expected at most 8192"):
        import_schedule(crowd)


def test_a_zip_that_is_no_checkpoint_is_of_no_known_format():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ScheduleError, match="no known format"):
        import_schedule(file.getvalue())


@pytest.mark.parametrize("cut", [4, 30, 200, 1000, -200, -22, -1])
def test_a_checkpoint_cut_anywhere_is_refused(cut):
    with pytest.raises(ScheduleError):
        import_schedule(foreign.SAMPLES["l2c"][:cut])


def test_the_largest_router_with_its_optimiser_fits_into_the_limits():
    logits = np.zeros((1000, 512))
    state = {i: {"exp_avg": torch.zeros(512), "exp_avg_sq": torch.zeros(512)} for i in range(1000)}
    found = import_schedule(checkpoint(logits, opt={"state": state}))
    assert found.schedule.actions.shape == (1000, 256, 2)
