"""History- and token-based predictors a second time, written plainly on diffusers' module.

Forward hooks compute every branch, throw the output away where something stands in, and keep full
lists of all that happened. Nothing of `caching` is used but the numbers of the schedule: predictors
come as names with parameters.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.polynomial.hermite import hermval


@dataclass
class History:
    """Everything that happened to one cell, oldest first."""

    computed: list = field(default_factory=list)  # [step, output], the output as last refreshed
    stored: list = field(default_factory=list)  # [step, output] of every step, likewise
    ages: dict = field(default_factory=dict)  # predictor -> (computed step, ages (N, T))
    left: dict = field(default_factory=dict)  # predictor -> {computed step: D_0 as it was left}


def differences(table):
    """D_0, D_1, … from [(step, F, what stood as D_0 in the end)], oldest first (TaylorSeer)."""
    factors, before = [], None
    for i, (step, f, _) in enumerate(table):
        new = [f]
        if before is not None:
            old = [table[i - 1][2], *factors[1:]]
            for k in range(len(old)):
                new.append((new[k] - old[k]) / (step - before))
        factors, before = new, step
    return factors


def taylor(factors, x, order):
    return sum(f * x**k / math.factorial(k) for k, f in enumerate(factors[: order + 1]))


def hermite(factors, x, order, sigma):
    total = factors[0]
    for k in range(1, min(order + 1, len(factors))):
        h = hermval(sigma * x, [0] * k + [1])
        total = total + h * sigma**k / math.factorial(k) * factors[k]
    return total


def foca(computed, stored, s):
    step, f0 = computed[-1]
    e = s - step
    if len(computed) < 2:
        return f0
    slopes = (f0 - computed[-2][1]) + (stored[-1][1] - stored[-2][1])
    if e <= 3:
        return f0 + e / 2 * slopes
    w = 3 / e
    return w * (f0 + 3 / 2 * slopes) + (1 - w) * f0


def draw(place, seed, count):
    return np.random.default_rng((*place, seed)).random(count, np.float32)


def chosen_tokens(name, s1, ages, interval, k):
    """The k tokens of one row that ToCa computes, from scores (T,) on a square grid."""
    if name == "age":
        score = ages.astype(float)
    else:
        score = s1 + 0.25 * ages / interval
        side = math.isqrt(len(score))
        for top in range(0, side, 2):
            for left in range(0, side, 2):
                patch = [(top + i) * side + left + j for i in (0, 1) for j in (0, 1)]
                best = max(patch, key=lambda t: (score[t], -t))
                score[best] *= 1.6
    return sorted(range(len(score)), key=lambda t: (-score[t], t))[:k]


def k_means(tokens, centroids):
    """Labels (T,) and centroids (k, D) of one row of tokens (T, D), by loops."""
    for _ in range(100):
        far = np.abs(tokens[:, None] - centroids[None]).sum(-1)
        labels = far.argmin(1)
        moved = centroids.copy()
        for c in range(len(centroids)):
            if (labels == c).any():
                moved[c] = tokens[labels == c].mean(0)
        if np.allclose(centroids, moved, rtol=1e-4):
            break
        centroids = moved
    return labels, centroids


def one_of_each(labels, draws, k):
    """ClusCa's choice for one row: the highest draw of every cluster, then the highest others."""
    first = [max(np.flatnonzero(labels == c), key=lambda t: draws[t]) for c in np.unique(labels)]
    others = sorted(set(range(len(labels))) - set(first), key=lambda t: -draws[t])
    return (first + others)[:k]


def pairs(p, k, draws):
    """WTA-CRS for one row: [(column, how often it counts)] of k, from probabilities (in,)."""
    order = sorted(range(len(p)), key=lambda i: (-p[i], i))
    left = [1 - sum(p[i] for i in order[:c]) for c in range(k)]
    c = min(range(k), key=lambda c: left[c] / (k - c))
    found = [(i, 1.0) for i in order[:c]]
    for draw in draws[c:]:
        at = np.searchsorted(np.cumsum([p[i] for i in order[c:]]), draw * left[c], side="right")
        i = order[c:][min(at, len(order) - c - 1)]
        found.append((i, left[c] / ((k - c) * p[i])))
    return found


def integers(x, bits):
    """x (rows, D) as whole numbers, and a scale for each row."""
    scale = np.abs(x).max(1, keepdims=True) / (2 ** (bits - 1) - 1)
    return np.rint(x / scale), scale


class Plain:
    """Runs a DiTTransformer2DModel step by step on inputs that are given.

    Args:
        cells: (S, L, R) entries of `legend` by number, 0 = compute.
        legend: (name, {parameter: value}) of each predictor.
        seeds: (N,) of the rows.
        half: the steps that run the first half of the rows only.
    """

    def __init__(self, module, cells, legend, *, seeds, half=()):
        self.module, self.cells, self.legend, self.seeds = module, cells, legend, seeds
        self.half, self.lowered = set(half), set()
        self.seen = {}  # (step, block, branch) -> the output that was used
        self.history = {}
        self.hidden, self.read, self.received = {}, {}, {}
        self.centroids, self.labels = {}, {}
        self.s = 0

    def run(self, inputs, timesteps, labels):
        """Outputs of all steps for inputs S x (N, C, h, w), labels (N,)."""
        handles, blocks = [], self.module.transformer_blocks
        for i, block in enumerate(blocks):
            for r, (norm, part) in enumerate(((block.norm1, block.attn1), (block.norm3, block.ff))):
                handles.append(norm.register_forward_pre_hook(self._sees(i, r)))
                handles.append(part.register_forward_hook(self._stands_in(i, r)))
        handles.append(blocks[-1].register_forward_hook(self._ends))
        outputs = []
        try:
            for self.s, (x, t) in enumerate(zip(inputs, timesteps, strict=True)):
                time = torch.full((len(x),), int(t))
                with torch.no_grad():
                    out = self.module(x, timestep=time, class_labels=labels[: len(x)]).sample
                outputs.append(out)
        finally:
            for handle in handles:
                handle.remove()
        return outputs

    def _sees(self, block, r):
        def before(_module, args):
            self.hidden[block, r] = args[0]

        return before

    def _ends(self, _module, _args, x):
        if self.s in self.half or self.cells[self.s].any():
            return
        for n, (name, p) in enumerate(self.legend, 1):
            if name == "clusters" and (self.cells == n).any():
                for row, tokens in enumerate(x.float().numpy()):
                    k = min(p["k"], len(tokens))
                    first = np.argsort(draw((3,), self.seeds[row], len(tokens)))[:k]
                    start = self.centroids.get((n, row), tokens[first])
                    self.labels[n, row], self.centroids[n, row] = k_means(tokens, start)

    def _attention(self, attn, h, block):
        """Received attention (N, T) brought to a 2-norm of 1, as ToCa has it."""
        n, t, d = h.shape
        q, k = (m(h).view(n, t, attn.heads, -1).transpose(1, 2) for m in (attn.to_q, attn.to_k))
        weights = (q @ k.transpose(-1, -2) / (d / attn.heads) ** 0.5).softmax(-1)
        received = weights.mean(1).sum(1)
        self.received[block] = (received / received.norm(dim=1, keepdim=True)).numpy()

    def _stands_in(self, block, r):
        def after(module, args, fresh):
            s, half = self.s, self.s in self.half
            history = self.history.setdefault((block, r), History())
            number = self.cells[s, block, r]
            self.read[block, r] = args[0]
            if not number:
                out = fresh
                if not half:
                    history.computed.append([s, out])
                    history.stored.append([s, out])
                    if r == 0:
                        self._attention(module, args[0], block)
            else:
                name, p = self.legend[number - 1]
                out = getattr(self, "_" + name)(p, history, fresh, (block, r), number)
                if not half:
                    history.stored.append([s, out])
                    if name == "quantised":
                        history.computed.append([s, out])
            self.seen[s, block, r] = out
            return out

        return after

    # -- one predictor each; `fresh` is the branch as computed from the hidden state of now ----

    def _cut(self, entries, fresh):
        return [(step, out[: len(fresh)]) for step, out in entries]

    def _short(self, at, have, want):
        if have < want:
            self.lowered.add((self.s, *at))

    def _factors(self, history, fresh, at, order):
        self._short(at, len(history.computed), order + 1)
        entries = self._cut(history.computed, fresh)[-order - 1 :]
        return differences([(step, f, f) for step, f in entries])

    def _reuse(self, p, history, fresh, at, number):
        return history.computed[-1][1][: len(fresh)]

    def _taylor(self, p, history, fresh, at, number):
        factors = self._factors(history, fresh, at, p["order"])
        return taylor(factors, self.s - history.computed[-1][0], p["order"])

    def _hermite(self, p, history, fresh, at, number):
        factors = self._factors(history, fresh, at, p["order"])
        return hermite(factors, self.s - history.computed[-1][0], p["order"], p["sigma"])

    def _last_two(self, entries, weight, fresh, at):
        self._short(at, len(entries), 2)
        *older, p = [out for _, out in self._cut(entries, fresh)[-2:]]
        return p + weight * (p - older[0]) if older else p

    def _trend(self, p, history, fresh, at, number):
        return self._last_two(history.stored, p["eta"], fresh, at)

    def _extrapolate(self, p, history, fresh, at, number):
        return self._last_two(history.computed, p["w"], fresh, at)

    def _foca(self, p, history, fresh, at, number):
        self._short(at, len(history.computed), 2)
        return foca(self._cut(history.computed, fresh), self._cut(history.stored, fresh), self.s)

    def _skip(self, p, history, fresh, at, number):
        return torch.zeros_like(fresh)

    def _tokens(self, p, history, fresh, at, number):
        block, r = at
        n, t, _ = fresh.shape
        k = max(1, int(p["fraction"] * t))
        step, stored = history.computed[-1]
        since, ages = history.ages.get(number, (None, None))
        ages = ages.copy() if since == step else np.zeros((len(self.seeds), t), int)
        out = stored[:n].clone()
        for row in range(n):
            s1 = np.zeros(t)
            if p["score"] == "attention":
                s1 = self.received[block][row]
            elif p["score"] == "norm":
                norm = self.hidden[at][row].norm(dim=-1).numpy()
                s1 = norm / (norm**2).sum() ** 0.5
            elif p["score"] == "random":
                s1 = draw((1, self.s, block, r), self.seeds[row], t)
            rows = chosen_tokens(p["score"], s1, ages[row], p["interval"], k)
            ages[row] += 1
            ages[row][rows] = 0
            out[row, rows] = fresh[row, rows]
        if n == len(self.seeds):
            history.ages[number] = (step, ages)
            history.computed[-1][1] = out
            for entry in history.stored:
                if entry[0] == step:
                    entry[1] = out
        return out

    def _branch(self, at, linear):
        """The branch with `linear(i, layer, x)` of one row for each of its linears in turn."""
        block, r = at
        part, rows = self.module.transformer_blocks[block], []
        for row, x in enumerate(self.read[at].numpy()):

            def by(i, layer, x, row=row):
                y = linear(row, i, layer.weight.detach().numpy(), x)
                return y if layer.bias is None else y + layer.bias.detach().numpy()

            if r:
                up, down = part.ff.net[0].proj, part.ff.net[2]
                h = torch.nn.functional.gelu(torch.from_numpy(by(0, up, x)), approximate="tanh")
                rows.append(by(1, down, h.numpy()))
                continue
            a = part.attn1
            q, k, v = (by(i, m, x) for i, m in enumerate((a.to_q, a.to_k, a.to_v)))
            mixed = []
            for head in np.split(np.arange(len(q[0])), a.heads):
                scores = np.exp(q[:, head] @ k[:, head].T / len(head) ** 0.5)
                mixed.append(scores / scores.sum(1, keepdims=True) @ v[:, head])
            rows.append(by(3, a.to_out[0], np.concatenate(mixed, 1)))
        return torch.from_numpy(np.stack(rows))

    def _sampled(self, p, history, fresh, at, number):
        def linear(row, i, weight, x):
            k = max(1, round(p["fraction"] * len(x[0])))
            share = np.linalg.norm(x, axis=0) * np.linalg.norm(weight, axis=0)
            draws = draw((4, self.s, *at, i), self.seeds[row], k).astype(float)
            found = pairs(share / share.sum(), k, draws)
            return sum(n * np.outer(x[:, c], weight[:, c]) for c, n in found)

        return self._branch(at, linear)

    def _quantised(self, p, history, fresh, at, number):
        def linear(row, i, weight, x):
            (w, w_scale), (x, x_scale) = integers(weight, p["bits"]), integers(x, p["bits"])
            return (x @ w.T) * x_scale * w_scale.T

        return self._branch(at, linear)

    def _clusters(self, p, history, fresh, at, number):
        if at[1] == 0:
            return self._taylor(p, history, fresh, at, number)
        self._short(at, len(history.computed), p["order"] + 1)
        n, t, _ = fresh.shape
        left = dict(history.left.get(number, {}))
        step, newest = history.computed[-1]
        d0 = left.get(step, newest)[:n].clone()
        picked = []
        for row in range(n):
            labels = self.labels[number, row]
            draws = draw((2, self.s, *at), self.seeds[row], t)
            rows = one_of_each(labels, draws, min(p["k"], t))
            picked.append(rows)
            d0[row, rows] = fresh[row, rows]
            if p["gamma"]:
                for token in range(t):
                    mates = [q for q in rows if labels[q] == labels[token]]
                    mean = fresh[row, mates].mean(0)
                    d0[row, token] = p["gamma"] * mean + (1 - p["gamma"]) * d0[row, token]
        left[step] = d0
        recent = history.computed[-p["order"] - 1 :]
        factors = differences([(e, f[:n], left.get(e, f)[:n]) for e, f in recent])
        out = taylor([d0, *factors[1:]], self.s - step, p["order"])
        for row in range(n):
            out[row, picked[row]] = fresh[row, picked[row]]
        if n == len(self.seeds):
            history.left[number] = {e: left[e] for e, _ in recent if e in left}
        return out
