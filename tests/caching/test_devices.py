"""What a GPU would refuse is nowhere in the engine, as a device that pretends can tell."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_engine_runs_on_a_device_that_refuses_what_a_gpu_refuses():
    command = [sys.executable, "-m", "tests.bench.devices", "--quick"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    first, *rest = done.stdout.splitlines()
    assert first == "tensors of two devices: refused, as they should be"
    assert len(rest) >= 12 and all(": runs (" in line for line in rest)
