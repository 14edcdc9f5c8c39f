"""Load a model by name: the shipped one, a diffusers folder on disk, or a hub id.

Only tensors are read: safetensors where there are any, else torch's weights-only reader, which
refuses everything that is not a tensor. The network is used for hub ids alone.
"""

import json
import re
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DiTTransformer2DModel

from caching.errors import ModelError
from caching.models.given import check_speed, device_of, dtype_of, noise_of, without_remarks
from caching.models.model import Model
from caching.models.speed import PLAIN, Speed

SHIPPED = "scenes-dit"
SHIPPED_FOLDER = Path(__file__).resolve().parents[2] / "presets" / "model"
AUTOENCODERS = {c.__name__: c for c in (AutoencoderKL, AutoencoderTiny)}
# Both names are in use for the same architecture; DiT-XL-2 was published under the older one.
TRANSFORMERS = ("DiTTransformer2DModel", "Transformer2DModel")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
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
    except (OSError, ValueError, RecursionError) as error:
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
        raise ModelError(
            f"id2label in model_index.json has a key that is no number: {error}"
        ) from error
    if sorted(by_label) != list(range(len(by_label))):
        raise ModelError(
            "id2label in model_index.json does not number its classes 0, 1, 2, …; give every class "
            "its label, or leave id2label out."
        )
    return tuple(by_label[i] for i in range(len(by_label)))


def _folder_of_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = ["model_index.json", "*/config.json", "scheduler/*.json"]
    parts = ("transformer", "vae")
    try:
        # Many repositories hold the same weights in several forms; only one is fetched.
        safe = [f"{part}/*.safetensors*" for part in parts]
        folder = Path(snapshot_download(name, allow_patterns=[*wanted, *safe]))
        bare = [p for p in parts if not any((folder / p).glob("*.safetensors"))]
        if bare:
            snapshot_download(name, allow_patterns=[f"{part}/*.bin*" for part in bare])
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise ModelError(
            f"{name!r} could not be fetched from the hub ({type(error).__name__}: {error}). "
            "Check the id and the connection, or give a folder on disk."
        ) from error
    return folder


def _weights(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    """The diffusers module in `folder`, with every one of its weights read from there."""
    safe = any(folder.glob("*.safetensors"))
    try:
        with without_remarks():
            module, info = kind.from_pretrained(
                folder,
                torch_dtype=dtype,
                use_safetensors=safe,
                local_files_only=True,
                output_loading_info=True,
            )
    except Exception as error:  # a stranger's files can fail anywhere inside diffusers
        raise ModelError(
            f"{folder} could not be loaded as {kind.__name__} ({type(error).__name__}: "
            f"{error!s:.300}). Expected diffusers' own layout: config.json beside its weights, "
            "model.safetensors or .bin files that hold tensors only."
        ) from error
    if missing := sorted(info["missing_keys"]):
        raise ModelError(
            f"{folder} lacks {len(missing)} weights of the {kind.__name__} its config describes, "
            f"for instance {missing[0]!r}; expected all of them: is it the right config?"
        )
    for name, p in module.named_parameters():
        if not p.isfinite().all():
            raise ModelError(
                f"{folder}: the weights {name!r} hold NaN or infinity, expected finite numbers; "
                "was its training or a conversion cut off?"
            )
    return module


def load_model(
    name: str | Path = SHIPPED,
    *,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = torch.float32,
    speed: Speed = PLAIN,
) -> Model:
    """Load the shipped model ("scenes-dit"), a diffusers folder, or a hub id such as
    "facebook/DiT-XL-2-256".

    Args:
        device: cpu or cuda, all of the model.
        dtype: of all weights, as torch's value or its name.
        speed: how steps are computed: compiled, by which kernel they attend; see `Speed`.

    Raises:
        ModelError: nothing there, not a DiT, or unreadable, or this machine has not what `device`
            or `speed` needs; says what was expected.
    """
    device, dtype = device_of(device), dtype_of(dtype)
    check_speed(speed)
    if not isinstance(name, str | Path):
        raise ModelError(
            f"{name!r:.60} was given, expected {SHIPPED!r}, the path of a diffusers folder, or a "
            'hub id like "facebook/DiT-XL-2-256".'
        )
    if not str(name).strip():
        raise ModelError(
            f"an empty name was given, expected {SHIPPED!r}, a diffusers folder, or a hub id."
        )
    folder = SHIPPED_FOLDER if str(name) == SHIPPED else Path(name)
    try:
        there, taken = folder.is_dir(), folder.exists()
    except (OSError, ValueError):  # a name too long or of letters that no file may have
        there, taken = False, True
    if not there:
        if taken or not HUB_ID.fullmatch(str(name)):
            raise ModelError(
                f"{str(name)!r:.100} is not a folder, expected {SHIPPED!r}, a diffusers folder, or "
                'a hub id like "facebook/DiT-XL-2-256".'
            )
        folder = _folder_of_hub(str(name))
    index = _read_json(folder / "model_index.json", "a diffusers pipeline's index")
    config = _read_json(folder / "transformer" / "config.json", "a transformer's config")
    kind = config.get("_class_name")
    if str(kind) not in TRANSFORMERS or config.get("norm_type") != "ada_norm_zero":
        raise ModelError(
            f"{folder} holds a {kind!r:.60} with norm_type {config.get('norm_type')!r:.60}, "
            f"expected a DiT: {TRANSFORMERS[0]} with norm_type 'ada_norm_zero'; give a "
            "class-conditional DiT."
        )
    vae_config = _read_json(folder / "vae" / "config.json", "an autoencoder's config")
    vae_kind = vae_config.get("_class_name")
    if str(vae_kind) not in AUTOENCODERS:
        known = ", ".join(AUTOENCODERS)
        raise ModelError(f"{folder / 'vae'} holds a {vae_kind!r:.60}, expected one of: {known}.")
    path = folder / "scheduler" / "scheduler_config.json"
    scheduler = noise_of(_read_json(path, "a noise schedule"), str(path))
    transformer = _weights(DiTTransformer2DModel, folder / "transformer", dtype)
    vae = _weights(AUTOENCODERS[vae_kind], folder / "vae", dtype)
    return Model.from_modules(
        transformer.to(device),
        vae.to(device).eval(),
        scheduler=scheduler,
        class_names=_class_names(index),
        name=str(name),
        speed=speed,
    )
