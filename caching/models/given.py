"""What callers give to make a model of, checked: device, dtype, noise schedule, autoencoder, names.

Every refusal is a ModelError that says what was given, what was expected, and what to do.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import DDIMScheduler

from caching.checks import listed
from caching.errors import ModelError
from caching.models.speed import Speed

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64)
}
PREDICTIONS = ("epsilon", "v_prediction", "sample")
MAX_TIMESTEPS = 100_000


@contextmanager
def without_remarks() -> Iterator[None]:
    """Holds back diffusers' remarks on what is read: old configs have keys that it now ignores, and
    weights that do not fit are refused here."""
    logger = logging.getLogger("diffusers")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def device_of(given: Any) -> torch.device:
    """A device that is here, by torch's own value or its name."""
    try:
        device = torch.device(given)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"device {given!r:.60} is not known, expected cpu or cuda.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            f"{given!r:.60} was asked for and torch sees no NVIDIA GPU here: expected cpu; or "
            "install torch's CUDA build and its driver."
        )
    return device


def dtype_of(given: Any) -> torch.dtype:
    """A dtype that weights may have, by torch's own value or its name."""
    dtype = DTYPES.get(given) if isinstance(given, str) else given
    if not isinstance(dtype, torch.dtype) or dtype not in DTYPES.values():
        raise ModelError(
            f"dtype {given!r:.60} was given, expected torch.float32 or one of: {', '.join(DTYPES)}."
        )
    return dtype


def check_speed(given: Any) -> None:
    """Whether it says how steps are computed."""
    if not isinstance(given, Speed):
        raise ModelError(
            f"speed is {given!r:.40}, a {type(given).__name__}, expected a Speed such as "
            "Speed(compiled=True)."
        )


def noise_of(config: Any, where: str) -> dict[str, Any]:
    """A scheduler's config, after diffusers could make a scheduler of it.

    Args:
        config: a mapping.
        where: it is from, for messages.
    """
    if not isinstance(config, Mapping):
        raise ModelError(
            f"{where} is a {type(config).__name__}, expected a diffusers scheduler or its config."
        )
    steps, kind = config.get("num_train_timesteps", 1000), config.get("prediction_type", "epsilon")
    if not isinstance(steps, int) or not 1 <= steps <= MAX_TIMESTEPS or kind not in PREDICTIONS:
        raise ModelError(
            f"{where} has {steps!r:.40} timesteps and predicts {kind!r:.40}, expected 1 to "
            f"{MAX_TIMESTEPS} and one of: {', '.join(PREDICTIONS)}."
        )
    try:
        with without_remarks():
            fine = bool(DDIMScheduler.from_config(dict(config)).alphas_cumprod.isfinite().all())
    except Exception as error:  # a stranger's config can fail anywhere inside diffusers
        raise ModelError(
            f"{where} describes no noise schedule ({type(error).__name__}: {error!s:.300}); "
            "expected the config of a diffusers scheduler."
        ) from error
    if not fine:
        raise ModelError(f"{where} gives alphas that are not finite; correct its betas.")
    return dict(config)


def check_autoencoder(vae: Any, channels: int) -> None:
    """Whether pictures of latents with so many channels can come of it."""
    if not callable(getattr(vae, "decode", None)) or not hasattr(vae, "config"):
        raise ModelError(
            f"a {type(vae).__name__} was given as the autoencoder, expected a diffusers one such "
            "as AutoencoderKL, or None."
        )
    own = getattr(vae.config, "latent_channels", channels)
    if own != channels:
        raise ModelError(
            f"the autoencoder's latents have {own} channels and the transformer's {channels}, "
            "expected the same: give the one that the transformer was trained with."
        )


def names_of(given: Sequence[str] | None, classes: int) -> tuple[str, ...]:
    """Names of the labels 0, 1, …; numbers where none are given."""
    if given is None:
        return tuple(f"class {i}" for i in range(classes))
    # Equal names stay: two of ImageNet's classes are cranes.
    names = listed(given) or ()
    if not names or not all(isinstance(name, str) for name in names):
        raise ModelError(
            f"class names {given!r:.60} were given, expected a list of texts, one for each label."
        )
    if len(names) > classes:
        raise ModelError(
            f"{len(names)} class names were given, but the model has {classes} classes; "
            "give at most as many names as classes."
        )
    return names
