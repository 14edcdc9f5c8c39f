"""A setting of invented numbers, which refuses everything that would cost a run of a model."""

import numpy as np

from caching.methods import Setting, Unready


class Invented(Setting):
    """S steps of L blocks; `traced` says whether there are changes of a full run."""

    def __init__(self, steps=20, blocks=12, *, traced=False):
        self.steps, self.blocks, self.traced = steps, blocks, traced
        self.branches = ("attn", "mlp")
        self.cfg_scale, self.sampler = 2.0, "ddim"

    @property
    def model(self):
        raise Unready("no model is loaded.")

    def change(self):
        if not self.traced:
            raise Unready("there is no full run.")
        return invented_change(self.steps, self.blocks)

    def table(self, kind, make):
        raise Unready(f"{kind} would need the model.")

    def learned(self, method):
        raise Unready(f"nothing was trained for {method}.")


def invented_change(steps, blocks, lags=8):
    """(S, L, R, K): 0.02 to 0.17 over one step, most at the ends, in proportion to the lag."""
    lags = np.arange(1, min(lags, steps - 1) + 1)
    ends = np.abs(np.linspace(-1, 1, steps))[:, None, None, None]
    noise = np.random.default_rng(0).uniform(1, 1.4, (steps, blocks, 2, 1))
    reaches_back = (np.arange(steps)[:, None] >= lags)[:, None, None, :]
    return np.where(reaches_back, (0.02 + 0.1 * ends) * noise * lags, np.nan)
