"""The data as a feature net sees it: means, covariances and some pictures' own features."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from caching.errors import RequestError
from caching.learn.store import BROKEN
from caching.quality import distances
from caching.quality.features import Net

VERSION = 1
MAX_BYTES = 512 * 2**20
MAX_ABOUT = 2**16
MAX_WIDTH = 8192
KEPT = 2000
"""Pictures whose own features are kept, for kernel distance, precision and recall."""

LEAST = 16
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
SHIPPED = Path(__file__).resolve().parents[2] / "presets" / "quality" / "scenes-dit.npz"
TEXTS = ("net", "source", "command", "date")


@dataclass(frozen=True, eq=False)
class Reference:
    """What pictures are judged against.

    Attributes:
        net: key of the net that saw it.
        count: pictures behind mean and covariance.
        mean, cov: float64 (D,), (D, D) of their features.
        features: float32 (M, D) of the first M of them.
        source: which pictures, in words.
        command, date: when and how it was made.
        spatial_mean, spatial_cov: likewise (E,), (E, E) for sFID, or None.
    """

    net: str
    count: int
    mean: np.ndarray
    cov: np.ndarray
    features: np.ndarray
    source: str
    command: str = ""
    date: str = ""
    spatial_mean: np.ndarray | None = None
    spatial_cov: np.ndarray | None = None

    @cached_property
    def alike(self) -> float:
        """How alike its pictures are among themselves, for kernel distances."""
        return distances.alike(self.features)

    @cached_property
    def reach(self) -> np.ndarray:
        """(M,), how far the ball around each of its pictures reaches, for precision."""
        return distances.reach_of(self.features)

    @cached_property
    def root(self) -> np.ndarray:
        """R (D, D) with cov = R @ R.T."""
        return distances.root_of(self.cov)

    def check(self, net: Net) -> None:
        """Raises RequestError when another net saw it."""
        if self.net != net.key or self.features.shape[1] != net.width:
            raise RequestError(
                f"the reference ({self.source:.80}) was seen by another net ({self.net:.20}) than "
                f"{net.name} ({net.key}): make it again with this one."
            )


class Gathered:
    """Sums over batches of features, for a mean and a covariance."""

    def __init__(self) -> None:
        self.count, self.total, self.products = 0, np.zeros(0), np.zeros((0, 0))

    def add(self, features: np.ndarray) -> None:
        x = features.astype(np.float64)
        if not self.count:
            self.total, self.products = np.zeros(x.shape[1]), np.zeros((x.shape[1],) * 2)
        self.count += len(x)
        self.total += x.sum(0)
        self.products += x.T @ x

    @property
    def mean(self) -> np.ndarray:
        return self.total / self.count

    @property
    def cov(self) -> np.ndarray:
        found: np.ndarray = self.products - self.count * np.outer(self.mean, self.mean)
        return found / (self.count - 1)


def reference_of(
    batches: Iterable[np.ndarray],
    net: Net,
    *,
    source: str,
    command: str = "",
    date: str = "",
    tell: Callable[[int], None] = lambda done: None,
) -> Reference:
    """What a net sees in pictures uint8 (N, H, W, 3), batch by batch."""
    whole, places = Gathered(), Gathered()
    kept: list[np.ndarray] = []
    for images in batches:
        seen = net.see(images)
        kept.append(seen.features[: max(0, KEPT - whole.count)])
        whole.add(seen.features)
        if seen.spatial is not None:
            places.add(seen.spatial)
        tell(whole.count)
    if whole.count < LEAST:
        raise RequestError(
            f"{whole.count} pictures were given as a reference, expected at least {LEAST}, better "
            "thousands."
        )
    return Reference(
        net=net.key,
        count=whole.count,
        mean=whole.mean,
        cov=whole.cov,
        # As the file keeps them, so that a fresh reference and a read one give the same numbers.
        features=np.concatenate(kept).astype(np.float16).astype(np.float32),
        source=source,
        command=command,
        date=date,
        spatial_mean=places.mean if places.count else None,
        spatial_cov=places.cov if places.count else None,
    )


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder and those below it, in the order of their names.

    Raises:
        RequestError: there are fewer than 16.
    """
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if len(found) < LEAST:
        raise RequestError(
            f"{folder} holds {len(found)} pictures ({', '.join(SUFFIXES)}), expected at least "
            f"{LEAST}, better thousands, as a reference."
        )
    return found


def batches_of(paths: list[Path], *, size: int, batch: int = 32) -> Iterator[np.ndarray]:
    """Pictures in batches, cut to the square in their middle and scaled to the model's size."""
    for first in range(0, len(paths), batch):
        yield np.stack([_picture(path, size) for path in paths[first : first + batch]])


def _picture(path: Path, size: int) -> np.ndarray:
    try:
        with Image.open(path) as file:
            picture = file.convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise RequestError(
            f"{path} cannot be read as a picture ({error!s:.100}): take it out of the folder."
        ) from error
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    cut = picture.crop((left, top, left + side, top + side))
    if side != size:
        cut = cut.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(cut, np.uint8)


def save_reference(reference: Reference, path: Path) -> None:
    """Writes one file of plain arrays; features as float16, the upper half of the covariance."""
    about = {
        "cachebrush_reference": VERSION,
        "count": reference.count,
        **{name: getattr(reference, name) for name in TEXTS},
    }
    arrays: dict[str, Any] = {
        "about": np.frombuffer(json.dumps(about, ensure_ascii=False).encode(), np.uint8),
        "mean": reference.mean,
        "cov": reference.cov[np.triu_indices(len(reference.mean))],
        "features": reference.features.astype(np.float16),
    }
    if reference.spatial_mean is not None and reference.spatial_cov is not None:
        arrays["spatial_mean"] = reference.spatial_mean
        arrays["spatial_cov"] = reference.spatial_cov[np.triu_indices(len(reference.spatial_mean))]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_reference(path: Path = SHIPPED) -> Reference:
    """Reads what `save_reference` wrote.

    Raises:
        RequestError: the file is missing, too large, damaged or of another kind.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            # Packed zeros are small: what counts is what they unpack to.
            size = sum(item.file_size for item in archive.infolist())
        if size > MAX_BYTES:
            raise ValueError(f"it unpacks to {size} bytes, more than {MAX_BYTES}")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            return _reference({name: found[name] for name in found.files})
    except BROKEN as error:
        raise RequestError(
            f"{path} cannot be read as a reference ({error}): expected a folder of pictures or a "
            "file that `python -m caching evaluate --keep` wrote."
        ) from error


def _reference(arrays: dict[str, np.ndarray]) -> Reference:
    about = arrays["about"]
    if about.dtype != np.uint8 or about.ndim != 1 or about.size > MAX_ABOUT:
        raise ValueError("its description is no text")
    text = json.loads(about.tobytes())
    if not isinstance(text, dict) or text.get("cachebrush_reference") != VERSION:
        raise ValueError(f"it is no file of kind cachebrush_reference, version {VERSION}")
    for name in TEXTS:
        if not isinstance(text[name], str) or len(text[name]) > 2000:
            raise ValueError(f"{name} is no text")
    count = text["count"]
    if isinstance(count, bool) or not isinstance(count, int) or not LEAST <= count <= 10**9:
        raise ValueError(f"count is {count!r:.40}, expected a number of pictures")
    mean, cov = _moments(arrays, "")
    features = arrays["features"]
    if features.dtype != np.float16 or features.ndim != 2 or features.shape[1] != len(mean):
        raise ValueError("its features do not fit its mean")
    if not LEAST <= len(features) <= min(count, KEPT) or not np.isfinite(features).all():
        raise ValueError("its features are too few, too many or not finite")
    spatial = _moments(arrays, "spatial_") if "spatial_mean" in arrays else (None, None)
    return Reference(
        net=text["net"],
        count=count,
        mean=mean,
        cov=cov,
        features=features.astype(np.float32),
        source=text["source"],
        command=text["command"],
        date=text["date"],
        spatial_mean=spatial[0],
        spatial_cov=spatial[1],
    )


def _moments(arrays: dict[str, np.ndarray], prefix: str) -> tuple[np.ndarray, np.ndarray]:
    mean, upper = arrays[f"{prefix}mean"], arrays[f"{prefix}cov"]
    if mean.dtype != np.float64 or mean.ndim != 1 or not 1 <= len(mean) <= MAX_WIDTH:
        raise ValueError(f"{prefix}mean is no float64 array of one dimension")
    width = len(mean)
    if upper.dtype != np.float64 or upper.shape != (width * (width + 1) // 2,):
        raise ValueError(f"{prefix}cov does not fit {prefix}mean")
    if not (np.isfinite(mean).all() and np.isfinite(upper).all()):
        raise ValueError(f"{prefix}mean or {prefix}cov is not finite")
    cov = np.zeros((width, width))
    cov[np.triu_indices(width)] = upper
    cov = cov + np.triu(cov, 1).T
    if (np.diag(cov) < 0).any():
        raise ValueError(f"{prefix}cov has a negative variance")
    return mean, cov
