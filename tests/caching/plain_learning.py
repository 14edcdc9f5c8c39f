"""Soft mixing a second time: hooks on diffusers' own modules in float64, and DDIM on paper.

Nothing of `caching` is used here. Shapes: S steps, L blocks, N batch, T tokens, D width.
"""

import copy
import itertools

import torch

from tests.caching.reference import alpha_bar, ddim, timesteps

DROPPED = 10  # the null class of the tiny models


class Mixing:
    """A module in float64 whose attn1 and ff outputs are mixed with what was stored."""

    def __init__(self, module):
        self.module = copy.deepcopy(module).double().requires_grad_(False)
        self.stored, self.fresh, self.weights = {}, {}, None
        for i, block in enumerate(self.module.transformer_blocks):
            block.attn1.register_forward_hook(self._hook(2 * i))
            block.ff.register_forward_hook(self._hook(2 * i + 1))

    def _hook(self, cell):
        def after(_module, _inputs, output):
            self.fresh[cell] = output
            if self.weights is None:
                return output
            w = self.weights[cell]
            return self.stored[cell] * (1 - w) + output * w

        return after

    def __call__(self, x, t, labels, weights=None, guidance=None):
        """The output for latents (N, C, h, w) at timestep t; guided with the null class."""
        self.weights = weights
        if guidance is not None:
            x, labels = torch.cat([x, x]), torch.cat([labels, torch.full_like(labels, DROPPED)])
        times = torch.full((len(x),), t)
        output = self.module(x, timestep=times, class_labels=labels).sample
        if guidance is not None:
            conditional, null = output.chunk(2)
            output = null + guidance * (conditional - null)
        return output

    def keep(self, cells):
        """Store the newest outputs of these cells."""
        for cell in cells:
            self.stored[cell] = self.fresh[cell].detach()


def said(output, x, t, kind, error):
    """An output as it is, or the noise or clean latents it stands for at timestep t."""
    if error == "output":
        return output
    output = output[:, : x.shape[1]]
    a, b = alpha_bar(t) ** 0.5, (1 - alpha_bar(t)) ** 0.5
    if kind == "epsilon":
        return output if error == "noise" else (x - b * output) / a
    return b * x + a * output if error == "noise" else a * x - b * output


def pair_loss(module, clean, noise, labels, *, s, steps, logits, price, kind, error="output"):
    """L2C's objective for one pair, and its gradient to the logits (L R,)."""
    mixing, times = Mixing(module), timesteps(steps)
    t, after = times[s - 1], times[s]
    a = alpha_bar(t)
    x = a**0.5 * clean.double() + (1 - a) ** 0.5 * noise.double()
    output = mixing(x, t, labels)
    mixing.keep(range(len(logits)))
    x = ddim(output[:, : x.shape[1]], x, t, after, kind)[0].double()
    teacher = mixing(x, after, labels)
    free = logits.detach().double().requires_grad_(True)
    w = torch.sigmoid(free)
    student = mixing(x, after, labels, weights=w)
    gap = said(teacher, x, after, kind, error) - said(student, x, after, kind, error)
    loss = (gap**2).mean() + price * w.sum()
    loss.backward()
    return float(loss.detach()), free.grad


def unrolled(module, noise, labels, logits, *, theta, guidance, prices, price, kind):
    """HarmoniCa's run: loss and gradient of every step but the first, routers as given."""
    mixing, steps = Mixing(module), len(logits)
    times, cells = timesteps(steps), range(logits.shape[1])
    x, found = noise.double(), {}
    for s, t in enumerate(times):
        after = times[s + 1] if s + 1 < steps else None
        teacher = mixing(x, t, labels, guidance=guidance)
        if s == 0:
            mixing.keep(cells)
            x = ddim(teacher, x, t, after, kind)[0].double()
            continue
        free = logits[s].detach().double().requires_grad_(True)
        w = torch.sigmoid(free)
        student = mixing(x, t, labels, weights=w, guidance=guidance)
        loss = prices[s] * ((teacher - student) ** 2).mean() + price * w.sum()
        loss.backward()
        found[s] = float(loss.detach()), free.grad
        mixing.keep([c for c in cells if float(w[c].detach()) > theta])
        x = ddim(student.detach(), x, t, after, kind)[0].double()
    return found


def step_prices(module, noise, labels, logits, *, theta, guidance, kind):
    """HarmoniCa's weights of the steps: what each router adds to the error of the final latents."""
    steps = len(logits)
    times, cells = timesteps(steps), range(logits.shape[1])

    def final(active):
        mixing, x = Mixing(module), noise.double()
        for s, t in enumerate(times):
            w = torch.sigmoid(logits[s].double()) if 0 < s <= active else None
            with torch.no_grad():
                output = mixing(x, t, labels, weights=w, guidance=guidance)
            mixing.keep([c for c in cells if w is None or float(w[c]) > theta])
            after = times[s + 1] if s + 1 < steps else None
            x = ddim(output, x, t, after, kind)[0].double()
        return x

    ends = [final(active) for active in range(steps)]
    return [0.0] + [float(((b - a) ** 2).mean()) for a, b in itertools.pairwise(ends)]
