# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Medians, spread and ratios; as text, as JSON and as a picture."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

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


@dataclass(frozen=True)
class Layout:
    """The rounds with clusters of one size, by contender; ours are the first.

    :param unable: why the other contender can make none here, in its own words.
    """

    name: str
    rounds: dict[str, list[Round]]
    unable: str = ""

    @property
    def figures(self) -> dict[str, Figures]:
        """The sums of each contender."""
        return {name: figures(those) for name, those in self.rounds.items()}

    @property
    def ratios(self) -> dict[str, Spread]:
        """Ours over theirs, pair by pair; {} where there is no other."""
        if self.unable:
            return {}
        ours, theirs = self.rounds.values()
        pairs = list(zip(ours, theirs))
        return {
            "ready": Spread.of([one.marks["ready"] / other.marks["ready"] for one, other in pairs]),
            "teardown": Spread.of([one.delete / other.delete for one, other in pairs]),
            "processor": Spread.of([one.cpu / other.cpu for one, other in pairs]),
        }

    @property
    def json(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            **({"unable": self.unable} if self.unable else {}),
            "ratios": {name: asdict(spread) for name, spread in self.ratios.items()},
            "summary": {name: asdict(one) for name, one in self.figures.items()},
            "rounds": {name: [asdict(one) for one in those] for name, those in self.rounds.items()},
        }

    def text(self) -> str:
        """For the terminal."""
        lines = [f"== {self.name}"]
        for name, one in self.figures.items():
            lines += _table(name, one)
        if self.unable:
            lines.append(f"The other cannot run here: {self.unable}")
        for name, spread in self.ratios.items():
            lines.append(
                f"Ours over theirs, pair by pair, {name}: {spread.median:.2f} ({spread.low:.2f} to {spread.high:.2f})"
            )
        return "\n".join([*lines, ""])


def _table(name: str, one: Figures) -> list[str]:
    return [
        f"{name}",
        f"  all nodes Ready, from outside   {one.ready.seconds()}",
        f"  command ended                   {one.exit.seconds()}",
        f"  teardown                        {one.delete.seconds()}",
        f"  processor time of the command   {one.cpu.seconds()}",
        f"  first node: peak, page cache    {one.node_peak.mebibytes()}",
        f"  first node: its processes       {one.node_processes.mebibytes()}",
        f"  largest process of the command  {one.command_memory.mebibytes()}",
        "  phase by phase, seen from outside",
        *(f"    {PHASES[phase]:45} {spread.seconds()}" for phase, spread in one.phases.items()),
        "  the tool's own steps",
        *(f"    {name[:45]:45} {spread.seconds()}" for name, spread in one.steps.items() if spread.median >= 0.05),
        "",
    ]


COLOURS = dict(zip(PHASES, ("#4e79a7", "#76b7b2", "#59a14f", "#edc948", "#f28e2b")))
LEFT, WIDTH, TOP, BAR, GAP = 150, 560, 74, 30, 24


def picture(layouts: Sequence[Layout], subtitle: str, pings: float) -> str:
    """An SVG: for each contender and layout a bar of its median phases, and a dot for each round.

    :param pings: what a run that changes nothing takes, in plays with one ping.
    """
    last = max(max(one.exit.high, one.ready.high) for layout in layouts for one in layout.figures.values())
    scale = WIDTH / last
    parts: list[str] = []
    y = float(TOP)
    for layout in layouts:
        parts.append(f'<text x="16" y="{y}" font-size="13" font-weight="bold">{escape(_title(layout))}</text>')
        y += 12
        for name, one in layout.figures.items():
            parts += _bar(name, one, layout.rounds[name], y, scale)
            y += BAR + GAP
        y += 16
    rerun = f"A run that changes nothing: {pings:.1f} times a play with one ping."
    parts.append(f'<text x="16" y="{y}" font-size="13">{escape(rerun)}</text>')
    parts.append(f'<text x="16" y="{y + 18}" fill="#555" font-size="11">bars: medians; dots: single rounds</text>')
    legend, height = _legend(y + 40)
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 90} {height:.0f}" font-family="sans-serif">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        '<text x="16" y="26" font-size="17" font-weight="bold">Seconds until all nodes are Ready</text>',
        f'<text x="16" y="46" font-size="13" fill="#555">{escape(subtitle)}</text>',
    ]
    return "\n".join([*head, *parts, *legend, "</svg>", ""])


def _title(layout: Layout) -> str:
    """The layout and how it compares."""
    words = {"ready": "Ready", "teardown": "teardown", "processor": "processor time of the command"}
    compared = [f"{words[name]} {spread.median:.2f}" for name, spread in layout.ratios.items()]
    return f"{layout.name}: ours over theirs, {', '.join(compared)}" if compared else layout.name


def _bar(name: str, one: Figures, rounds: Sequence[Round], y: float, scale: float) -> list[str]:
    """The bar of one contender, with its dots below."""
    parts = [f'<text x="16" y="{y + BAR / 2 + 5}" font-size="13">{escape(name)}</text>']
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
        f'<circle cx="{LEFT + item.marks["ready"] * scale:.1f}" cy="{y + BAR + 8}" r="3" fill="#333" fill-opacity="0.6"/>'
        for item in rounds
    ]
    return parts


def _legend(y: float) -> tuple[list[str], float]:
    """What the colours mean, and the height of the picture."""
    parts, x = [], 16.0
    for phase, meaning in PHASES.items():
        if x + 30 + 6.6 * len(meaning) > LEFT + WIDTH + 90:
            x, y = 16.0, y + 20
        parts.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{COLOURS[phase]}"/>')
        parts.append(f'<text x="{x + 17}" y="{y}" font-size="12">{escape(meaning)}</text>')
        x += 34 + 6.6 * len(meaning)
    return parts, y + 20
