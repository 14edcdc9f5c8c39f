"""Distances from judged pictures to the data, by torchmetrics where it has them."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import poly_kernel

NEIGHBOURS = 3
"""k of precision and recall, as in arXiv 1904.06991."""


class _Known(nn.Module):
    """Stands where torchmetrics has a net: what comes in are features already."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet(features: np.ndarray, mean: np.ndarray, cov: np.ndarray, count: int) -> float:
    """Frechet distance (arXiv 1706.08500) of (N, D) features to a mean and a covariance.

    Args:
        features: of the pictures that are judged.
        mean, cov: (D,), (D, D) of the data.
        count: pictures behind them.
    """
    metric = FrechetInceptionDistance(feature=_Known(len(mean)))
    metric.update(torch.from_numpy(features).double(), real=False)
    middle, spread = torch.from_numpy(mean).double(), torch.from_numpy(cov).double()
    metric.real_features_sum = middle * count
    metric.real_features_cov_sum = spread * (count - 1) + count * torch.outer(middle, middle)
    metric.real_features_num_samples = torch.tensor(count)
    return float(metric.compute())


def eigen(symmetric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues from the least up, and their vectors. By torch: its threads are the ones that
    are set, and numpy's own stand in the way of everybody on a busy machine."""
    values, vectors = torch.linalg.eigh(torch.from_numpy(symmetric))
    return values.numpy(), vectors.numpy()


def root_of(cov: np.ndarray) -> np.ndarray:
    """R (D, D) with cov = R @ R.T."""
    values, vectors = eigen(cov)
    root: np.ndarray = vectors * np.sqrt(values.clip(0))
    return root


def kernel(features: np.ndarray, data: np.ndarray, *, data_alike: float | None = None) -> float:
    """Kernel distance (KID, arXiv 1801.01401) of (N, D) to (M, D): the unbiased estimate of the
    squared maximum mean discrepancy under the cubic kernel, over all pairs. torchmetrics takes the
    same over random subsets of one size, for sets too large for all pairs.

    Args:
        features, data: (N, D), (M, D).
        data_alike: `alike(data)`, where it is known already.
    """
    there = alike(data) if data_alike is None else data_alike
    across = float(poly_kernel(_tensor(features), _tensor(data)).mean())
    return alike(features) + there - 2 * across


def alike(features: np.ndarray) -> float:
    """Mean of the kernel over all pairs of two different pictures of one set."""
    x = _tensor(features)
    gram, count = poly_kernel(x, x), len(x)
    return float((gram.sum() - gram.diagonal().sum()) / (count * (count - 1)))


def reach_of(features: np.ndarray, k: int = NEIGHBOURS) -> np.ndarray:
    """(M,), how far the k-th neighbour of each picture is in its own set."""
    x = _tensor(features)
    own = torch.cdist(x, x).fill_diagonal_(torch.inf)
    found: np.ndarray = own.kthvalue(k, dim=1).values.numpy()
    return found


def inception_score(logits: np.ndarray) -> float:
    """Inception Score (arXiv 1606.03498) of (N, C) logits, over all pictures at once."""
    with warnings.catch_warnings():
        # That it keeps all logits is known here; one split has no spread between splits.
        warnings.simplefilter("ignore")
        metric = InceptionScore(feature=_Known(logits.shape[1]), splits=1)
        metric.update(torch.from_numpy(logits).double())
        return float(metric.compute()[0])


class Manifolds:
    """Precision and recall (arXiv 1904.06991): pictures inside the data's balls, and data inside
    the pictures' balls, a ball reaching to the k-th neighbour of its own set."""

    def __init__(
        self,
        features: np.ndarray,
        data: np.ndarray,
        *,
        reach: np.ndarray | None = None,
        k: int = NEIGHBOURS,
    ) -> None:
        if min(len(features), len(data)) <= k:
            raise ValueError(f"{min(len(features), len(data))} pictures, expected more than {k}.")
        x, y = _tensor(features), _tensor(data)
        self.k = k
        across = torch.cdist(x, y).numpy()  # (N, M)
        balls = reach_of(data, k) if reach is None else reach
        self.inside: np.ndarray = np.less_equal(across, balls).any(axis=1)
        mine = torch.cdist(x, x).fill_diagonal_(torch.inf)
        nearest = mine.topk(min(len(x) - 1, 16 * k), largest=False)
        self._near, self._ids = nearest.values.numpy(), nearest.indices.numpy()
        self._across = np.ascontiguousarray(across.T)  # (M, N)

    @property
    def precision(self) -> float:
        return float(self.inside.mean())

    @property
    def recall(self) -> float:
        return self.recall_of(np.ones(len(self.inside), np.int64))

    def recall_of(self, counts: np.ndarray) -> float:
        """Recall when picture i was drawn counts[i] times. A picture's own copies are no
        neighbours of it, or every ball would shrink to nothing."""
        enough = np.cumsum(counts[self._ids], axis=1) >= self.k
        first = enough.argmax(1)
        rows = np.arange(len(counts))
        reach = np.where(enough.any(1), self._near[rows, first], self._near[:, -1])
        reach = np.where(counts > 0, reach, -1.0)
        return float((self._across <= reach).any(1).mean())


def _tensor(features: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(features)).double()
