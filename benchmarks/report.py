# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Medians, spread and ratios; as text, as JSON and as a picture."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from .contenders import Round
from .watcher import PHASES


@dataclass(frozen=True)
class Spread:
    """A median with the smallest and the largest value."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of one value or more."""
        return cls(statistics.median(values), min(values), max(values))

    def seconds(self) -> str:
        """For people, in seconds."""
        return f"{self.median:6.2f} s   ({self.low:.2f} to {self.high:.2f})"

    def mebibytes(self) -> str:
        """For people, in MiB."""
        return f"{self.median / 2**20:6.0f} MiB ({self.low / 2**20:.0f} to {self.high / 2**20:.0f})"


@dataclass(frozen=True)
class Figures:
    """What the rounds of one contender come to."""

    ready: Spread
    exit: Spread
    delete: Spread
    cpu: Spread
    node_peak: Spread
    node_processes: Spread
    command_memory: Spread
    phases: dict[str, Spread]
    """Seconds spent until each mark since the mark before."""
    steps: dict[str, Spread]
    """Seconds that the tool's own steps took, in their order."""


def figures(rounds: Sequence[Round]) -> Figures:
    """Sum up the rounds of one contender."""
    phases: dict[str, list[float]] = {phase: [] for phase in PHASES}
    steps: dict[str, list[float]] = {}
    for one in rounds:
        before = 0.0
        for phase in PHASES:
            phases[phase].append(one.marks[phase] - before)
            before = one.marks[phase]
        starts = [("start of the command", 0.0), *((name, at) for at, name in one.steps)]
        ends = [at for _name, at in starts[1:]] + [one.exit]
        taken: dict[str, float] = {}
        for (name, at), end in zip(starts, ends):
            taken[name] = taken.get(name, 0.0) + end - at
        for name, seconds in taken.items():
            steps.setdefault(name, []).append(seconds)
    return Figures(
        ready=Spread.of([one.marks["ready"] for one in rounds]),
        exit=Spread.of([one.exit for one in rounds]),
        delete=Spread.of([one.delete for one in rounds]),
        cpu=Spread.of([one.cpu for one in rounds]),
        node_peak=Spread.of([one.node_memory["peak"] for one in rounds]),
        node_processes=Spread.of([one.node_memory["processes"] for one in rounds]),
        command_memory=Spread.of([one.command_memory for one in rounds]),
        phases={phase: Spread.of(values) for phase, values in phases.items()},
        steps={name: Spread.of(values) for name, values in steps.items()},
    )


def ratios(ours: Sequence[Round], theirs: Sequence[Round]) -> Spread:
    """Time to Ready, ours over theirs, pair by pair."""
    return Spread.of([one.marks["ready"] / other.marks["ready"] for one, other in zip(ours, theirs)])


def text(found: dict[str, Figures], ratio: Spread | None) -> str:
    """The tables for the terminal."""
    lines = []
    for name, one in found.items():
        lines += [
            f"{name}",
            f"  node Ready, seen from outside   {one.ready.seconds()}",
            f"  command ended                   {one.exit.seconds()}",
            f"  teardown                        {one.delete.seconds()}",
            f"  processor time of the command   {one.cpu.seconds()}",
            f"  node: peak with page cache      {one.node_peak.mebibytes()}",
            f"  node: its processes             {one.node_processes.mebibytes()}",
            f"  largest process of the command  {one.command_memory.mebibytes()}",
            "  phase by phase, seen from outside",
            *(f"    {PHASES[phase]:45} {spread.seconds()}" for phase, spread in one.phases.items()),
            "  the tool's own steps",
            *(f"    {name[:45]:45} {spread.seconds()}" for name, spread in one.steps.items() if spread.median >= 0.05),
            "",
        ]
    if ratio is not None:
        lines.append(f"Ready, ours over theirs, pair by pair: {ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})")
    return "\n".join(lines)


COLOURS = dict(zip(PHASES, ("#4e79a7", "#76b7b2", "#59a14f", "#edc948", "#f28e2b")))
LEFT, WIDTH, BAR, GAP = 150, 560, 34, 44


def picture(found: dict[str, Figures], rounds: dict[str, Sequence[float]], subtitle: str) -> str:
    """An SVG: for each contender a bar of its median phases, a dot for each round."""
    last = max(max(one.exit.high, one.ready.high) for one in found.values())
    scale = WIDTH / last
    top = 64
    height = top + len(found) * (BAR + GAP) + 70
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 90} {height}" font-family="sans-serif">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        '<text x="16" y="26" font-size="17" font-weight="bold">Seconds until the node is Ready</text>',
        f'<text x="16" y="46" font-size="13" fill="#555">{escape(subtitle)}</text>',
    ]
    y = top
    for name, one in found.items():
        parts.append(f'<text x="16" y="{y + BAR / 2 + 5}" font-size="13">{escape(name)}</text>')
        x = float(LEFT)
        for phase, spread in one.phases.items():
            wide = spread.median * scale
            parts.append(
                f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{BAR}" fill="{COLOURS[phase]}">'
                f"<title>{escape(PHASES[phase])}: {spread.median:.2f} s</title></rect>"
            )
            if wide > 32:
                parts.append(
                    f'<text x="{x + wide / 2:.1f}" y="{y + BAR / 2 + 4}" text-anchor="middle" font-size="11">'
                    f"{spread.median:.1f}</text>"
                )
            x += wide
        parts.append(
            f'<text x="{max(x, LEFT + one.ready.high * scale) + 8:.1f}" y="{y + BAR / 2 + 5}" font-size="13" font-weight="bold">'
            f"{one.ready.median:.1f} s</text>"
        )
        parts += [
            f'<circle cx="{LEFT + value * scale:.1f}" cy="{y + BAR + 8}" r="3" fill="#333" fill-opacity="0.6"/>'
            for value in rounds[name]
        ]
        y += BAR + GAP
    parts.append(f'<text x="{LEFT}" y="{y - 4}" fill="#555" font-size="11">bars: medians; dots: single rounds</text>')
    x, y = 16.0, y + 20
    for phase, meaning in PHASES.items():
        if x + 30 + 6.6 * len(meaning) > LEFT + WIDTH + 90:
            x, y = 16.0, y + 20
        parts.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{COLOURS[phase]}"/>')
        parts.append(f'<text x="{x + 17}" y="{y}" font-size="12">{escape(meaning)}</text>')
        x += 34 + 6.6 * len(meaning)
    return "\n".join([*parts, "</svg>", ""])
