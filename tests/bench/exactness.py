"""`python -m tests.bench.exactness`: how far the engine is from diffusers and from a plain loop.

Largest relative errors: a full schedule against diffusers' own forward at every step, and schedules
with reuse against the hook reference, over all steps and cells. Exit code 1 when one is too large.
"""

import sys

import torch
from diffusers import DiTTransformer2DModel

from caching.models import load_model
from caching.models.loading import SHIPPED_FOLDER
from tests.caching import tiny
from tests.caching.spy import forward_errors, own, reuse_gap, reuse_schedules

BAR = 1e-4
STEPS = 8


def subjects():
    """(name, model, diffusers' own module, steps) of the shipped model and of every tiny shape."""
    plain = DiTTransformer2DModel.from_pretrained(
        SHIPPED_FOLDER / "transformer", torch_dtype=torch.float32, local_files_only=True
    )
    yield "shipped, 12 blocks", load_model(), plain.eval(), 20
    for name, shape in tiny.SHAPES.items():
        for noise in (tiny.EPSILON, tiny.V):
            module = tiny.dit(**shape)
            kind = noise["prediction_type"].removesuffix("_prediction")
            yield f"{name}, {kind}", own(module, noise), module, STEPS


def main() -> int:
    torch.set_num_threads(2)
    failed = False
    sys.stdout.write(f"{'model':52} {'schedule':26} {'worst error':>12}  bar {BAR:g}\n")
    for name, model, module, steps in subjects():
        rows = {"full, diffusers' forward": max(forward_errors(model, module, steps=steps))}
        fits = True
        for label, schedule in reuse_schedules(steps, model.blocks).items():
            gap = reuse_gap(model, module, schedule)
            rows[label] = gap.worst
            fits = fits and gap.executed_as_painted
        for label, error in rows.items():
            ok = error <= BAR and fits
            failed = failed or not ok
            sys.stdout.write(f"{name:52} {label:26} {error:12.2e}  {'ok' if ok else 'FAILED'}\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
