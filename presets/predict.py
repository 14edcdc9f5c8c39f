"""`python -m presets.predict`: learn how the shipped model answers schedules, for predictions.

Writes presets/predictions/scenes-dit-<steps>.npz. An hour on two CPU threads; what is in
--work is kept, so that a second start goes on. A third of the classes are left out: on these
`python -m tests.bench.prediction` judges it.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from pathlib import Path

import numpy as np
import torch

from caching import load_model
from caching.measure.timing import setting_of
from caching.predict.calibration import NO_RUNS, POOL, Runs, calibrations
from caching.predict.kept import SHIPPED, For, Kept
from caching.predict.response import Response

GUIDANCE = 2.0  # what the page opens with


def taught(classes: int) -> list[int]:
    """The classes whose pictures a prediction learns from."""
    return [c for c in range(classes) if c % 3 != 1]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m presets.predict", description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--schedules", type=int, default=1744)
    parser.add_argument("--pool", type=int, default=4 * POOL)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("build/predict"))
    parser.add_argument("--out", type=Path, default=SHIPPED)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, began = load_model(), time.monotonic()
    args.work.mkdir(parents=True, exist_ok=True)
    name = f"{model.weights_hash}-{args.steps}.npz"
    stored, measured = args.work / f"response-{name}", args.work / f"runs-{name}"
    last, runs, response = None, NO_RUNS, None
    if stored.exists():
        response = Response.from_bytes(stored.read_bytes())
    if measured.exists():
        with np.load(measured) as file:
            runs = Runs(file["psnr_db"], file["pictures"])
    for got in calibrations(
        model,
        steps=args.steps,
        cfg_scale=GUIDANCE,
        response=response,
        runs=runs,
        schedules=args.schedules,
        pool=args.pool,
        labels=taught(len(model.class_names)),
    ):
        if got.estimator is None:
            stored.write_bytes(got.response.to_bytes())
            sys.stderr.write(f"response after {time.monotonic() - began:.0f} s\n")
            continue
        last, e = got, got.estimator
        if got.schedules > len(runs.psnr_db):
            np.savez(measured, psnr_db=got.runs.psnr_db, pictures=got.runs.pictures)
        sys.stderr.write(
            f"{got.schedules} schedules after {time.monotonic() - began:.0f} s: left out in turn, "
            f"Spearman {e.spearman:.4f}, median error {e.median_db:.2f} dB\n"
        )
    assert last is not None and last.estimator is not None
    pictures = len(np.unique(last.runs.pictures))
    words = (
        f"{last.schedules} schedules on {pictures} pictures, {datetime.date.today():%Y-%m-%d}, "
        f"{setting_of(model)}"
    )
    of = For(model.weights_hash, args.steps, GUIDANCE, "ddim")
    args.out.mkdir(parents=True, exist_ok=True)
    target = args.out / f"{model.name}-{args.steps}.npz"
    target.write_bytes(Kept(of, last.response, last.estimator, words).to_bytes())
    sys.stderr.write(f"wrote {target}, {target.stat().st_size / 2**20:.1f} MiB\n")


if __name__ == "__main__":
    main()
