"""SenCache: skip the blocks while measured sensitivities bound the change of the output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from caching.dynamic.sencache import SenCache
from caching.methods.base import Method, Plan, Setting, Source, number, whole


@dataclass(frozen=True)
class SenCacheMethod(Method):
    """SenCache (arXiv 2602.24208): J_x ||z - z'|| + J_t |t - t'| against eps sqrt(elements).

    z', t' are those of the last computed step, J_x and J_t finite differences along full runs. The
    first fifth of the steps is held to `start`. Its code has 0.005, 0.07 and 10 in a row for Wan
    and CogVideoX, 0.01, 0.7 and 4 for LTX. The slider starts at 0.3, as 0.1 skips next to nothing
    in 20 steps of the shipped model.
    """

    main: float = number(0.3, 0, 2, "ε", "times the square root of the latent elements")
    start: float = number(0.005, 0, 2, "ε at first", "in the first fifth", step=0.005)
    most: int = whole(10, 1, 20, "K", "skipped steps in a row at most")

    name = "sencache"
    title = "SenCache"
    about = (
        "Skips all blocks while measured sensitivities to latents and time, times how far both "
        "have moved, stay small."
    )
    source = Source(
        "SenCache: Accelerating Diffusion Model Inference via Sensitivity-Aware Caching",
        2026, "2602.24208", "vita-epfl/SenCache",
    )  # fmt: skip
    faithfulness = "recalibrated here"
    because = (
        "The rule of the authors' code for video models; the sensitivities are measured on this "
        "model's own full runs instead of noised data, and the tolerance is chosen anew."
    )
    needs = "calibration"
    tunes = "main"

    def plan(self, setting: Setting) -> Plan:
        found = setting.measured("sencache", SenCache.calibrated)
        x, t = found.j_x, found.j_t
        note = (
            f"The sensitivity to latents is {min(x):.3g} to {max(x):.3g}, to the timestep "
            f"{min(t):.3g} to {max(t):.3g}."
        )
        policy = replace(found, main=self.main, start=self.start, most=self.most)
        return Plan(setting.full(), policy, (note,))

    def ladder(self, setting: Setting) -> Sequence[Method]:
        # Where the tolerance stops nothing, that of the first steps saves the rest.
        loose = replace(self, main=2.0)
        early = [replace(loose, start=e) for e in (0.05, 0.1, 0.2, 0.5, 1.0, 2.0) if e > self.start]
        return (*super().ladder(setting), *early)
