"""Judged pictures as a table: every measure of every arm, with how sure it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from caching.errors import RequestError
from caching.quality import distances
from caching.quality.distances import NEIGHBOURS, Manifolds
from caching.quality.draws import (
    Drawn,
    around,
    drawn_counts,
    frechet_of,
    kernel_of,
    mean_of,
    of_share,
    score_of,
)
from caching.quality.judged import FIDELITY, FULL, Judged
from caching.quality.record import SHARES, Report, Row
from caching.quality.reference import Reference
from caching.quality.store import Saved
from caching.study.bootstrap import Interval

DRAWS = 400
LEAST = 2 * (NEIGHBOURS + 1)


def report_of(
    saved: Saved,
    reference: Reference,
    *,
    classes: int,
    net: str,
    draws: int = DRAWS,
    setting: str = "",
    command: str = "",
    date: str = "",
    stopped: Callable[[], bool] = lambda: False,
) -> Report | None:
    """The table of what was judged; None when stopped.

    Args:
        saved: pictures of every arm.
        reference: the data.
        classes: of the model.
        net: what judged, in words.
        draws: of each interval.
        setting, command, date: for the record.

    Raises:
        RequestError: fewer than 8 pictures.
    """
    if len(saved) < LEAST:
        raise RequestError(f"{len(saved)} pictures were judged, expected at least {LEAST}.")
    counts = drawn_counts(len(saved), draws)
    full: dict[str, tuple[float, np.ndarray]] = {}
    rows = []
    for key, words in ((FULL, FULL), *saved.arms.items()):
        judged = saved.judged[key]
        found: dict[str, tuple[float, np.ndarray]] = {}
        for name, (value, drawn) in measures(judged, reference, classes=classes).items():
            if stopped():
                return None
            found[name] = value, np.array([drawn(one) for one in counts])
        quality = {name: _interval(name, *one, len(saved)) for name, one in found.items()}
        row = Row(words, float(judged["work"].mean()), quality)
        if key == FULL:
            full = found
        else:
            change = {
                name: around(value - full[name][0], drawn - full[name][1])
                for name, (value, drawn) in found.items()
            }
            row = Row(words, row.work, quality, change, _closeness(judged, counts))
        rows.append(row)
    of = saved.conditions
    return Report(
        model=of.model,
        steps=of.steps,
        cfg_scale=of.cfg_scale,
        sampler=of.sampler,
        first_seed=of.first_seed,
        samples=len(saved),
        reference=reference.source,
        net=net,
        rows=tuple(rows),
        setting=setting,
        command=command,
        date=date,
    )


def measures(
    judged: Judged, reference: Reference, *, classes: int
) -> dict[str, tuple[float, Drawn]]:
    """Every measure that what was seen allows: its value, and how to take it of a draw."""
    features = judged["features"]
    manifolds = Manifolds(features, reference.features, reach=reference.reach)
    found: dict[str, tuple[float, Drawn]] = {}
    if "classes" in judged:
        agrees = judged["classes"] == np.arange(len(judged)) % classes
        found["agreement"] = float(agrees.mean()), mean_of(agrees)
    value = distances.frechet(features, reference.mean, reference.cov, reference.count)
    found["frechet"] = value, frechet_of(value, features, reference.mean, reference.root)
    found["kernel"] = (
        distances.kernel(features, reference.features, data_alike=reference.alike),
        kernel_of(features, reference.features, reference.alike),
    )
    found["precision"] = manifolds.precision, mean_of(manifolds.inside)
    found["recall"] = manifolds.recall, manifolds.recall_of
    mean, cov = reference.spatial_mean, reference.spatial_cov
    if "spatial" in judged and mean is not None and cov is not None:
        spatial = judged["spatial"]
        value = distances.frechet(spatial, mean, cov, reference.count)
        root = distances.root_of(cov)
        found["spatial_frechet"] = value, frechet_of(value, spatial, mean, root)
    if "logits" in judged:
        logits = judged["logits"]
        found["inception_score"] = distances.inception_score(logits), score_of(logits)
    return found


def _interval(name: str, value: float, drawn: np.ndarray, pictures: int) -> Interval:
    found = around(value, drawn)
    if name in SHARES:
        return of_share(found, pictures)
    return Interval(value, max(0.0, found.low), found.high) if name == "frechet" else found


def _closeness(judged: Judged, counts: np.ndarray) -> dict[str, Interval]:
    return {
        name: around(float(judged[name].mean()), counts @ judged[name] / counts.sum(1))
        for name in FIDELITY
        if name in judged
    }
