# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Node images that the role kic_image has built, as an engine holds them."""

from __future__ import annotations

from .._core import labels
from .._engine.base import EngineReader

IMAGE_KEY = labels.PREFIX + "image.key"
"""Label of the images that the role kic_image builds: the key of all that went into it."""


REPOSITORIES = "localhost/nodeforge/"
"""Where the role puts what it builds; the tags end with the first characters of the key."""


def find_images(engine: EngineReader) -> list[str]:
    """Their names, without those that somebody else gave: an image that is built on one of ours has its label too."""
    return sorted(
        tag
        for image in engine.images(IMAGE_KEY)
        for tag in image.tags
        if tag.startswith(REPOSITORIES) and tag.endswith(f"-{image.labels[IMAGE_KEY][:12]}")
    )
