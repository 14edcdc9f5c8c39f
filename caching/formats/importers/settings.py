"""The few settings of a step mask, read out of YAML, Python, JSON, shell or environment text.

A reader of its own for half a dozen keys, because a whole YAML or Python reader would open far more
than is wanted from a file of a stranger.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from caching.checks import MAX_STEPS
from caching.errors import ScheduleError

# Runs of computed and of reused steps, by turns; cache-dit's policies for its native 28 steps.
POLICIES = {
    "slow": ((8, 3, 3, 2, 1, 1), (1, 2, 2, 2, 3)),
    "medium": ((6, 2, 2, 2, 2, 1), (1, 3, 3, 3, 3)),
    "fast": ((6, 1, 1, 1, 1, 1), (1, 3, 4, 5, 4)),
    "ultra": ((4, 1, 1, 1, 1), (2, 5, 6, 7)),
}
NATIVE_STEPS = 28
DEFAULT_FIRST = 8
DEFAULT_LAST = 0

_MASK = ("steps_computation_mask", "steps_mask", "scm-mask")
_BINS = ("SGLANG_CACHE_DIT_SCM_COMPUTE_BINS", "SGLANG_CACHE_DIT_SCM_CACHE_BINS")
_FIRST = ("Fn_compute_blocks", "Fn", "SGLANG_CACHE_DIT_FN")
_LAST = ("Bn_compute_blocks", "Bn", "SGLANG_CACHE_DIT_BN")
_POLICY = ("steps_computation_policy", "scm-policy", "SGLANG_CACHE_DIT_SCM_POLICY")
_STEPS = ("num_inference_steps",)
_KEYS = (*_MASK, *_BINS, *_FIRST, *_LAST, *_POLICY, *_STEPS)

_ENTRY = re.compile(
    r"(?<![\w.])['\"]?(" + "|".join(sorted(_KEYS, key=len, reverse=True)) + r")\b['\"]?"
    # Spaces are bounded and brackets do not nest, so that no text takes more than linear time.
    r"[ \t]{0,8}(?:[:=]|[ \t])[ \t]{0,8}"
    r"(\[[^\[\]]*\]|(?:\n[ \t]{0,40}-[ \t]{1,8}[01][ \t]{0,8}(?=\n|\Z))+"
    r"|\"[^\"\n]*\"|'[^'\n]*'|\d+(?:,\d+)*(?!\w)|-?\w+)"
)
_COMMENT = re.compile(r"(?m)(?:^|(?<=\s))#[^\n]*")


@dataclass(frozen=True)
class Settings:
    """A mask, the blocks that always run, and what was noticed on the way."""

    mask: tuple[int, ...]  # (S,), 1 = compute
    first: int
    last: int
    understood: tuple[str, ...]
    lost: tuple[str, ...]


def has_mask(text: str) -> bool:
    """Whether the text sets a mask or bins."""
    found = {match[1] for match in _ENTRY.finditer(_COMMENT.sub("", text))}
    return bool(found & {*_MASK, *_BINS})


def settings_of(text: str) -> Settings:
    """What the text sets; raises ScheduleError for a key that is missing, twice there, or wrong."""
    found: dict[str, str] = {}
    for match in _ENTRY.finditer(_COMMENT.sub("", text)):
        if match[1] in found:
            raise ScheduleError(f"{match[1]} is set twice: remove one of them")
        found[match[1]] = match[2]

    def get(names: tuple[str, ...]) -> str | None:
        return next((found[name].strip("\"' ") for name in names if name in found), None)

    understood, lost = [], []
    mask = _mask(get(_MASK), [get((name,)) for name in _BINS], get(_STEPS))
    steps = get(_STEPS)
    if steps is not None and steps != str(len(mask)):
        lost.append(f"it is set to {steps[:20]} steps and its mask has {len(mask)}: the mask rules")
    first, last = get(_FIRST), get(_LAST)
    if first is None:
        understood.append(f"Fn is not set: cache-dit's default, {DEFAULT_FIRST} blocks.")
    if get(_POLICY) != "static":
        lost.append(
            "the policy is dynamic: there a step with 0 is computed all the same when the first "
            "blocks have changed too much, here never"
        )
    return Settings(
        mask,
        DEFAULT_FIRST if first is None else _count("Fn_compute_blocks", first),
        DEFAULT_LAST if last is None else _count("Bn_compute_blocks", last),
        tuple(understood),
        tuple(lost),
    )


def _mask(given: str | None, bins: list[str | None], steps: str | None) -> tuple[int, ...]:
    if given is not None and given in POLICIES:
        if steps != str(NATIVE_STEPS):
            raise ScheduleError(
                f"the mask is the policy {given!r} for {str(steps)[:20]} steps: expected "
                f"{NATIVE_STEPS}, the steps it was made for; give the mask itself"
            )
        return runs(*POLICIES[given])
    if given is not None:
        digits = [
            item for item in re.split(r"[\s,\[\]]+|(?:^|\s)-\s", given) if item not in ("", "-")
        ]
        wrong = [item for item in digits if item not in ("0", "1", "True", "False")]
        if wrong or not 1 <= len(digits) <= MAX_STEPS:
            raise ScheduleError(
                f"the mask has {(wrong or [f'{len(digits)} entries'])[0][:40]!r}: expected 0 or 1 "
                f"for each of 1 to {MAX_STEPS} steps"
            )
        return tuple(int(item in ("1", "True")) for item in digits)
    if bins[0] is None or bins[1] is None:
        raise ScheduleError("bins for computed and for reused steps belong together: give both")
    return runs(
        *([_count("bin", item) for item in re.split(r"[\s,]+", b.strip())] for b in bins if b)
    )


def runs(
    compute: tuple[int, ...] | list[int], reuse: tuple[int, ...] | list[int]
) -> tuple[int, ...]:
    """A mask from the lengths of its runs, a computed one first; bounded."""
    if not 0 <= len(compute) - len(reuse) <= 1 or sum(compute) + sum(reuse) > MAX_STEPS:
        raise ScheduleError(
            f"{len(compute)} runs of computed and {len(reuse)} of reused steps given: expected "
            f"them by turns, a computed one first, {MAX_STEPS} steps at most"
        )
    mask: list[int] = []
    for index, length in enumerate(compute):
        mask += [1] * length
        mask += [0] * (reuse[index] if index < len(reuse) else 0)
    return tuple(mask)


def _count(name: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text):
        raise ScheduleError(f"{name} is {text[:40]!r}: expected a whole number")
    return int(text)
