"""Train the autoencoder: diffusers' AutoencoderTiny, three halvings, 128 px -> 16 x 16 x 8.

Loss: L1 + L2 on pixels and on pixel differences (edges), latents pulled towards zero mean and unit
variance per channel, and a little noise added to them before decoding so that nearby latents decode
alike.
"""

from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from presets.train.common import (
    Progress,
    average_into,
    load_checkpoint,
    save_whole,
    warm_cosine,
)

WIDTH = 48
BATCH = 16
RATE = 1.5e-3


def build() -> AutoencoderTiny:
    return AutoencoderTiny(
        latent_channels=8,
        encoder_block_out_channels=(WIDTH,) * 4,
        decoder_block_out_channels=(WIDTH,) * 4,
        num_encoder_blocks=(0, 1, 2, 3),
        num_decoder_blocks=(3, 3, 2, 1),
    )


def _edges(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def loss_of(model: AutoencoderTiny, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pictures (N, 3, H, W) in -1..1 -> training loss and plain mean squared error."""
    z = model.encoder(x)  # (N, 8, H/8, W/8)
    noise = torch.randn(z.shape, generator=generator, device=z.device, dtype=z.dtype)
    y = model.decoder(z + 0.05 * noise).float()
    error = y - x
    mse = error.square().mean()
    edges = sum((a - b).abs().mean() for a, b in zip(_edges(y), _edges(x), strict=True))
    zf = z.float()
    variance, mean = torch.var_mean(zf, dim=(0, 2, 3))
    unit = mean.square().mean() + (variance.clamp(min=1e-4).log()).square().mean()
    return error.abs().mean() + 2 * mse + edges + 0.01 * unit, mse.detach()


def train(
    images: Tensor,
    work: Path,
    *,
    steps: int,
    seed: int,
    device: str,
    initial: AutoencoderTiny | None = None,
) -> AutoencoderTiny:
    """Train on uint8 pictures (M, 3, H, W), resuming from `work`; returns the averaged model.

    Without a checkpoint in `work` it starts from the weights of `initial`, or from nothing. With
    `initial` only its decoder learns: the latents stay those that a transformer was trained on.
    """
    torch.manual_seed(seed)
    model = build().to(device, memory_format=torch.channels_last)
    if initial is not None:
        model.load_state_dict(initial.state_dict())
        model.encoder.requires_grad_(False)
    average = build().to(device)
    average.load_state_dict(model.state_dict())
    learning = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=RATE, weight_decay=0.01, betas=(0.9, 0.98))
    path, start = work / "autoencoder.pt", 0
    if saved := load_checkpoint(path):
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        start = saved["step"]
    # The full rate would first undo much of what a trained start has learnt.
    rate = RATE if initial is None else RATE / 3
    report = Progress("autoencoder", start, steps)
    smooth = None
    for step in range(start, steps):
        g = torch.Generator().manual_seed(seed * 1_000_003 + step)
        rows = torch.randint(len(images), (BATCH,), generator=g)
        x = images[rows].to(device, memory_format=torch.channels_last).float() / 127.5 - 1
        if step % 2:
            x = x.flip(-1)
        for group in optimiser.param_groups:
            group["lr"] = rate * warm_cosine(step, steps, 200)
        with torch.autocast(x.device.type, torch.bfloat16):
            noise_g = torch.Generator(device).manual_seed(step)
            loss, mse = loss_of(model, x, noise_g)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimiser.step()
        average_into(average.parameters(), model.parameters(), min(0.998, step / (step + 20)))
        smooth = mse if smooth is None else smooth.lerp(mse, 0.02)
        report(step + 1, psnr_db=10 * (4 / smooth).log10().item())
        if (step + 1) % 500 == 0 or step + 1 == steps:
            save_whole(
                path,
                {
                    "model": model.state_dict(),
                    "average": average.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "step": step + 1,
                },
            )
    return average.eval()


@torch.no_grad()
def encode(model: AutoencoderTiny, images: Tensor, *, batch: int = 64) -> Tensor:
    """uint8 pictures (M, 3, H, W) -> latents (M, 8, H/8, W/8) in half precision, on the CPU."""
    device = next(model.parameters()).device
    out = []
    for part in images.split(batch):
        x = part.to(device).float() / 127.5 - 1
        with torch.autocast(x.device.type, torch.bfloat16):
            out.append(model.encoder(x).half().cpu())
    return torch.cat(out)
