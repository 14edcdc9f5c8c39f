"""Train the diffusion transformer: diffusers' DiTTransformer2DModel on autoencoder latents.

A DiT with adaLN-zero (arXiv 2212.09748), 12 blocks of width 256 on 64 tokens, predicting v
(arXiv 2202.00512) on DiT's own linear noise schedule, labels dropped to the null class with
probability 0.1 for classifier-free guidance. Matrices inside attention and feed-forward are trained
with Muon, everything else with AdamW; the shipped weights are an exponential moving average.
"""

import copy
from pathlib import Path

import torch
from diffusers import DDIMScheduler, DiTTransformer2DModel
from torch import Tensor

from presets.train.common import (
    Progress,
    average_into,
    load_checkpoint,
    save_whole,
    warm_stable_decay,
)

BATCH = 96
RATE = 1.5e-3
DROP_LABEL = 0.1
NULL_CLASS = 1000  # where diffusers' DiTPipeline expects it, so that the plain pipeline runs too
SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "prediction_type": "v_prediction",
    "clip_sample": False,
}


def build() -> DiTTransformer2DModel:
    """An untrained model whose blocks share one time-and-label embedder, as DiT does."""
    model = DiTTransformer2DModel(
        num_layers=12,
        num_attention_heads=8,
        attention_head_dim=32,
        in_channels=8,
        out_channels=8,
        sample_size=16,
        patch_size=2,
        num_embeds_ada_norm=NULL_CLASS,
        norm_type="ada_norm_zero",
        activation_fn="gelu-approximate",
    )
    blocks = model.transformer_blocks
    for block in blocks:
        block.norm1.emb = blocks[0].norm1.emb
        # adaLN-zero: every block starts as the identity.
        torch.nn.init.zeros_(block.norm1.linear.weight)
        torch.nn.init.zeros_(block.norm1.linear.bias)
    for last in (model.proj_out_1, model.proj_out_2):
        torch.nn.init.zeros_(last.weight)
        torch.nn.init.zeros_(last.bias)
    table = blocks[0].norm1.emb.class_embedder.embedding_table.weight
    torch.nn.init.zeros_(table)  # only the shipped classes and the null class ever move
    return model


def untied(model: DiTTransformer2DModel) -> DiTTransformer2DModel:
    """A copy in which every block owns its embedder, the layout diffusers saves and loads."""
    model = copy.deepcopy(model)
    for block in model.transformer_blocks[1:]:
        block.norm1.emb = copy.deepcopy(block.norm1.emb)
    return model


def optimisers(model: DiTTransformer2DModel) -> tuple[torch.optim.Optimizer, ...]:
    inner = [
        p
        for block in model.transformer_blocks
        for part in (block.attn1, block.ff)
        for p in part.parameters()
        if p.ndim == 2
    ]
    taken = {id(p) for p in inner}
    rest = [p for p in model.parameters() if id(p) not in taken and p.requires_grad]
    return (
        torch.optim.Muon(inner, lr=RATE, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=RATE, weight_decay=0.0, betas=(0.9, 0.98)),
    )


def noised(x0: Tensor, seed: int, alphas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Latents (N, C, h, w) -> noised latents, timesteps (N,), v targets.

    Timesteps are stratified over the batch, twice as dense at the clean end as on average: DiT's
    linear schedule spends half its timesteps on almost pure noise.
    """
    g = torch.Generator().manual_seed(seed)
    n = len(x0)
    u = (torch.arange(n) + torch.rand(n, generator=g)) / n
    t = ((0.5 * u + 0.5 * u * u) * len(alphas)).long().clamp(max=len(alphas) - 1)
    noise = torch.randn(x0.shape, generator=g).to(x0.device)
    a = alphas[t].to(x0.device)[:, None, None, None]
    return (
        a.sqrt() * x0 + (1 - a).sqrt() * noise,
        t.to(x0.device),
        a.sqrt() * noise - (1 - a).sqrt() * x0,
    )


def train(
    latents: Tensor,
    labels: Tensor,
    work: Path,
    *,
    steps: int,
    seed: int,
    device: str,
    compiled: bool = False,
    initial: DiTTransformer2DModel | None = None,
) -> DiTTransformer2DModel:
    """Train on latents (M, 8, 16, 16), labels (M,), resuming from `work`; returns the average.

    Without a checkpoint in `work` it starts from the weights of `initial`, or from nothing.
    """
    torch.manual_seed(seed)
    model = build().to(device).eval()  # eval: label dropping is done here, once for all blocks
    if initial is not None:
        model.load_state_dict(initial.state_dict())
    average = copy.deepcopy(model)
    opts = optimisers(model)
    alphas = DDIMScheduler(**SCHEDULER).alphas_cumprod
    path, start = work / "dit.pt", 0
    if saved := load_checkpoint(path):
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        for opt, state in zip(opts, saved["optimisers"], strict=True):
            opt.load_state_dict(state)
        start = saved["step"]
    forward = torch.compile(model) if compiled else model
    report = Progress("dit", start, steps)
    smooth = None
    for step in range(start, steps):
        g = torch.Generator().manual_seed(seed * 1_000_003 + step)
        rows = torch.randint(len(latents), (BATCH,), generator=g)
        x0, y = latents[rows].to(device).float(), labels[rows].to(device)
        y = torch.where(torch.rand(BATCH, generator=g).to(device) < DROP_LABEL, NULL_CLASS, y)
        x, t, v = noised(x0, seed + 7919 * step, alphas)
        factor = warm_stable_decay(step, steps, 200, 0.25)
        for opt in opts:
            opt.zero_grad()
            for group in opt.param_groups:
                group["lr"] = RATE * factor
        with torch.autocast(x.device.type, torch.bfloat16):
            out = forward(x, timestep=t, class_labels=y).sample
        loss = (out.float() - v).square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
        average_into(average.parameters(), model.parameters(), min(0.9985, step / (step + 30)))
        smooth = loss.detach() if smooth is None else smooth.lerp(loss.detach(), 0.02)
        report(step + 1, loss=smooth.item())
        if (step + 1) % 250 == 0 or step + 1 == steps:
            save_whole(
                path,
                {
                    "model": model.state_dict(),
                    "average": average.state_dict(),
                    "optimisers": [o.state_dict() for o in opts],
                    "step": step + 1,
                },
            )
    return average
