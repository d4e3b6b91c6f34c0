# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How values that may be secrets reach an engine's client: never as arguments, which every user of a machine can read.

Values of a node's environment travel in the client's own environment (``--env NAME``), which only its user can read.
Names that the client itself, its loader or its libraries would obey travel on standard input in place of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .._core.checks import invalid

MASK = "********"

_OBEYED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|TEMP|TMP|TERM|TZ|TZDIR|LANG|LANGUAGE|NLSPATH|LOCPATH|GCONV_PATH|HOSTALIASES"
    r"|LOCALDOMAIN|RES_OPTIONS|GLIBC_TUNABLES|NOTIFY_SOCKET|SOURCE_DATE_EPOCH|GNUPGHOME|container"
    r"|(LC|LD|MALLOC|XDG|DBUS|SSH|SUDO|SSL|LISTEN|OTEL|DOCKER|BUILDKIT|BUILDX|BUILDAH|MOBY|CONTAINERS?|PODMAN|STORAGE"
    r"|REGISTRY|NETAVARK|AARDVARK|CNI|RUNC|CRUN|CONMON)_\w*|_.*|GO[A-Z0-9]+"
)
"""Names that mean something to docker, podman or what they are built on. More of them cost nothing."""

# What the client's readers of such files take (docker 20.10 to 29, podman 4.3 to 5): one line for each, at most 64 KiB.
_FILE_LINE = 60_000

_HARMLESS = re.compile(
    r"addr|r?bind|copy|defaults|(no)?(dev|exec|suid|lock|atime|diratime|quota|copy)|[ug]id|(user|group)_id|mode|size"
    r"|(nr_)?(inodes|blocks)|(nfs)?vers(ion)?|port|proto|r?(private|shared|slave)|relatime|strictatime|ro|rw|soft|hard"
    r"|a?sync|timeo(ut)?"
)
"""What is known to say nothing that must not be read; of a word that is not here nobody can tell."""
_SECRET = re.compile(r".*(pass|pwd|passwd|secret|token|passphrase|credential|key)\w*", re.IGNORECASE)
_FILES = re.compile(r"cred(ential)?s?|credentials?_?file|passwd_file|password_file|passfile|passdir|keyfile|secretfile")
_ACCOUNT = re.compile(r"(?<=:)[^:@/]+(?=@)")


@dataclass(frozen=True)
class Handed:
    """Values on their way to a client: ``arguments`` name them, ``environment`` and ``stdin`` hold them."""

    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    stdin: bytes | None = field(default=None, repr=False)


def hand_over(env: Mapping[str, str]) -> Handed:
    """Values of a container's environment for ``create``. Raises ``invalid_option`` for what no way can carry."""
    names, environment, lines = [], {}, []
    for name, value in sorted(env.items()):
        if not _OBEYED.fullmatch(name):
            names += ["--env", name]
            environment[name] = value
            continue
        if "\n" in value or "\r" in value or len(value) > _FILE_LINE:
            problem = f"the value of {name} has more than one line or is longer than {_FILE_LINE} characters"
            raise invalid(f"env.{name}", problem, "give the node a file with that value by the option files")
        lines.append(f"{name}={value}\n")
    stdin = "".join(lines).encode() if lines else None
    # Before the others: of a name that stands in both, the single one wins.
    return Handed((*(("--env-file", "/dev/stdin") if lines else ()), *names), environment, stdin)


def _pieces(options: Mapping[str, str]) -> list[str]:
    return [piece for piece in options.get("o", "").split(",") if piece]


def may_be_shown(options: Mapping[str, str]) -> bool:
    """Whether a volume's options hold nothing but what is known to be no secret."""
    plain = set(options) <= {"type", "device", "o", "copy", "nocopy", "timeout"}
    return (
        plain
        and not _ACCOUNT.search(options.get("device", ""))
        and all(_HARMLESS.fullmatch(piece.partition("=")[0]) for piece in _pieces(options))
    )


def masked_options(options: Mapping[str, str]) -> dict[str, str]:
    """A volume's options for a result, a diff or a message: with ``********`` for what is a secret."""
    found = {key: MASK if _is_secret(key) else _ACCOUNT.sub(MASK, value) for key, value in options.items()}
    if "o" in options:
        found["o"] = ",".join(_masked_piece(piece) for piece in options["o"].split(","))
    return found


def _is_secret(key: str) -> bool:
    return bool(_SECRET.fullmatch(key)) and not _FILES.fullmatch(key)


def _masked_piece(piece: str) -> str:
    key, separator, _value = piece.partition("=")
    return f"{key}={MASK}" if separator and _is_secret(key) else piece
