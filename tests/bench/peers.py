"""Peers of the engine bench: diffusers' pipeline, its MagCache hooks, cache-dit's static mask."""

import copy
import os
from types import SimpleNamespace

import torch
from diffusers import DDIMScheduler, DiTPipeline
from diffusers.hooks import MagCacheConfig, apply_mag_cache

GUIDANCE = 2.0


class NoPicture(torch.nn.Module):
    """An autoencoder that returns latents, so that a pipeline's time is the transformer's."""

    config = SimpleNamespace(scaling_factor=1.0)

    def __init__(self, device: torch.device, dtype: torch.dtype):
        super().__init__()
        self.device, self.dtype = device, dtype

    def decode(self, latents):
        return SimpleNamespace(sample=latents)


def pipeline_of(module, noise) -> DiTPipeline:
    """A pipeline over modules of its own that share the weights of `module`."""
    shared = {id(p): p for p in (*module.parameters(), *module.buffers())}
    # cache-dit replaces methods of the class, so each pipeline gets a class, of the name it knows.
    own = type("DiTPipeline", (DiTPipeline,), {})
    no_picture = NoPicture(module.device, module.dtype)
    pipe = own(copy.deepcopy(module, shared), no_picture, DDIMScheduler(**noise))
    pipe.set_progress_bar_config(disable=True)
    return pipe


def with_mag_cache(pipe, mask) -> None:
    """MagCache as a mask: ratio 1 never reaches its threshold, ratio 3 always does."""
    config = MagCacheConfig(
        threshold=1.0,
        max_skip_steps=10**6,
        retention_ratio=0.0,
        num_inference_steps=len(mask),
        mag_ratios=[3.0 if computed else 1.0 for computed in mask],
    )
    apply_mag_cache(pipe.transformer, config)


def with_cache_dit(pipe, mask) -> None:
    """cache-dit's static mask; it computes the first block at every step, less it cannot."""
    os.environ.setdefault("CACHE_DIT_LOG_LEVEL", "error")  # it reads this once, when imported
    import cache_dit

    config = cache_dit.DBCacheConfig(
        Fn_compute_blocks=1,
        Bn_compute_blocks=0,
        max_warmup_steps=1,
        num_inference_steps=len(mask),
        steps_computation_mask=[int(computed) for computed in mask],
        steps_computation_policy="static",
        enable_separate_cfg=False,
    )
    cache_dit.enable_cache(pipe, cache_config=config)


def drawn(pipe, steps: int, *, images: int = 1) -> None:
    pipe(
        class_labels=[1] * images,
        guidance_scale=GUIDANCE,
        generator=torch.Generator().manual_seed(0),
        num_inference_steps=steps,
        output_type="pt",
    )


def obeys(pipe, mask) -> bool:
    """Whether two runs in a row compute the last block exactly as often as the mask says."""
    calls = []
    query = pipe.transformer.transformer_blocks[-1].attn1.to_q
    handle = query.register_forward_hook(lambda *_: calls.append(1))
    drawn(pipe, len(mask))
    first = len(calls)
    drawn(pipe, len(mask))
    handle.remove()
    return first == sum(mask) and len(calls) == 2 * first
