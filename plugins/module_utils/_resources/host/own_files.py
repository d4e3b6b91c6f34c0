# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own files in the machine's configuration, which follow from the record."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ..._core.diagnosis import failure
from ..._core.operations import Operation
from ..._host.files import make_directory, read
from ..._state.writer import write_text
from .part import Part, Step
from .record import HEADER, MODULE_FILE, SYSCTL_FILE, HostRecord

_OWN = (HEADER, "# Written by the role nodeforge.kic.kic_host.")
"""How our files begin; the second is what the role wrote before there was a record."""


@dataclass(frozen=True)
class ObservedFiles:
    """Text by path, and the directories of these files that are there."""

    texts: Mapping[str, str | None] = field(default_factory=dict)
    directories: frozenset[str] = frozenset()


def observe_files() -> ObservedFiles:
    """Read them."""
    paths = (SYSCTL_FILE, MODULE_FILE)
    folders = {os.path.dirname(path) for path in paths}
    return ObservedFiles({path: read(path) for path in paths}, frozenset(filter(os.path.isdir, folders)))


def own_files(observed: ObservedFiles, record: HostRecord, *, keep_unrecorded: bool) -> Part:
    """Write and remove them such that they are what the record says.

    :param keep_unrecorded: leave one alone that nothing is recorded of.
    """
    steps = tuple(_steps(observed, record, keep_unrecorded))
    written = (os.path.dirname(step.operation.name) for step in steps if step.operation.verb == "write")
    new = [path for path in written if path not in observed.directories]
    return Part(replace(record, created=tuple(dict.fromkeys([*record.created, *new]))), steps)


def _steps(observed: ObservedFiles, record: HostRecord, keep_unrecorded: bool) -> Iterator[Step]:
    for path, text in record.files().items():
        found = observed.texts[path]
        if found == text or (text is None and (keep_unrecorded or not (found or "").startswith(_OWN))):
            continue
        if found is not None and not found.startswith(_OWN):
            raise failure("file_not_ours", path=path)
        verb = "remove" if text is None else "write"
        yield Step(Operation(verb, "file", path, exclusive=True, run=partial(put, path, text)), found or "", text or "")


def put(path: str, text: str | None, _seam: Any = None) -> None:
    """Write a file of the machine's configuration, or remove it where ``text`` is None."""
    if text is None:
        if os.path.exists(path):
            os.unlink(path)
        return
    make_directory(os.path.dirname(path))
    write_text(path, text)
