# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""This machine's settings for package registries, for another file system that is to reach the same ones."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
RESOLVER = "10.0.2.3"
"""Where both slirp4netns and qemu's user network answer names, by this machine's resolver."""
_FILES = (Path("/etc/pip.conf"), Path("/etc/hosts"), Path("/etc/ssl/certs/ca-certificates.crt"))
_PREFIXES = ("PIP_", "GOPROXY", "GONOSUMDB", "GOSUMDB", "GOFLAGS", "SSL_CERT", "REQUESTS_CA", "CURL_CA")


def apt_settings() -> list[Path]:
    """Files of apt's configuration about registries, which by convention come last."""
    return [path for path in sorted(Path("/etc/apt/apt.conf.d").glob("99*")) if "needrestart" not in path.name]


def _environment() -> str:
    """What this machine's environment says of registries, as lines of a profile."""
    names = [key for key in sorted(os.environ) if key.startswith(_PREFIXES) and key != "PIP_FIND_LINKS"]
    return "".join(f"export {key}='{os.environ[key]}'\n" for key in names)


def furnish(root: Path, suite: str, mirrors: Sequence[str]) -> None:
    """Copy the settings into ``root``, and nothing else; ``mirrors`` are for a suite that this machine has no sources of."""
    for path in _FILES:
        if path.exists():
            (root / path.relative_to("/")).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, root / path.relative_to("/"))
    authorities = Path("/usr/local/share/ca-certificates")
    if authorities.is_dir():
        shutil.copytree(authorities, root / authorities.relative_to("/"), dirs_exist_ok=True)
    own = SOURCES.exists() and suite in SOURCES.read_text()
    if own or mirrors:
        for old in [root / "etc/apt/sources.list", *(root / "etc/apt/sources.list.d").glob("*")]:
            old.unlink(missing_ok=True)
    if own:
        shutil.copy(SOURCES, root / "etc/apt/sources.list.d")
    elif mirrors:
        lines = [f"deb {address} {suite} main\n" for address in mirrors]
        (root / "etc/apt/sources.list.d/mirror.list").write_text("".join(lines))
    for path in apt_settings():
        shutil.copy(path, root / "etc/apt/apt.conf.d")
    (root / "etc/resolv.conf").write_text(f"nameserver {RESOLVER}\n")
    (root / "etc/profile.d/registries.sh").write_text(_environment())
