# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for each unit test."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

SLEEP_SECONDS = 5.0


@pytest.fixture(autouse=True)
def awake(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A unit test that waits out a limit of minutes passes, and nobody sees why the whole set takes longer."""
    sleep, slept, process = time.sleep, 0.0, os.getpid()

    def counted(seconds: float) -> None:
        nonlocal slept
        # A child that a test makes in order to end it may sleep.
        slept += seconds if os.getpid() == process else 0
        refuse()
        sleep(seconds)

    def refuse() -> None:
        assert slept <= SLEEP_SECONDS, f"this test has slept for {slept:.0f} s: what does it wait for?"

    monkeypatch.setattr(time, "sleep", counted)
    yield
    # What is tested may make of any exception a diagnosis, or go on.
    refuse()
