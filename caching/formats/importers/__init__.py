"""Schedules from other projects' files, told apart by content; one module per format.

To add one, add one module to this folder that defines a subclass of `Importer`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from caching import registry
from caching.checks import MAX_BLOCKS, check_branches, check_count
from caching.errors import ScheduleError
from caching.formats.importers.base import Imported, Importer, Report, Shape, report_of
from caching.formats.importers.source import Source, read_source

__all__ = ["IMPORTERS", "Imported", "Importer", "Report", "detect", "import_schedule"]


def import_schedule(
    path_or_bytes: str | os.PathLike[str] | bytes,
    *,
    blocks: int | None = None,
    branches: Sequence[str] = ("attn", "mlp"),
    format: str | None = None,
    **options: Any,
) -> Imported:
    """The schedule in a file of any known format, in execution order, and what was understood.

    Of what is returned, `schedule` runs, `report.sentences` are for people, and `request` and
    `locks` are None where a file says nothing of a picture or of locked cells.

    Args:
        path_or_bytes: the file.
        blocks: L of the model it is for. Needed where the file does not say it; a file that says
            otherwise is refused.
        branches: the names of the model's R branches.
        format: the name of an importer; None finds it by content.
        options: of that format, for instance theta of a router; see the fields of its class.

    Raises:
        ScheduleError: unreadable, of no known format, broken, or for another model.
    """
    source = read_source(path_or_bytes)
    blocks = None if blocks is None else check_count("blocks", blocks, MAX_BLOCKS)
    shape = Shape(blocks, check_branches(branches))
    if format is not None and (not isinstance(format, str) or format not in IMPORTERS):
        raise ScheduleError(
            f"format {format!r:.40} is not known: expected one of {', '.join(IMPORTERS)}"
        )
    kind = IMPORTERS[format] if format is not None else detect(source)
    importer = kind().with_options(options)
    reading = importer.read(source, shape)
    report = report_of(importer, reading)
    return Imported(reading.schedule, report, reading.request, reading.locks)


def detect(source: Source) -> type[Importer]:
    """The importer whose format the content is; raises ScheduleError when there is none."""
    for kind in IMPORTERS.values():
        if kind.sniff(source):
            return kind
    if source.kind == "pickle":
        raise ScheduleError(
            "the file is a Python pickle, which can run any program when it is opened: expected "
            "the zip that torch.save writes, or JSON; save it again with a current torch"
        )
    if source.value is None and source.text.lstrip()[:1] in ("{", "["):
        raise source.refusal  # a broken JSON file, which says where
    known = ", ".join(kind.label for kind in IMPORTERS.values())
    raise ScheduleError(f"the file is of no known format: expected one of {known}")


IMPORTERS: Mapping[str, type[Importer]] = registry.discover(__name__, __path__, Importer)  # type: ignore[type-abstract]
