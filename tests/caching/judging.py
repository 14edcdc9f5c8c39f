"""What the tests of evaluations share: a small model, a net that sees colours, invented data."""

from dataclasses import dataclass

import numpy as np

from caching.models.model import Model
from caching.quality.evaluate import conditions_of, iter_evaluate
from caching.quality.features import Seen
from caching.quality.judged import Arm
from caching.quality.reference import Reference
from caching.schedule import Schedule
from tests.caching import tiny

STEPS, CLASSES = 4, 3


@dataclass(frozen=True)
class Colours:
    """Sees the mean of every channel and one spread; names classes by brightness."""

    name: str = "colours"
    key: str = "c0105"
    width: int = 4

    def see(self, images: np.ndarray) -> Seen:
        x = images.astype(np.float32) / 255
        features = np.concatenate([x.mean((1, 2)), x.std((1, 2, 3))[:, None]], axis=1)
        classes = (features[:, :3].mean(1) * 1000).astype(np.int32) % CLASSES
        return Seen(features, classes)


def model() -> Model:
    parts = tiny.dit(blocks=2, side=16, classes=CLASSES)
    return Model.from_modules(parts, scheduler=tiny.V, name="tiny")


def arm(model: Model, interval: int = 2) -> Arm:
    return Arm(f"every {interval}", Schedule.every(STEPS, model.blocks, interval))


def conditions(model: Model, **changes):
    asked = {"steps": STEPS, "cfg_scale": 1.0, "sampler": "ddim", **changes}
    return conditions_of(model, Colours(), **asked)


def evaluated(model: Model, arms, samples=12, **options):
    """All that an evaluation yields."""
    of = options.pop("conditions", None) or conditions(model)
    batch = options.pop("batch", 4)
    return list(iter_evaluate(model, arms, Colours(), of, samples=samples, batch=batch, **options))


def reference(count=40, seed=5, **changes) -> Reference:
    x = np.random.default_rng(seed).normal(0.5, 0.1, (count, 4))
    values = {
        "net": Colours().key,
        "count": count,
        "mean": x.mean(0),
        "cov": np.cov(x.T),
        "features": x.astype(np.float16).astype(np.float32),
        "source": "invented <pictures>",
    }
    return Reference(**{**values, **changes})
