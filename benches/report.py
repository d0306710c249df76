"""Markdown tables and plots."""

import math
from xml.sax.saxutils import escape

COLOURS = ["#9aa5b1", "#d97706", "#2563eb", "#059669", "#7c3aed", "#dc2626"]
FONT = 'font-family="sans-serif" font-size="12"'


def number(value, unit=""):
    """Formats rates and times with three significant digits, and k or M where they help."""
    if value is None:
        return ""
    if unit == "us":
        return f"{value / 1000:.3g} ms" if value >= 10_000 else f"{value:.0f} us"
    if unit == "B":
        return f"{value / 1e6:.0f} MB"
    if value >= 999_500:
        text = f"{value / 1e6:.2f} M"
    elif value >= 10_000:
        text = f"{value / 1e3:.0f} k"
    else:
        text = f"{value:.0f} "
    return text + unit if unit else text.strip()


def ratio(value, reference, lower_is_better=False):
    """Returns how many times better than the reference it is."""
    if not value or not reference:
        return ""
    times = reference / value if lower_is_better else value / reference
    return f"{times:.1f}" if times >= 10 else f"{times:.2f}"


def table(header, rows):
    """Returns a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def label(value):
    """Formats a number on an axis."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"


def svg(width, height, parts):
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" {FONT}>\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n{body}\n</svg>\n'
    )


def text(x, y, words, anchor="start", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {extra}>{escape(words)}</text>'


def bars(title, groups, names, unit):
    """Draws horizontal bars on a logarithmic scale: groups are (label, {name: value})."""
    values = [v for _, group in groups for v in group.values() if v]
    if not values:
        return svg(400, 60, [text(10, 30, title + ": no figures")])
    low = 10 ** math.floor(math.log10(min(values)) - 0.01)
    high = 10 ** math.ceil(math.log10(max(values)) + 0.01)
    left, right, bar = 330, 90, 14
    width = 960
    step = bar * len(names) + 16
    height = 70 + step * len(groups)

    def x(value):
        share = (math.log10(value) - math.log10(low)) / (math.log10(high) - math.log10(low))
        return left + share * (width - left - right)

    parts = [text(10, 22, title, extra='font-weight="bold"')]
    for n, name in enumerate(names):
        at = left + 150 * n
        parts.append(f'<rect x="{at}" y="32" width="10" height="10" fill="{COLOURS[n % 6]}"/>')
        parts.append(text(at + 14, 42, name))
    power = low
    while power <= high:
        parts.append(f'<line x1="{x(power):.1f}" x2="{x(power):.1f}" y1="50" y2="{height - 10}" stroke="#ddd"/>')
        parts.append(text(x(power), height - 1, label(power), "middle", 'fill="#666" font-size="10"'))
        power *= 10
    for g, (words, group) in enumerate(groups):
        top = 56 + g * step
        parts.append(text(left - 8, top + step / 2, words, "end"))
        for n, name in enumerate(names):
            value = group.get(name)
            if not value:
                continue
            y = top + n * bar
            parts.append(
                f'<rect x="{left}" y="{y}" width="{max(x(value) - left, 1):.1f}" height="{bar - 2}" '
                f'fill="{COLOURS[n % 6]}"/>'
            )
            parts.append(text(x(value) + 4, y + 10, number(value, unit), extra='font-size="10"'))
    return svg(width, height, parts)


def lines(title, x_name, y_name, series):
    """Draws curves on logarithmic scales: series are {name: [(x, y)]}; an x of 0 is at the left edge."""
    points = [point for curve in series.values() for point in curve if point[1]]
    if not points:
        return svg(400, 60, [text(10, 30, title + ": no figures")])
    xs = sorted({point[0] for point in points})
    low = 10 ** math.floor(math.log10(min(p[1] for p in points)))
    high = 10 ** math.ceil(math.log10(max(p[1] for p in points)) + 0.01)
    width, height, left, bottom = 720, 400, 80, 60

    def x(value):
        # Equal steps: the values were chosen so.
        return left + 20 + xs.index(value) * (width - left - 180) / max(len(xs) - 1, 1)

    def y(value):
        share = (math.log10(value) - math.log10(low)) / (math.log10(high) - math.log10(low))
        return height - bottom - share * (height - bottom - 50)

    parts = [
        text(10, 22, title, extra='font-weight="bold"'),
        text(width / 2 - 60, height - 12, x_name, "middle"),
        text(10, 42, y_name, extra='fill="#666"'),
    ]
    power = low
    while power <= high:
        parts.append(f'<line x1="{left}" x2="{width - 150}" y1="{y(power):.1f}" y2="{y(power):.1f}" stroke="#ddd"/>')
        parts.append(text(left - 6, y(power) + 4, label(power), "end"))
        power *= 10
    for value in xs:
        parts.append(text(x(value), height - bottom + 18, label(value), "middle"))
    for n, (name, curve) in enumerate(series.items()):
        there = [point for point in curve if point[1]]
        colour = COLOURS[n % 6]
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in there)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3" fill="{colour}"/>' for a, b in there]
        parts.append(f'<rect x="{width - 140}" y="{50 + 18 * n}" width="10" height="10" fill="{colour}"/>')
        parts.append(text(width - 125, 59 + 18 * n, name))
    return svg(width, height, parts)
