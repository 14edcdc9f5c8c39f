"""Which device and how many threads an interactive session should use."""

import torch


def best_device() -> tuple[str, torch.dtype]:
    """A GPU in bfloat16 when there is one, else the CPU in float32."""
    if torch.cuda.is_available():
        return "cuda", torch.bfloat16
    return "cpu", torch.float32


def use_threads(wanted: str | None) -> None:
    """Set torch's thread count from a setting's text; None leaves torch's own choice.

    More threads than free cores make small products many times slower, so a shared machine should
    set it. Raises ValueError when the text is not a number from 1 up.
    """
    if wanted is None or not wanted.strip():
        return
    count = int(wanted)
    if count < 1:
        raise ValueError(f"{wanted!r} threads were asked for, expected a number from 1 up.")
    torch.set_num_threads(count)
