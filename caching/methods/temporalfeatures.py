"""Temporal Feature Matters: what depends on time and class alone is computed before the run."""

from __future__ import annotations

from dataclasses import dataclass

from caching.methods.base import Method, Plan, Setting, Source, Unready


@dataclass(frozen=True)
class TemporalFeatures(Method):
    """Precomputed temporal features, after Temporal Feature Matters (arXiv 2407.19547).

    The paper quantises diffusion models, and keeps their timestep embeddings, which form a finite
    set, as a precomputed table. In a DiT the same features are shift, scale and gate of every
    block: they depend on timestep and class alone, so a table of them is exact. The engine here
    makes them for all steps of a run in one product for each block before the first step, in every
    run. A table kept from run to run would save their MACs as well; the notes say how many.
    """

    name = "temporalfeatures"
    title = "Temporal Feature Matters"
    about = (
        "Shift, scale and gate of all blocks are made for all steps up front, exactly; the picture "
        "stays the same to the bit."
    )
    source = Source(
        "Temporal Feature Matters: A Framework for Diffusion Model Quantization",
        2024, "2407.19547", "ModelTC/TFMQ-DM", "Apache-2.0",
    )  # fmt: skip
    faithfulness = "analogue"
    because = (
        "The paper quantises; only its finite set of temporal features is taken over, exactly and "
        "unquantised, and as every run here already has it the schedule is the full one."
    )

    def plan(self, setting: Setting) -> Plan:
        try:
            family = setting.model.family
        except Unready:
            return Plan(setting.full())
        made = family.fixed_macs() - sum(family.end_macs())
        branches = range(len(family.branches))
        all_macs = family.fixed_macs() + sum(
            family.branch_macs(block, r) for block in range(family.blocks) for r in branches
        )
        numbers = setting.steps * (6 * family.blocks + 2) * family.width
        return Plan(
            setting.full(),
            notes=(
                f"Time embeddings and modulation are {made / all_macs:.1%} of this model's MACs, "
                "made up front in every run and counted in it.",
                f"A table of them would hold {4 * numbers / 2**20:.1f} MiB for each class at "
                f"{setting.steps} steps in float32, and save them in every later run.",
            ),
        )
