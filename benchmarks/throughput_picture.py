"""Draws what a provider accepted over time as an SVG file: messages a second, and all so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 60, 34, 40

Samples = Sequence[tuple[float, int]]


def draw(samples: Samples) -> str:
    """`samples` are (seconds, messages accepted so far), rising, at least two."""
    rates = [
        (after[0], (after[1] - before[1]) / (after[0] - before[0]))
        for before, after in pairwise(samples)
        if after[0] > before[0]
    ]
    seconds, total = samples[-1]
    top = _ceiling(max(rate for _, rate in rates))
    curve = _path([(_x(at, seconds), _y(rate, top)) for at, rate in rates])
    sum_curve = _path([(_x(at, seconds), _y(count, total)) for at, count in samples])
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
            ' font-size="12" role="img">',
            f"<title>{total:,} messages in {seconds:.1f} s</title>",
            "<desc>What the provider accepted a second, and so far, over the time of one campaign</desc>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
            *_grid(top, total, seconds),
            f'<path d="{sum_curve}" fill="none" stroke="#9aa5b1" stroke-width="2" stroke-dasharray="5 4"/>',
            f'<path d="{curve}" fill="none" stroke="#1f6feb" stroke-width="2.5"/>',
            f'<text x="{LEFT}" y="20" fill="#1f6feb">accepted a second</text>',
            f'<text x="{WIDTH - RIGHT}" y="20" fill="#57606a" text-anchor="end">so far (dashed)</text>',
            "</svg>\n",
        ]
    )


def _grid(top: float, total: int, seconds: float) -> list[str]:
    lines = []
    for part in range(5):
        y = _y(part, 4)
        lines += [
            f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#e5e8eb"/>',
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * part / 4:,.0f}</text>',
            f'<text x="{WIDTH - RIGHT + 6}" y="{y + 4:.1f}">{total * part / 4:,.0f}</text>',
        ]
    for part in range(6):
        x = _x(part, 5)
        lines.append(
            f'<text x="{x:.1f}" y="{HEIGHT - 16}" text-anchor="middle">{seconds * part / 5:.0f} s</text>'
        )
    return lines


def _x(value: float, most: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * value / most


def _y(value: float, most: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / most


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _ceiling(value: float) -> float:
    unit = 10.0 ** math.floor(math.log10(value))
    return math.ceil(value / unit) * unit
