"""ClusCa: Taylor forecasts in which one token of each cluster is computed anew."""

from __future__ import annotations

from dataclasses import dataclass

from caching.methods.base import Source, number, whole
from caching.methods.forecasting import Forecasting
from caching.predictors.clusters import Clusters
from caching.predictors.taylor import MAX_ORDER


@dataclass(frozen=True)
class ClusCa(Forecasting):
    """ClusCa (arXiv 2509.10312): TaylorSeer's schedule, clusters of tokens made at full steps.

    Attention is forecast; a feed-forward computes one random token of each of K clusters, which
    go into what it forecasts from, and pulls all others by gamma towards their cluster's fresh one.
    The paper has K = 16 of 256 tokens; the default keeps that share of the shipped model's 64.
    gamma is 0.005 in the authors' sample_ddp.py and 0 in their sample.py.
    """

    interval: int = whole(4, 1, 10, "N", "one step in N is full")
    k: int = whole(4, 1, 256, "K", "clusters, and so tokens a feed-forward computes")
    gamma: float = number(0.005, 0, 1, "gamma", "pull of all tokens to the fresh one", step=0.005)
    order: int = whole(4, 0, MAX_ORDER, "order", "of the forecast; 0 is plain reuse")
    first: int = whole(2, 1, 100, "first", "full steps at the start")

    name = "clusca"
    title = "ClusCa"
    about = (
        "Computes one step in N whole and forecasts between, computing one token of each cluster "
        "in the feed-forwards."
    )
    source = Source(
        "Compute Only 16 Tokens in One Timestep: Accelerating Diffusion Transformers with "
        "Cluster-Driven Feature Caching",
        2025, "2509.10312", "Shenyi-Z/Cache4Diffusion",
    )  # fmt: skip
    faithfulness = "as published"
    because = (
        "The authors' code for DiT, except that fresh tokens keep the output that was computed "
        "for them and K keeps its share of the tokens."
    )
    tunes = "interval"

    @property
    def predictor(self) -> Clusters:
        return Clusters(self.k, self.gamma, self.order)
