"""Tiny random-weight models of every shape the tests need, seeded and never the identity."""

import json

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiTTransformer2DModel

EPSILON = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "prediction_type": "epsilon",
    "clip_sample": False,
}
V = {**EPSILON, "prediction_type": "v_prediction"}

# Shapes the engine must be exact on, as arguments of `dit`.
SHAPES = {
    "1 block, patch 1": {"blocks": 1, "patch": 1, "side": 4},
    "3 blocks, patch 2": {"blocks": 3, "patch": 2},
    "28 blocks, patch 4": {"blocks": 28, "patch": 4, "side": 16},
    "2 blocks, learned sigma": {"blocks": 2, "learned_sigma": True, "channels": 4},
    "2 blocks, no biases, gated, affine norms": {
        "blocks": 2,
        "attention_bias": False,
        "activation_fn": "geglu",
        "norm_elementwise_affine": True,
        "dropout": 0.5,
    },
}


def stirred(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    """The module in eval mode; parameters that are all equal (zeros, ones) get random parts."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            if p.min() == p.max():
                p += 0.2 * torch.randn(p.shape, generator=generator)
    return module.eval()


def dit(
    *,
    blocks: int = 2,
    patch: int = 2,
    side: int = 8,
    channels: int = 3,
    learned_sigma: bool = False,
    classes: int = 10,
    seed: int = 0,
    **config: object,
) -> DiTTransformer2DModel:
    """A DiT of width 16 with random weights; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = DiTTransformer2DModel(
            num_layers=blocks,
            num_attention_heads=2,
            attention_head_dim=8,
            in_channels=channels,
            out_channels=2 * channels if learned_sigma else channels,
            sample_size=side,
            patch_size=patch,
            num_embeds_ada_norm=classes,
            **config,
        )
    return stirred(module, seed)


def autoencoder(seed: int = 0) -> AutoencoderKL:
    """An AutoencoderKL of the kind DiT-XL comes with: 4 latent channels, one halving here."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(4, 4),
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=2,
            sample_size=16,
        )
    return stirred(module, seed)


def imagenet(count=1000):
    """id2label as DiT's model_index.json has it: synonyms behind commas, keys as text."""
    return {str(i): f"thing {i}, Res {i}" for i in range(count)}


def save_pipeline(folder, *, safe=True, **changes):
    """A DiT-XL kind of folder: AutoencoderKL, learned sigma, 1,000 names. Returns the modules."""
    transformer = dit(learned_sigma=True, channels=4, classes=1000, **changes)
    vae = autoencoder()
    transformer.save_pretrained(folder / "transformer", safe_serialization=safe)
    vae.save_pretrained(folder / "vae", safe_serialization=safe)
    DDIMScheduler(**EPSILON).save_pretrained(folder / "scheduler")
    index = {"_class_name": "DiTPipeline", "id2label": imagenet()}
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    return transformer, vae
