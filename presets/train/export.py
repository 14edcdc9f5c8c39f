"""Write the trained models as the folder that ships: a plain diffusers DiT pipeline."""

import json
from pathlib import Path

import diffusers
import torch
from diffusers import AutoencoderTiny, DDIMScheduler, DiTTransformer2DModel
from torch import nn

from caching.measure.classifier import SceneClassifier
from presets.scenes import CLASS_NAMES
from presets.train.dit import SCHEDULER, untied


def export(
    folder: Path,
    transformer: DiTTransformer2DModel,
    vae: AutoencoderTiny,
    classifier: SceneClassifier,
) -> None:
    """Save under `folder`, the transformer in bfloat16: half the size, and nothing visible lost."""
    # Module.to, because that of diffusers warns at every dtype, also where nothing needs float32.
    nn.Module.to(untied(transformer), torch.bfloat16).save_pretrained(folder / "transformer")
    vae.save_pretrained(folder / "vae")
    _drop(folder / "vae" / "config.json", "block_out_channels")
    DDIMScheduler(**SCHEDULER).save_pretrained(folder / "scheduler")
    classifier.save(folder / "classifier")
    index = {
        "_class_name": "DiTPipeline",
        "_diffusers_version": diffusers.__version__,
        "id2label": {str(i): name for i, name in enumerate(CLASS_NAMES)},
        "scheduler": ["diffusers", "DDIMScheduler"],
        "transformer": ["diffusers", "DiTTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderTiny"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _drop(config: Path, key: str) -> None:
    """Remove a key that AutoencoderTiny writes but does not know when it reads."""
    values = json.loads(config.read_text(encoding="utf-8"))
    values.pop(key, None)
    config.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def size_mib(folder: Path) -> float:
    """Size of every weight file below `folder`."""
    return sum(p.stat().st_size for p in folder.rglob("*.safetensors")) / 2**20
