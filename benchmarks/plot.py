"""A bar chart as SVG, drawn by hand: four small panels, one a workload."""

from __future__ import annotations

PANELS = (
    ("W1", "ms_per_step", "W1 ms a step (less is better)"),
    ("W2", "runs_per_s", "W2 runs a second (more is better)"),
    ("W3", "seconds", "W3 seconds (less is better)"),
    ("W4", "p50_ms", "W4 p50 ms (less is better)"),
)
COLOURS = ("#2a6f97", "#a9a9a9", "#014f86", "#7f7f7f")


def bars(rows: dict[str, dict[str, dict[str, float]]]) -> str:
    """Draw the rows."""
    height = 40 + 26 * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="900" height="{2 * height}" font-family="sans-serif">'
    ]
    for number, (workload, key, title) in enumerate(PANELS):
        x, y = 450 * (number % 2) + 10, height * (number // 2) + 20
        parts.append(
            f'<text x="{x}" y="{y}" font-size="13" font-weight="bold">{title}</text>'
        )
        most = max(row[workload][key] for row in rows.values())
        for line, (name, row) in enumerate(rows.items()):
            value, top = row[workload][key], y + 10 + 26 * line
            width = max(1.0, 200 * value / most)
            parts.append(f'<text x="{x}" y="{top + 14}" font-size="11">{name}</text>')
            parts.append(
                f'<rect x="{x + 150}" y="{top}" width="{width:.1f}" height="18" fill="{COLOURS[line % 4]}"/>'
            )
            parts.append(
                f'<text x="{x + 155 + width:.1f}" y="{top + 14}" font-size="11">{value:.3g}</text>'
            )
    return "\n".join([*parts, "</svg>", ""])
