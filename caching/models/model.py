"""A model ready to sample: transformer adapter, autoencoder, noise schedule and class names."""

import hashlib
import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DiTTransformer2DModel
from torch import Tensor

from caching.errors import ModelError, RequestError
from caching.models.dit import DiT
from caching.models.family import Family
from caching.models.given import check_autoencoder, check_speed, names_of, noise_of
from caching.models.graphs import Graphs
from caching.models.speed import PLAIN, Speed

DEFAULT_SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "prediction_type": "epsilon",
    # diffusers' samplers clip predicted latents to -1..1 unless told; latents reach further.
    "clip_sample": False,
}


def _dit(module: DiTTransformer2DModel, *, speed: Speed) -> Family:
    if not speed.compiled:
        return DiT(module, speed=speed)
    from caching.models.dit_compiled import CompiledDiT

    return CompiledDiT(module, speed=speed)


ADAPTERS: dict[type[torch.nn.Module], Any] = {DiTTransformer2DModel: _dit}
"""Makes the `Family` of a module at a speed: adapter(module, speed=speed)."""


def _config_hash(family: Family) -> str:
    text = json.dumps(family.config, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# Numbers looked at in every parameter: enough to tell trainings apart, few enough to be quick on
# a model of any size.
FINGERPRINT = 64


@torch.no_grad()
def _weights_hash(module: torch.nn.Module) -> str:
    """A fingerprint of the weights: up to 64 evenly spaced numbers of every parameter."""
    digest = hashlib.sha256()
    for name, p in module.named_parameters():
        flat = p.detach().reshape(-1)
        picks = flat[:: max(1, len(flat) // FINGERPRINT)].to("cpu", torch.float32)
        digest.update(f"{name} {tuple(p.shape)} {p.dtype}".encode())
        digest.update(picks.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Model:
    """What `sample` runs. Make one with `load_model` or `Model.from_modules`."""

    family: Family
    vae: Any  # a diffusers autoencoder, or None: pictures are then the first three latent channels
    noise: Mapping[str, Any]  # diffusers scheduler config: betas and what the model predicts
    class_names: tuple[str, ...]  # index = label
    name: str
    config_hash: str  # first 16 hex digits of the sha256 of the transformer's config
    weights_hash: str = ""  # likewise of some numbers of every parameter
    speed: Speed = PLAIN  # how steps are computed
    graphs: Graphs | None = None  # where they are launched as such

    @classmethod
    def from_modules(
        cls,
        transformer: torch.nn.Module,
        vae: Any = None,
        *,
        scheduler: Any = None,
        class_names: Sequence[str] | None = None,
        name: str = "modules in memory",
        speed: Speed = PLAIN,
    ) -> "Model":
        """A model from diffusers modules already in memory.

        Args:
            transformer: a `DiTTransformer2DModel`; other families by an adapter in `ADAPTERS`.
            vae: a diffusers autoencoder, or None when only latents matter.
            scheduler: a diffusers scheduler or its config, for betas and prediction type; without
                it DiT's own: 1,000 steps, linear betas, epsilon.
            class_names: names of the labels the model was trained on.
            name: shown to people and stored in schedules.
            speed: compiled or not, which attention kernel, CUDA graphs or not.

        Raises:
            ModelError: the transformer is of a family without an adapter, another argument does
                not fit it, or this machine has not what `speed` needs.
        """
        check_speed(speed)
        if not isinstance(name, str) or not name:
            raise ModelError(f"name is {name!r:.40}, expected a text that people know it by.")
        config = getattr(scheduler, "config", scheduler)
        noise = noise_of(DEFAULT_SCHEDULE if config is None else config, "the scheduler")
        for kind, adapter in ADAPTERS.items():
            if isinstance(transformer, kind):
                family: Family = adapter(transformer, speed=speed)
                break
        else:
            known = ", ".join(k.__name__ for k in ADAPTERS)
            raise ModelError(
                f"a {type(transformer).__name__} was given, expected one of: {known}. "
                "Load a class-conditional DiT, or write an adapter as caching/models/dit.py does."
            )
        names = names_of(class_names, family.classes)
        if vae is not None:
            check_autoencoder(vae, family.latent_shape[0])
        hashes = (_config_hash(family), _weights_hash(family.module))
        graphs = Graphs(family) if speed.graphs else None
        return cls(family, vae, noise, names, name, *hashes, speed, graphs)

    @property
    def blocks(self) -> int:
        """L, the transformer's blocks."""
        return self.family.blocks

    @property
    def branches(self) -> tuple[str, ...]:
        """Names of the R residual branches of every block, in order."""
        return self.family.branches

    @property
    def device(self) -> torch.device:
        """Where everything runs."""
        return self.family.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the transformer's weights."""
        return self.family.dtype

    def label_of(self, label: int | str) -> int:
        """A label by number or by class name; RequestError says which are known."""
        if isinstance(label, str):
            if label in self.class_names:
                return self.class_names.index(label)
            near = [name for name in self.class_names if label.lower() in name.lower()]
            names = near if near and label else list(self.class_names)
            known = ", ".join(names[:12]) + (" …" if len(names) > 12 else "")
            raise RequestError(f"class {label!r:.60} is not known, expected one of: {known}.")
        try:
            # bool is an int to Python, but class True is a mistake.
            number = -1 if isinstance(label, bool) else operator.index(label)
        except TypeError:
            number = -1
        if not 0 <= number < len(self.class_names):
            raise RequestError(
                f"label {label!r:.60} was given, expected 0 to {len(self.class_names) - 1} "
                f"({self.class_names[0]} to {self.class_names[-1]}) or a class name."
            )
        return number

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents (N, C, h, w) -> pictures uint8 (N, H, W, 3), on the CPU."""
        shape = tuple(latents.shape) if isinstance(latents, Tensor) else type(latents).__name__
        channels = self.family.latent_shape[0]
        if not isinstance(latents, Tensor) or shape[1:2] != (channels,) or latents.ndim != 4:
            raise RequestError(
                f"latents are {shape}, expected a tensor (N, {channels}, h, w) such as run.latents."
            )
        if self.vae is None:
            # Of fewer than three channels, the last again.
            first = torch.arange(3, device=latents.device).clamp(max=latents.shape[1] - 1)
            x = latents.index_select(1, first).float() / 3
        else:
            scale = getattr(self.vae.config, "scaling_factor", 1.0)
            shift = getattr(self.vae.config, "shift_factor", None) or 0.0
            x = self.vae.decode(
                latents.to(self.device, self.vae.dtype) / scale + shift
            ).sample.float()
        x = (x / 2 + 0.5).clamp(0, 1) * 255
        return x.round().to(torch.uint8).permute(0, 2, 3, 1).cpu().contiguous()
