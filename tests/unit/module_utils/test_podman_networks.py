# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""podman's files of its networks, one of them as podman 4.3.1 wrote it."""

from __future__ import annotations

import shutil
from pathlib import Path

from ansible_collections.nodeforge.kic.plugins.module_utils._host.podman_networks import podman_networks
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import PODMAN


def test_podman_network_files(tmp_path: Path) -> None:
    """Each subnet of each network's file, and nothing of what is no such file."""
    shutil.copy(PODMAN / "network-file.json", tmp_path / "kictest-file.json")
    for name, text in {
        "plain.json": '{"name": "plain", "driver": "macvlan"}',
        "none.json": '{"name": "none", "subnets": null}',
        "list.json": "[]",
        "half.json": '{"name": "half", "subn',
        "words.json": '{"name": "words", "subnets": [{"subnet": "words"}]}',
        "nameless.json": '{"subnets": [{"subnet": "10.1.0.0/24"}]}',
        "netavark.lock": "",
    }.items():
        (tmp_path / name).write_text(text)
    found = [(str(subnet), owner) for subnet, owner in podman_networks(str(tmp_path))]
    assert found == [("192.168.231.0/24", "kictest-file"), ("fd00:231::/64", "kictest-file")]
    assert podman_networks(str(tmp_path / "missing")) == []
