#!/usr/bin/python
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module oci_image: documentation and arguments; the logic is in module_utils/_resources/image.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: oci_image
short_description: Keep an image of a container engine in a declared state
version_added: 0.1.0
description:
  - Makes an image present under a name, from the engine's store, an archive or a registry, or takes the name away.
  - Images carry no label of ownership, so O(state=absent) takes away exactly the name it is given. The image itself
    goes with its last name, and only when no container uses it.
options:
  name:
    description:
      - Name of the image with its registry and tag, such as V(docker.io/kindest/node:v1.35.0). Without a tag it is
        V(latest). It may end in a digest, as in V(docker.io/kindest/node:v1.35.0@sha256:...), which is then O(digest).
    type: str
    required: true
  state:
    description: Whether it is to be there.
    type: str
    choices: [present, absent]
    default: present
  digest:
    description:
      - Digest of the registry's manifest (or list of manifests) that the image must have, like V(sha256:) and 64
        hexadecimal digits. An image of that name with another digest is replaced under its name.
    type: str
  source:
    description:
      - V(auto) takes what the engine has, else the archive, else the registry.
      - V(local) only looks whether the engine has it.
      - V(archive) makes the name that of the archive's image, whatever the engine has under it.
      - V(registry) makes the name that of the registry's image, whatever the engine has under it. With O(digest), which
        cannot come to mean another image, what the engine has is taken, as it is where docker keeps its images in
        containerd's store.
      - A registry that does not answer within 5 seconds fails with RV(diagnosis.id=registry_unreachable); one that
        answers and refuses is another failure. Names that begin with C(localhost/) are never asked for at a registry.
    type: str
    choices: [auto, local, archive, registry]
    default: auto
  archive:
    description:
      - Absolute path of an archive on the managed machine, as C(podman save) or C(docker save) writes it, or in OCI's
        layout; plain or compressed with gzip, bzip2 or xz. With more than one image in it, one must have O(name).
    type: path
  image_id:
    description:
      - Id that the image of O(archive) must have, 64 hexadecimal digits, for O(source=archive). Another image is refused
        before it is loaded. Whoever built the image knows it.
    type: str
    version_added: 0.1.0
  removed_nodes:
    description:
      - Names of nodes that earlier tasks of the same run remove. In check mode they are still there, and do not count as
        users of the image. A container that was not made by this collection counts whatever its name is.
      - Outside of check mode the option has no effect.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
extends_documentation_fragment:
  - nodeforge.kic.engine
  - nodeforge.kic.engine.attributes
seealso:
  - module: nodeforge.kic.kic_node
author:
  - nodeforge.kic contributors (@nodeforge)
"""

EXAMPLES = r"""
- name: The image from an archive that was copied here
  nodeforge.kic.oci_image:
    name: localhost/nodeforge/kic-node:v1.35.0
    source: archive
    archive: /var/cache/nodeforge.kic/node.tar

- name: The image of kind's release from its registry
  nodeforge.kic.oci_image:
    name: docker.io/kindest/node:v1.35.0
    source: registry

- name: Take the name away, and the image with its last name
  nodeforge.kic.oci_image:
    name: docker.io/kindest/node:v1.35.0
    state: absent
"""

RETURN = r"""
image:
  description: The image as it is, or in check mode as far as it can be known; V({}) when it is absent.
  type: dict
  returned: success
  contains:
    id: {description: Its id; none in check mode before a pull., type: str, returned: present}
    digest: {description: A registry manifest digest it has or none., type: str, returned: present}
    tags: {description: Its names., type: list, elements: str, returned: present}
    size: {description: Bytes in the store; none before it is there., type: int, returned: present}
  sample:
    digest: sha256:652a8c24f2018383391fdf3240e9dc86d095007e44dc57f0d8ce17c723577670
    id: 2251366956ae5f043d58349a8b7e7425acdaf72c7004417192615e9ed95b0eef
    size: 650117120
    tags: ['localhost/nodeforge/kic-node:v1.35.0']
drift:
  description: Always empty, as an image that differs is replaced under its name or an error.
  type: list
  elements: dict
  returned: success
  sample: []
actions:
  description: What was done, or in check mode would be.
  type: list
  elements: str
  returned: always
  sample: ['load image localhost/nodeforge/kic-node:v1.35.0: /var/cache/nodeforge.kic/node.tar']
engine:
  description: The engine that was used.
  type: str
  returned: always
  sample: podman
diagnosis:
  description: Why the task failed.
  type: dict
  returned: failure
  contains:
    id: {description: Stable name of the cause., type: str, returned: failure}
    cause: {description: What went wrong., type: str, returned: failure}
    fix: {description: What to type., type: str, returned: failure}
    output: {description: The engine's own words., type: str, returned: failure}
"""

from ansible_collections.nodeforge.kic.plugins.module_utils._engine_module import run_module
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.image import ImageResource, ImageSpec


def main() -> None:
    """Run the module."""
    run_module(
        {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "digest": {"type": "str"},
            "source": {"type": "str", "choices": ["auto", "local", "archive", "registry"], "default": "auto"},
            "archive": {"type": "path"},
            "image_id": {"type": "str"},
            "removed_nodes": {"type": "list", "elements": "str", "default": []},
        },
        lambda task: task.converge(
            "image",
            ImageResource(ImageSpec.from_params(task.params), task.engine, task.removed_nodes),
        ),
    )


if __name__ == "__main__":
    main()
