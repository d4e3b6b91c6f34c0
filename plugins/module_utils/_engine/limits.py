# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a call of an engine may take, by its kind: a call that names no limit of its own still has one.

A limit is no expectation. It is several times what the slowest machine took that this was run on (a copy of a node's
/var in a virtual machine without KVM: 90 s), because one that is reached ends the task.
"""

from __future__ import annotations

from collections.abc import Sequence

CHANGE_SECONDS = 120.0
"""For what makes, changes or removes one thing, and for what no kind is known of."""

START_SECONDS = 300.0
"""For create and start: podman copies the image's /var into the volume of a node at one of the two."""

COPY_SECONDS = 300.0
"""For files on their way into a container, and for the removal of an image with all its layers."""

EXEC_SECONDS = 60.0
"""For a command in a container that names no limit: those that wait for something do."""

TRANSFER_SECONDS = 1800.0
"""For a whole image: 4.6 minutes were seen for 1.5 GB in a virtual machine without KVM."""

_QUESTIONS = frozenset(("info", "version", "context", "ps", "images", "logs", "port", "manifest", "top", "diff"))
_ASKING = frozenset(("ls", "list", "inspect", "exists", "show"))
"""Second words after the kind of an object."""
_OBJECTS = frozenset(("network", "volume", "container", "image", "system", "pod", "secret"))
_LIMITS = {
    "create": START_SECONDS,
    "start": START_SECONDS,
    "run": START_SECONDS,
    "stop": CHANGE_SECONDS,
    "rm": CHANGE_SECONDS,
    "rmi": COPY_SECONDS,
    "cp": COPY_SECONDS,
    "exec": EXEC_SECONDS,
    "pull": TRANSFER_SECONDS,
    "load": TRANSFER_SECONDS,
    "save": TRANSFER_SECONDS,
    "import": TRANSFER_SECONDS,
    "build": TRANSFER_SECONDS,
    "tag": CHANGE_SECONDS,
    "untag": CHANGE_SECONDS,
    "update": CHANGE_SECONDS,
    "rename": CHANGE_SECONDS,
    "pause": CHANGE_SECONDS,
    "unpause": CHANGE_SECONDS,
}
_TIMES = ("--time", "--timeout", "-t")
"""Options of stop and rm whose value is waited for before a container is killed."""


def verb(arguments: Sequence[str]) -> str:
    """What a call does, in the client's own words: ``network ls``, ``start``. Options before it are skipped."""
    for index, word in enumerate(arguments):
        if word in _OBJECTS and index + 1 < len(arguments):
            return f"{word} {arguments[index + 1]}"
        if word in _QUESTIONS or word in _LIMITS:
            return word
    return arguments[0] if arguments else ""


def is_question(arguments: Sequence[str]) -> bool:
    """Whether a call only asks; what only asks and is not answered in time tells that the engine hangs."""
    first, _separator, second = verb(arguments).partition(" ")
    return first in _QUESTIONS or second in _ASKING


def limit_of(arguments: Sequence[str], question: float) -> float:
    """The limit of a call in seconds; ``question`` is that of one that only asks this engine."""
    first, _separator, second = verb(arguments).partition(" ")
    if first in _QUESTIONS or second in _ASKING:
        return question
    if first == "image" and second in ("rm", "prune"):
        return COPY_SECONDS
    limit = _LIMITS.get(second or first, CHANGE_SECONDS)
    return limit + (_grace(arguments) if (second or first) in ("stop", "rm", "restart") else 0.0)


def _grace(arguments: Sequence[str]) -> float:
    """The seconds that the call lets a container have for its end."""
    for option, value in zip(arguments, arguments[1:]):
        if option in _TIMES and value.isdigit():
            return float(value)
    return 0.0
