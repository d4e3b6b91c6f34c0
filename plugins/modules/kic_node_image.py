#!/usr/bin/python
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module kic_node_image: documentation and arguments; the logic is in module_utils/_resources/node_image*.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kic_node_image
short_description: Keep images in the nodes of a cluster in a declared state
version_added: 0.1.0
description:
  - Brings images of the engine's store, or of archives on the managed machine, into the containerd of nodes, so that pods run them
    without a registry. A source is read once for all nodes that lack something of it.
  - An image is compared by its id, the digest of its configuration. What a node has already is not transferred, and a name
    that leads to another image now is moved.
  - An image that kubelet removes, because a node's disk is full and no pod uses it, is loaded again by the next run. A pod takes an
    image that is only in its nodes with C(imagePullPolicy) V(IfNotPresent) or V(Never); Kubernetes' default for the tag C(latest)
    is V(Always).
options:
  cluster:
    description: The cluster whose nodes are meant. One of O(cluster) and O(nodes) is required.
    type: str
  nodes:
    description: Names of the nodes; left out, all of O(cluster). They have to run.
    type: list
    elements: str
  images:
    description:
      - Names of images in the engine's store, such as V(localhost/app:1); absolute paths of archives on the managed machine; or
        absolute paths of directories, of which the files are taken that are named V(.tar), V(.tar.gz), V(.tgz), V(.tar.bz2), V(.tbz),
        V(.tar.xz) or V(.txz).
      - Archives are in docker's or OCI's layout, plain or compressed, with one or several images. All of their images are meant,
        by the names that they have there.
      - A name without a tag means V(latest).
      - A name with a registry, or with C(localhost/), is the one by which a pod finds the image. Of a name without one, such as
        V(app:1), Kubernetes makes C(docker.io/library/app:1), and podman calls what it built C(localhost/app:1). The nodes get
        both names, so C(image) of a pod may be V(app:1) or V(localhost/app:1), whichever engine built it.
    type: list
    elements: str
    required: true
  state:
    description:
      - V(present) has the images in the nodes.
      - V(absent) takes the names away, and the image with its last name. Containers that run from it go on.
    type: str
    choices: [present, absent]
    default: present
  timeout:
    description: Seconds in which what one source holds has to be in all nodes.
    type: int
    default: 1800
  scripts:
    description: What is run inside nodes. The action plugin gives the scripts of the collection.
    type: dict
extends_documentation_fragment:
  - nodeforge.kic.engine
  - nodeforge.kic.engine.attributes
seealso:
  - module: nodeforge.kic.oci_image
  - module: nodeforge.kic.kic_cluster
author:
  - nodeforge.kic contributors (@nodeforge)
"""

EXAMPLES = r"""
- name: An image of the engine's store in all nodes
  nodeforge.kic.kic_node_image:
    cluster: lab
    images: [localhost/app:1]

- name: All images of a directory of archives in one node
  nodeforge.kic.kic_node_image:
    nodes: [lab-worker-1]
    images: [/srv/images]

- name: Take an image out of the nodes
  nodeforge.kic.kic_node_image:
    cluster: lab
    images: [localhost/app:1]
    state: absent
"""

RETURN = r"""
images:
  description: Of each node the images that were requested, with their ids by name; in check mode as they would be.
  type: dict
  returned: success
  sample:
    lab-control-plane-1:
      localhost/app:1: 28c3d0b17325f3dd23748295bda70b4d9b61bd7a91af06db537e257dfee0ba33
drift:
  description: Always empty, as an image that differs is replaced under its name.
  type: list
  elements: dict
  returned: success
  sample: []
actions:
  description: What was done, or in check mode would be.
  type: list
  elements: str
  returned: always
  sample: ['load image localhost/app:1 into lab-control-plane-1']
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
    output: {description: The output of the engine or of the node., type: str, returned: failure}
"""

from typing import Any

from ansible_collections.nodeforge.kic.plugins.module_utils._engine_module import Task, run_module
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_image import NodeImages
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_image_plan import NodeImagesSpec


def body(task: Task) -> dict[str, Any]:
    """Bring the images into their state."""
    spec = NodeImagesSpec.from_params(task.params)
    return task.converge("images", NodeImages(spec, task.engine, task.seen or None))


def main() -> None:
    """Run the module."""
    run_module(
        {
            "cluster": {"type": "str"},
            "nodes": {"type": "list", "elements": "str"},
            "images": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "timeout": {"type": "int", "default": 1800},
            "scripts": {"type": "dict", "no_log": True},
        },
        body,
        required_one_of=[["cluster", "nodes"]],
        held="cluster:cluster,nodes:nodes",
    )


if __name__ == "__main__":
    main()
