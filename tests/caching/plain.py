"""Whole-step actions a second time: diffusers' own blocks in a plain loop that keeps everything.

Nothing of `caching` is used here. A step is a function of the loop's `Step`; every step that ran
all blocks as the model does is kept whole, and later steps look things up in it.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from tests.caching.reference import alpha_bar, ddim, timesteps


@dataclass
class Kept:
    """A step that ran all blocks."""

    s: int
    latents: torch.Tensor  # (N, C, h, w), what the model got
    hidden: list  # L + 1 times (N, T, D), before each block and after the last
    output: torch.Tensor  # (N, C', h, w)


@dataclass
class Step:
    """What a step may use: the model in parts, and what was kept."""

    module: torch.nn.Module
    s: int
    times: list
    latents: torch.Tensor
    labels: torch.Tensor
    kind: str
    kept: list = field(default_factory=list)

    @property
    def t(self):
        return torch.full((len(self.latents),), self.times[self.s])

    def embed(self):
        return self.module.pos_embed(self.latents)

    def block(self, i, x):
        block = self.module.transformer_blocks[i]
        return block(x, timestep=self.t[: len(x)], class_labels=self.labels[: len(x)])

    def blocks(self, x, start, stop):
        for i in range(start, stop):
            x = self.block(i, x)
        return x

    def head(self, x):
        m, n = self.module, len(x)
        c = m.transformer_blocks[0].norm1.emb(self.t[:n], self.labels[:n], hidden_dtype=x.dtype)
        shift, scale = m.proj_out_1(F.silu(c)).chunk(2, dim=1)
        x = m.proj_out_2(m.norm_out(x) * (1 + scale[:, None]) + shift[:, None])
        side, p = int(x.shape[1] ** 0.5), m.config.patch_size
        x = x.reshape(n, side, side, p, p, m.out_channels)
        return torch.einsum("nhwpqc->nchpwq", x).reshape(n, m.out_channels, side * p, side * p)


def compute(step):
    """The step as the model itself runs it; kept."""
    hidden = [step.embed()]
    for i in range(len(step.module.transformer_blocks)):
        hidden.append(step.block(i, hidden[-1]))
    output = step.head(hidden[-1])
    step.kept.append(Kept(step.s, step.latents, hidden, output))
    return output


def residual(first, last):
    """The middle blocks' change at the last kept step, added to what the first blocks make now."""

    def run(step):
        stop = len(step.module.transformer_blocks) - last
        hidden = step.kept[-1].hidden
        x = step.blocks(step.embed(), 0, first)
        return step.head(step.blocks(x + (hidden[stop] - hidden[first]), stop, stop + last))

    return run


def probe(m):
    """DiCache: a point on the line through the last two residuals, found by the first m blocks."""

    def run(step):
        x = step.embed()
        now = step.blocks(x, 0, m) - x
        if len(step.kept) == 1:
            hidden = step.kept[-1].hidden
            return step.head(x + (hidden[-1] - hidden[0]))
        (p2, r2), (p1, r1) = (
            (k.hidden[m] - k.hidden[0], k.hidden[-1] - k.hidden[0]) for k in step.kept[-2:]
        )
        gamma = float((now - p2).abs().mean()) / float((p1 - p2).abs().mean())
        gamma = min(max(gamma, 1.0), 1.5)
        return step.head(x + (1 - gamma) * r2 + gamma * r1)

    return run


def hidden(step):
    """InvarDiff: the kept hidden state under this step's final layer."""
    return step.head(step.kept[-1].hidden[-1])


def output(step):
    """EasyCache: the same change from latents to prediction; variances as they were."""
    kept, c = step.kept[-1], step.latents.shape[1]
    prediction = step.latents + kept.output[:, :c] - kept.latents
    return torch.cat([prediction, kept.output[:, c:]], 1)


def bands(x):
    """Shifted spectrum (…, h, w) of complex128, and which of it is low."""
    h, w = x.shape[-2:]
    y, x_ = np.meshgrid(np.arange(h) - h // 2, np.arange(w) - w // 2, indexing="ij")
    spectrum = np.fft.fftshift(np.fft.fft2(x.double().numpy()), axes=(-2, -1))
    return spectrum, y**2 + x_**2 <= (min(h, w) // 5) ** 2


def cond_only(low, high):
    """FasterCache, band by band (arXiv 2410.19355, eq. 9 to 11), the null half behind."""

    def run(step):
        n = len(step.latents) // 2
        old, inside = bands(step.kept[-1].output)
        delta = old[n:] - old[:n]
        for s in range(step.kept[-1].s + 1, step.s + 1):
            t = step.times[s]
            delta[..., inside] *= low if 99 < t < 901 else 1
            delta[..., ~inside] *= high if t < 301 else 1
        x = step.blocks(step.module.pos_embed(step.latents[:n]), 0, step_blocks(step))
        cond = step.head(x)
        null = np.fft.ifft2(np.fft.ifftshift(bands(cond)[0] + delta, axes=(-2, -1))).real
        return torch.cat([cond, torch.from_numpy(null).float()])

    return run


def step_blocks(step):
    return len(step.module.transformer_blocks)


def scaled(delta):
    """EB-Cache: eps / delta, through eps and clean latents where the model predicts v."""

    def run(step):
        c, x = step.latents.shape[1], step.latents.double()
        out = compute(step)
        prediction = out[:, :c].double()
        a, b = alpha_bar(step.times[step.s]) ** 0.5, (1 - alpha_bar(step.times[step.s])) ** 0.5
        if step.kind == "epsilon":
            prediction = prediction / delta
        else:
            eps = (b * x + a * prediction) / delta
            prediction = a * eps - b * (x - b * eps) / a
        out = torch.cat([prediction.float(), out[:, c:]], 1)
        step.kept[-1].output = out
        return out

    return run


@dataclass
class Loop:
    latents: torch.Tensor  # (N, C, h, w) final
    outputs: list  # S times (passes N, C', h, w)


@torch.no_grad()
def loop(module, plan, noise, labels, *, guidance, null, kind="epsilon"):
    """DDIM from noise (N, C, h, w); `plan` has a function for every step."""
    times = timesteps(len(plan))
    passes = 2 if guidance > 1 else 1
    y = torch.tensor(list(labels) + [null] * len(labels) * (passes - 1))
    x, kept, outputs = noise.clone(), [], []
    for s, t in enumerate(times):
        step = Step(module, s, times, torch.cat([x] * passes), y, kind, kept)
        out = plan[s](step)
        outputs.append(out)
        prediction = out[:, : x.shape[1]]
        if passes == 2:
            cond, uncond = prediction.chunk(2)
            prediction = uncond + guidance * (cond - uncond)
        x, _ = ddim(prediction, x, t, times[s + 1] if s + 1 < len(times) else None, kind)
    return Loop(x, outputs)
