"""Load a model by name: the shipped one, a diffusers folder on disk, or a hub id.

Only tensors are read: safetensors where there are any, else torch's weights-only reader, which
refuses everything that is not a tensor. The network is used for hub ids alone.
"""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DiTTransformer2DModel

from caching.errors import ModelError
from caching.models.model import Model

SHIPPED = "scenes-dit"
SHIPPED_FOLDER = Path(__file__).resolve().parents[2] / "presets" / "model"
AUTOENCODERS = {c.__name__: c for c in (AutoencoderKL, AutoencoderTiny)}
# Both names are in use for the same architecture; DiT-XL-2 was published under the older one.
TRANSFORMERS = ("DiTTransformer2DModel", "Transformer2DModel")
MAX_CONFIG_BYTES = 4 * 2**20


def _read_json(path: Path, what: str) -> dict[str, Any]:
    if not path.is_file():
        raise ModelError(
            f"{path} is missing, expected {what}; give a diffusers folder with model_index.json, "
            "transformer/, vae/ and scheduler/."
        )
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise ModelError(f"{path} is larger than {MAX_CONFIG_BYTES} bytes, expected {what}.")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{path} cannot be read as JSON ({error}), expected {what}.") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds a {type(value).__name__}, expected an object: {what}.")
    return value


def _class_names(index: dict[str, Any]) -> tuple[str, ...] | None:
    """`id2label` of a DiT pipeline -> names by label; the first of several synonyms."""
    table = index.get("id2label")
    if not isinstance(table, dict) or not table:
        return None
    try:
        by_label = {int(k): str(v).split(",")[0].strip() for k, v in table.items()}
    except ValueError as error:
        raise ModelError(f"id2label in model_index.json has a key that is no number: {error}") from error
    if sorted(by_label) != list(range(len(by_label))):
        raise ModelError("id2label in model_index.json does not number its classes 0, 1, 2, …")
    return tuple(by_label[i] for i in range(len(by_label)))


def _folder_of_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = ["model_index.json", "*/config.json", "scheduler/*.json"]
    try:
        folder = snapshot_download(
            name, allow_patterns=[*wanted, "transformer/*", "vae/*"], ignore_patterns=["*.msgpack"]
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise ModelError(
            f"{name!r} could not be fetched from the hub ({type(error).__name__}: {error}). "
            "Check the id and the connection, or give a folder on disk."
        ) from error
    return Path(folder)


def _weights(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    safe = any(folder.glob("*.safetensors"))
    try:
        return kind.from_pretrained(
            folder, torch_dtype=dtype, use_safetensors=safe, local_files_only=True
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder} could not be loaded as {kind.__name__} ({type(error).__name__}: {error}). "
            "Expected diffusers' own layout: config.json beside its weights."
        ) from error


def load_model(
    name: str | Path = SHIPPED,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Model:
    """Load the shipped model ("scenes-dit"), a diffusers folder, or a hub id such as
    "facebook/DiT-XL-2-256".

    Raises:
        ModelError: nothing there, not a DiT, or unreadable; says what was expected.
    """
    folder = SHIPPED_FOLDER if str(name) == SHIPPED else Path(name)
    if not folder.is_dir():
        text = str(name)
        if folder.exists() or text.count("/") != 1 or text.startswith((".", "/", "~")):
            raise ModelError(
                f"{text!r} is not a folder, expected {SHIPPED!r}, a diffusers folder, or a hub id "
                'like "facebook/DiT-XL-2-256".'
            )
        folder = _folder_of_hub(text)
    index = _read_json(folder / "model_index.json", "a diffusers pipeline's index")
    config = _read_json(folder / "transformer" / "config.json", "a transformer's config")
    kind = config.get("_class_name")
    if kind not in TRANSFORMERS or config.get("norm_type") != "ada_norm_zero":
        raise ModelError(
            f"{folder} holds a {kind} with norm_type {config.get('norm_type')!r}, expected a DiT: "
            f"{TRANSFORMERS[0]} with norm_type 'ada_norm_zero'."
        )
    vae_config = _read_json(folder / "vae" / "config.json", "an autoencoder's config")
    vae_kind = vae_config.get("_class_name")
    if vae_kind not in AUTOENCODERS:
        known = ", ".join(AUTOENCODERS)
        raise ModelError(f"{folder / 'vae'} holds a {vae_kind}, expected one of: {known}.")
    scheduler = _read_json(folder / "scheduler" / "scheduler_config.json", "a noise schedule")
    transformer = _weights(DiTTransformer2DModel, folder / "transformer", dtype)
    vae = _weights(AUTOENCODERS[vae_kind], folder / "vae", dtype)
    return Model.from_modules(
        transformer.to(device),
        vae.to(device).eval(),
        scheduler=scheduler,
        class_names=_class_names(index),
        name=str(name),
    )
