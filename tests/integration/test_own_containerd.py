# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node's owner says to its containerd: registries below certs.d, or a whole configuration of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Client

OWN = 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\n  restrict_oom_score_adj = false\n'


@pytest.mark.full("twenty seconds; few mount a configuration of containerd")
def test_own_containerd_configuration(
    run_module: Callable[..., dict[str, Any]],
    podman: Client,
    node_image: str,
    unique: Callable[[str], str],
    tmp_path: Path,
) -> None:
    """A mounted configuration does not end the start and stays as it is; the image's own reads certs.d."""
    config = tmp_path / "config.toml"
    config.write_text(OWN)
    mount = {"source": str(config), "target": "/etc/containerd/config.toml", "read_only": True}
    for mounts in ([mount], []):
        name = unique("containerd")
        run_module("kic_node", name=name, image=node_image, engine="podman", volume="none", mounts=mounts)
        assert podman.out("exec", name, "systemctl", "is-active", "containerd").strip() == "active"
        dump = podman.out("exec", name, "containerd", "config", "dump")
        assert ('config_path = "/etc/containerd/certs.d"' in dump) is not bool(mounts)
    assert config.read_text() == OWN
