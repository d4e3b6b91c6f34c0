# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The search domains that a node gives its pods."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[3] / "roles/kic_cluster/files/node/usr/local/lib/nodeforge.kic/resolver"
SERVERS = "nameserver 192.0.2.1\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(f"search dns.podman\n{SERVERS}", SERVERS, id="podmans-alone"),
        pytest.param(f"search lab.example dns.podman\n{SERVERS}", f"search lab.example\n{SERVERS}", id="last"),
        pytest.param(
            f"search dns.podman. lab.example corp.example\n{SERVERS}",
            f"search lab.example corp.example\n{SERVERS}",
            id="first",
        ),
        pytest.param(f"{SERVERS}search dns.podman.example my-dns.podman\n", None, id="others-that-hold-its-name"),
        pytest.param(f"search lab.example\n{SERVERS}options ndots:1\n", None, id="none-of-podman"),
        pytest.param("", None, id="empty"),
    ],
)
def test_search_domains(tmp_path: Path, before: str, after: str | None) -> None:
    """Podman's domain is removed and nothing else; the file stays the same one, as it is a mount."""
    file = tmp_path / "resolv.conf"
    file.write_text(before)
    number, changed = file.stat().st_ino, file.stat().st_mtime_ns
    subprocess.run([PROGRAM], env={**os.environ, "RESOLV_CONF": str(file)}, check=True)
    assert (file.read_text(), file.stat().st_ino) == (before if after is None else after, number)
    assert after is not None or file.stat().st_mtime_ns == changed
