# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The workload of the end-to-end story: its image, made here, and its manifests."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

IMAGE = "localhost/kictest/web:1"


def build(folder: Path, name: str = IMAGE) -> bytes:
    """Compile the web server and wrap it into a docker archive that ctr and podman take; the image is called ``name``."""
    program = folder / "web"
    subprocess.run(
        ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(program), "."],
        cwd=Path(__file__).parent / "webserver",
        env=dict(os.environ, CGO_ENABLED="0", GOFLAGS="-buildvcs=false", GOTOOLCHAIN="local", GOWORK="off"),
        check=True,
    )
    architecture = subprocess.run(["go", "env", "GOARCH"], capture_output=True, text=True, check=True).stdout.strip()
    layer = tar({"web": (program.read_bytes(), 0o755)}, directories=("data", "tmp"))
    return docker_archive(name, layer, architecture, {"Entrypoint": ["/web"], "Cmd": ["serve"]})


def docker_archive(name: str, layer: bytes, architecture: str, config: dict[str, Any]) -> bytes:
    """An image of one layer as ``docker save`` would write it."""
    content = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
        }
    ).encode()
    file_name = hashlib.sha256(content).hexdigest() + ".json"
    manifest = json.dumps([{"Config": file_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    return tar({file_name: (content, 0o644), "layer.tar": (layer, 0o644), "manifest.json": (manifest, 0o644)})


def tar(files: dict[str, tuple[bytes, int]], directories: tuple[str, ...] = ()) -> bytes:
    """A tar archive of files (content and mode by name) and empty directories that all may write to."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in directories:
            item = tarfile.TarInfo(name)
            item.type, item.mode = tarfile.DIRTYPE, 0o1777
            archive.addfile(item)
        for name, (content, mode) in files.items():
            item = tarfile.TarInfo(name)
            item.size, item.mode = len(content), mode
            archive.addfile(item, io.BytesIO(content))
    return buffer.getvalue()


def manifests() -> str:
    """A claim, a Deployment that mounts it, its Service, and a second pod to ask from; JSON is YAML."""
    container = {"name": "web", "image": IMAGE, "imagePullPolicy": "Never"}
    labels = {"app": "web"}
    items: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "containers": [
                            dict(
                                container,
                                volumeMounts=[{"name": "data", "mountPath": "/data"}],
                                readinessProbe={"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
                            )
                        ],
                        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
                        "terminationGracePeriodSeconds": 1,
                    },
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "client"},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
        },
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
