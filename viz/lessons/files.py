"""A lesson file, read: JSON by anybody, bounded, every word known or refused.

presets/lessons/README.md explains the format to teachers.
"""

from __future__ import annotations

import json
from typing import Any

from viz.glossary import TERMS
from viz.lessons.values import Check, Lesson, LessonError, Region, Step, shown
from viz.lessons.vocabulary import KINDS, name_of, number

FORMAT, VERSION = "cachebrush-lesson", 1
MAX_BYTES = 64 * 1024
MAX_STEPS, MAX_CHECKS = 12, 8
TEXTS = {"title": 80, "summary": 160, "intro": 900, "ending": 900, "text": 600, "hint": 600}
MAX_LINK = 16_384
# What a lesson may bring beside grid, pictures and numbers.
BOXES = ("method", "learn", "picture", "files", "curves", "study", "board")
START = {"grid", "link", "method", "values", "class", "seed", "steps", "guidance", "sampler"}


def load_lesson(data: bytes, *, name: str) -> Lesson:
    """The lesson in a file.

    Raises:
        LessonError: it is too long, no JSON, or says something that no lesson can say.
    """
    if len(data) > MAX_BYTES:
        raise LessonError(f"it has {len(data)} bytes, expected at most {MAX_BYTES}.")
    try:
        found = json.loads(data.decode("utf-8-sig"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise LessonError(f"it is no JSON text ({error!s:.120}).") from error
    return lesson_of(found, name=name)


def lesson_of(found: Any, *, name: str) -> Lesson:
    """The lesson that parsed JSON describes; raises LessonError."""
    required = {"format", "version", "title", "steps"}
    known = required | {"summary", "intro", "ending", "start", "show", "keeps_seed"}
    words = _object(found, "the file", known, required)
    if words["format"] != FORMAT or words["version"] != VERSION:
        raise LessonError(
            f"it is {shown(words['format'])}, version {shown(words['version'])}; expected "
            f'"{FORMAT}", version {VERSION}.'
        )
    steps = _list(words["steps"], "steps", MAX_STEPS)
    if not steps:
        raise LessonError("steps is empty, expected at least one task.")
    show = tuple(_list(words.get("show", []), "show", len(BOXES)))
    for box in show:
        if box not in BOXES:
            raise LessonError(f"show has {shown(box)}, expected some of {', '.join(BOXES)}.")
    keeps = words.get("keeps_seed", False)
    if not isinstance(keeps, bool):
        raise LessonError(f"keeps_seed is {shown(keeps)}, expected true or false.")
    return Lesson(
        name=name[:80],
        title=_text(words["title"], "title"),
        summary=_text(words.get("summary", ""), "summary"),
        intro=_text(words.get("intro", ""), "intro"),
        steps=tuple(_step(one, f"step {k}") for k, one in enumerate(steps, 1)),
        ending=_text(words.get("ending", ""), "ending"),
        start=_start(words.get("start", {})),
        show=show,
        keeps_seed=keeps,
    )


def _start(found: Any) -> dict[str, Any]:
    words = _object(found, "start", START, set())
    for key, value in words.items():
        where = f"start: {key}"
        if key == "values":
            for name, one in _object(value, where, None, set()).items():
                if not isinstance(one, int | float | str) or len(str(one)) > 40:
                    raise LessonError(f"{where}: {name:.40} is {shown(one)}, expected a value.")
        elif key == "link":
            if not isinstance(value, str) or not 2 < len(value) <= MAX_LINK:
                raise LessonError(f"{where} is {shown(value)}, expected the text of a link.")
        elif key == "grid":
            if value != "full":
                raise LessonError(f'{where} is {shown(value)}, expected "full".')
        elif key in ("method", "sampler", "class"):
            name_of(value, where)
        else:
            number(0, 2**31 - 1)(value, where)
    return words


def _step(found: Any, where: str) -> Step:
    words = _object(found, where, {"text", "done", "hint"}, {"text", "done"})
    done = words["done"]
    conditions = done if isinstance(done, list) else [done]
    checks: list[Check] = []
    for one in _list(conditions, f"{where}: done", MAX_CHECKS):
        checks += _checks(one, f"{where}: done")
    if not 0 < len(checks) <= MAX_CHECKS:
        raise LessonError(
            f"{where}: done has {len(checks)} conditions, expected 1 to {MAX_CHECKS}."
        )
    return Step(
        _text(words["text"], f"{where}: text"), tuple(checks),
        _text(words.get("hint", ""), f"{where}: hint"),
    )  # fmt: skip


def _checks(found: Any, where: str) -> list[Check]:
    words = _object(found, where, {*KINDS, "branch", "steps", "blocks", "brush"}, set())
    names = {k: name_of(words[k], f"{where}: {k}") for k in ("branch", "brush") if k in words}
    spans = {k: _span(words[k], f"{where}: {k}") for k in ("steps", "blocks") if k in words}
    region = Region(names.get("branch"), spans.get("steps"), spans.get("blocks"),
                    names.get("brush"))  # fmt: skip
    kinds = [k for k in words if k in KINDS]
    if not any(KINDS[k].regional for k in kinds) and region != Region():
        raise LessonError(f"{where} says where, but no reused_at_least or reused_at_most of it.")
    return [
        Check(k, KINDS[k].parse(words[k], f"{where}: {k}"),
              region if KINDS[k].regional else Region())
        for k in kinds
    ]  # fmt: skip


def _span(value: Any, where: str) -> tuple[int, int]:
    good = (
        isinstance(value, list) and len(value) == 2
        and all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 10_000 for v in value)
        and value[0] <= value[1]
    )  # fmt: skip
    if not good:
        raise LessonError(f"{where} is {shown(value)}, expected [first, last].")
    return value[0], value[1]


def _object(found: Any, where: str, known: set[str] | None, required: set[str]) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise LessonError(f"{where} is {shown(found)}, expected a JSON object.")
    if missing := required - found.keys():
        raise LessonError(f"{where} lacks {', '.join(sorted(missing))}.")
    if known is not None and (strange := sorted(found.keys() - known)):
        raise LessonError(
            f"{where} says {shown(strange[0])}, which is not known; expected some of "
            f"{', '.join(sorted(known))}."
        )
    return found


def _list(found: Any, where: str, most: int) -> list[Any]:
    if not isinstance(found, list) or len(found) > most:
        raise LessonError(f"{where} is {shown(found)}, expected a list of at most {most}.")
    return found


def _text(found: Any, where: str) -> str:
    most = TEXTS[where.rsplit(": ", 1)[-1]]
    if not isinstance(found, str) or len(found) > most:
        raise LessonError(f"{where} is {shown(found)}, expected text of at most {most} letters.")
    for term in terms_in(found):
        if term not in TERMS:
            raise LessonError(f"{where} links to {shown(term)}, which the glossary does not have.")
    return found


def terms_in(words: str) -> list[str]:
    """The glossary's terms that a text links to as [[term]] or [[term|words]]."""
    return [part.split("]]")[0].split("|")[0] for part in words.split("[[")[1:] if "]]" in part]


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")
