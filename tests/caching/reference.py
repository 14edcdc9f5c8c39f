"""The engine a second time, written plainly: diffusers' own module, hooks, a loop, DDIM on paper.

Nothing of `caching` is used here. Where the schedule reuses, a forward hook throws away what attn1
or ff has just computed and returns what the same module returned when it was last computed.
"""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass
class Reference:
    """What the plain loop saw; every array is of the whole doubled batch."""

    latents: torch.Tensor  # (N, C, h, w) final
    cleans: list  # S times (N, C, h, w)
    outputs: list  # S times the model's output (2N, C', h, w)
    cells: dict  # (step, block, branch) -> the output that was used (2N, T, D)
    executed: np.ndarray  # (S, L, 2), 1 where a stored output was returned


def timesteps(steps):
    """DiT's respacing: round(i * 999 / (S - 1)), the largest first."""
    if steps == 1:
        return [999]
    return [round(i * 999 / (steps - 1)) for i in reversed(range(steps))]


def alpha_bar(t):
    """Cumulative product of 1 - beta with 1,000 betas evenly from 1e-4 to 0.02, in float64."""
    return float(np.prod(1 - np.linspace(1e-4, 0.02, 1000)[: t + 1]))


def ddim(output, x, t, before, kind):
    """One deterministic step to timestep `before` (None: to clean) -> next x, clean x."""
    a = alpha_bar(t)
    a_before = 1.0 if before is None else alpha_bar(before)
    x, output = x.double(), output.double()
    if kind == "epsilon":
        noise = output
        clean = (x - (1 - a) ** 0.5 * noise) / a**0.5
    else:  # v
        clean = a**0.5 * x - (1 - a) ** 0.5 * output
        noise = (1 - a) ** 0.5 * x + a**0.5 * output
    return (a_before**0.5 * clean + (1 - a_before) ** 0.5 * noise).float(), clean.float()


@torch.no_grad()
def run(module, reuse, noise, labels, *, guidance, null, kind="epsilon"):
    """Sample with a DiTTransformer2DModel under `reuse`, bool (S, L, 2), noise (N, C, h, w)."""
    steps, blocks, _ = reuse.shape
    now = {"step": 0}
    stored, cells, outputs, cleans = {}, {}, [], []
    executed = np.zeros(reuse.shape, np.uint8)

    def hook(block, branch):
        def after(_module, _inputs, output):
            s = now["step"]
            if reuse[s, block, branch]:
                output = stored[block, branch]
                executed[s, block, branch] = 1
            else:
                stored[block, branch] = output
            cells[s, block, branch] = output.clone()
            return output

        return after

    handles = []
    for i in range(blocks):
        handles.append(module.transformer_blocks[i].attn1.register_forward_hook(hook(i, 0)))
        handles.append(module.transformer_blocks[i].ff.register_forward_hook(hook(i, 1)))
    x, channels = noise.clone(), noise.shape[1]
    times = timesteps(steps)
    guided = guidance > 1
    y = torch.tensor(list(labels) + [null] * len(labels) * guided)
    for s, t in enumerate(times):
        now["step"] = s
        both = torch.cat([x, x]) if guided else x
        output = module(both, timestep=torch.full((len(y),), t), class_labels=y).sample
        outputs.append(output.clone())
        eps = output[:, :channels]
        if guided:
            eps = eps[len(x) :] + guidance * (eps[: len(x)] - eps[len(x) :])
        x, clean = ddim(eps, x, t, times[s + 1] if s + 1 < steps else None, kind)
        cleans.append(clean)
    for handle in handles:
        handle.remove()
    return Reference(x, cleans, outputs, cells, executed)
