"""Damaged files of every format: they end in ScheduleError or in a schedule, never otherwise."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caching.errors import ScheduleError
from caching.formats.importers import IMPORTERS, import_schedule
from tests.caching import foreign


def attempt(data, **extra):
    """Imports, or is refused in words; anything else is an error of ours."""
    try:
        found = import_schedule(data, blocks=2, **extra)
    except ScheduleError as error:
        assert 20 < len(str(error)) < 600, str(error)
        return None
    assert found.schedule.actions[0].sum() == 0 and found.report.sentences
    return found


@pytest.mark.parametrize("name", foreign.SAMPLES)
def test_a_file_cut_off_at_any_point_is_refused_or_read_as_something_valid(name):
    data = foreign.SAMPLES[name]
    for cut in sorted({*range(0, len(data), max(1, len(data) // 60)), len(data) - 1}):
        attempt(data[:cut])


@pytest.mark.parametrize("name", foreign.SAMPLES)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8))
def test_changed_bytes_never_surprise(name, changes):
    data = bytearray(foreign.SAMPLES[name])
    for place, value in changes:
        data[place % len(data)] = value
    attempt(bytes(data))


@pytest.mark.parametrize("name", IMPORTERS)
@given(st.binary(max_size=200))
def test_any_bytes_as_any_format(name, data):
    attempt(data, format=name)


@pytest.mark.parametrize("name", IMPORTERS)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-3, 300) | st.floats(0, 2) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["attn", "mlp-1", "schedule", "000", "0", "ff"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_as_any_format(name, value):
    attempt(foreign.text(value), format=name)
    attempt(foreign.text(value))


@given(st.text(alphabet="steps_computation_mask:=[]01, -\n'\"#Fn_compute_blocks", max_size=120))
def test_any_settings_text(tail):
    attempt(("steps_computation_mask" + tail).encode(), format="step-mask")


@pytest.mark.parametrize(
    "piece",
    [b"[", b"[] ", b"- 1\n", b"#", b"s = [", b"s: ", b" ", b"'", b"=", b"\n",
     b"steps_computation_mask: [", b"steps_computation_mask: '", b"steps_computation_mask:\n- 1\n",
     b"steps_computation_mask ", b"Fn=1,"],
)  # fmt: skip
@pytest.mark.parametrize("head", [b"", b"s = ", b"steps_computation_mask:", b"["])
def test_long_files_are_scanned_in_linear_time(piece, head):
    """Half a MiB takes a fraction of a second; anything quadratic would take minutes to years."""
    began = time.monotonic()
    attempt(head + piece * (2**19 // len(piece)))
    assert time.monotonic() - began < 15


def test_deep_nesting_is_refused_as_a_python_list_too():
    attempt(b"s = " + b"[" * 100_000 + b"]" * 100_000)


def test_a_header_of_npy_is_data_and_never_a_program():
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (__import__('os').getpid(),), }"
    data = b"\x93NUMPY\x01\x00" + np.uint16(len(header)).tobytes() + header
    with pytest.raises(ScheduleError, match="header cannot be read"):
        import_schedule(data, blocks=2)
