"""Files in other projects' formats, built as their authors' code builds them; small and by hand."""

import argparse
import io
import json

import numpy as np
import torch

from caching.formats.picture import png_of
from caching.schedule import Schedule


def logit(p):
    return float(np.log(p / (1 - p)))


def checkpoint(rows, *, args=True, bare=False, **extra):
    """A router checkpoint: a vector of logits per step, the last executed step first."""
    routers = {f"{i}.prob": torch.tensor(row, dtype=torch.float32) for i, row in enumerate(rows)}
    value = routers if bare else {"routers": routers, "opt": {"state": {}}, **extra}
    if args and not bare:
        value["args"] = argparse.Namespace(model="DiT-XL/2", image_size=256, l1=5e-6, ckpt=None)
    return saved(value)


def saved(value, **options):
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def npy(values, dtype=np.int64):
    file = io.BytesIO()
    np.save(file, np.asarray(values, dtype))
    return file.getvalue()


def text(value):
    return json.dumps(value).encode()


# 4 steps of 2 blocks; index 0 is the last executed step. Odd indices of L2C are untrained noise.
HIGH, LOW = logit(0.9), logit(0.05)
L2C_ROWS = [
    [HIGH, LOW, HIGH, HIGH],  # step 3: block 0 mlp reused
    [LOW, LOW, LOW, LOW],  # step 2: full whatever it says
    [LOW, HIGH, LOW, LOW],  # step 1: only block 0 mlp computed
    [LOW, HIGH, LOW, HIGH],  # step 0
]
HARMONICA_ROWS = [*L2C_ROWS[:3], [5.0] * 4]

ECAD = {
    "cache_schedule": {
        "num_blocks": 2,
        "schedule": {
            "000": {
                "0": {"attn1": True, "attn2": True, "ff": True},
                "1": {"attn1": False, "attn2": False, "ff": True},
            },
            "001": {
                "0": {"attn1": False, "attn2": True, "ff": True},
                "1": {"attn1": True, "attn2": False, "ff": False},
            },
        },
    },
    "metrics": {"total_macs": 1},
}
BOOKS = {
    "step_cache_book": [False, False, True, False],
    "msa_cache_book": [[False] * 2, [False, True], [True] * 2, [False] * 2],
    "mlp_cache_book": [[False] * 2, [True, False], [True] * 2, [False] * 2],
}
YAML = b"""\
# static cache
cache_config:
  Fn_compute_blocks: 1
  Bn_compute_blocks: 0
  max_warmup_steps: 1
  num_inference_steps: 5
  steps_computation_mask: [1, 0, 0, 1,
    0]
  steps_computation_policy: static
"""


def picture():
    schedule = Schedule.from_rows(["CRRC", "CCRC", "CCCC", "CRCR"])
    return png_of(np.zeros((2, 3, 3), np.uint8), schedule, {"label": 3, "seed": 7})


# One good file per format, all for two blocks.
SAMPLES = {
    "l2c": checkpoint(L2C_ROWS),
    "harmonica": checkpoint(HARMONICA_ROWS),
    "smoothcache": text({"attn": [1, 0, 1, 0], "mlp-1": [1, 1, 0, 0]}),
    "invardiff": text(BOOKS),
    "ebcache": npy([0, 2, 1, 0]),
    "procache": b"s = [1, 0, 2, 0]  # from cal_type.py\n",
    "ecad": text(ECAD),
    "step-mask": YAML,
    "matrix": text([[1, 1], [0, 1], [0, 0]]),
    "cachebrush": None,  # filled below
    "picture": picture(),
}
SAMPLES["cachebrush"] = (
    b'{"format": "cachebrush-schedule", "version": 1, '
    b'"step_order": "execution, step 0 is the noisiest", "context": null, '
    b'"branches": ["attn", "mlp"], "legend": {"C": "compute", "R": {"predictor": "reuse"}}, '
    b'"rows": {"block 0 attn": "CR", "block 0 mlp": "CC", "block 1 attn": "CC", '
    b'"block 1 mlp": "CR"}}'
)
