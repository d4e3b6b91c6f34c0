# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes' own tests, built once, and a cluster for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..builder import loaded
from ..conftest import cannot_run
from ..integration.conftest import environment, module_unique, play, podman
from ..integration.living import Cluster, living
from .build import Builder, Suite, obstacle

__all__ = ["cluster", "environment", "module_unique", "play", "podman", "suite"]


@pytest.fixture(scope="session")
def suite() -> Suite:
    """The tests and their images."""
    problem = obstacle()
    if problem is not None:
        cannot_run(problem)
    with loaded() as program:
        return Builder(program).suite()


@pytest.fixture(scope="module")
def cluster(
    request: pytest.FixtureRequest,
    suite: Suite,
    module_unique: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    """A cluster with two workers, as some tests need, which has the images by the option for that."""
    folder: Path = tmp_path_factory.mktemp("conformance")
    with living("podman", request, module_unique("conf"), folder) as found:
        found.site(kic_cluster_workers=2, kic_cluster_images=[str(suite.archive)])
        yield found
