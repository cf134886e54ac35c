"""The report of a comparison: a Markdown table, plots, and everything as JSON."""

import io
from collections.abc import Sequence
from pathlib import Path

import msgspec
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vsanimesr.training import pictures
from vsanimesr.training.evaluate.agreement import Agreement
from vsanimesr.training.evaluate.compare import Column, Result


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All there is to say; what `report.json` holds."""

    clips: list[str]
    protocol: str
    """`compare.Protocol`."""
    width: int
    """Of the source frames of which cost and time are given."""
    height: int
    device: str
    columns: list[Column]
    results: list[Result]
    agreement: list[Agreement]
    """Of every two measures that can be compared."""


def write(folder: Path, report: Report) -> None:
    """Write `report.md`, `report.json`, `means.png` and, if anything was measured, `frames.png`.

    Raises:
        TrainingError: The folder cannot be written.
    """
    content = msgspec.json.format(msgspec.json.encode(report), indent=1)
    pictures.write_bytes(folder / "report.json", content + b"\n")
    pictures.write_bytes(folder / "report.md", markdown(report).encode())
    _save(folder / "means.png", _means(report))
    if _shown(report):
        _save(folder / "frames.png", _frames(report))


def markdown(report: Report) -> str:
    """The table, best values in bold, and below it what to know and what was not measured, why."""
    titles = ["network", "parameters", "GMAC", "ms a frame"]
    titles += [f"{column.title} {_arrow(column)}" for column in report.columns]
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    best = {column.key: _best(report.results, column) for column in report.columns}
    for result in report.results:
        cells = [result.name, f"{result.parameters:,}", f"{result.gmacs:.1f}"]
        cells.append(f"{result.milliseconds:.0f}")
        for column in report.columns:
            value = result.means[column.key]
            missing = "not measured" if result.series else "\N{EN DASH}"
            cell = missing if value is None else f"{value:.4g}"
            cells.append(f"**{cell}**" if value is not None and value == best[column.key] else cell)
        lines.append(f"| {' | '.join(cells)} |")
    judged = "one of every ten" if report.protocol == "paper" else "all"
    lines += [
        "",
        f"Clips: {', '.join(report.clips)}. GMAC and time for a source frame of "
        f"{report.width}x{report.height} on {report.device}. Measures without an original on "
        f"{judged} of the pictures, the others on all.",
    ]
    lines += [f"\n{result.name}: {result.note}." for result in report.results if result.note]
    lines += [
        f"\n{column.title}: not measured: {column.missing}."
        for column in report.columns
        if column.missing
    ]
    lines += _agreement(report)
    return "\n".join(lines) + "\n"


def _agreement(report: Report) -> list[str]:
    """Kendall's tau of every two measures, as a table."""
    found = {frozenset((one.a, one.b)): one for one in report.agreement}
    there = {key for pair in found for key in pair}
    columns = [column for column in report.columns if column.key in there]
    if not columns:
        return []
    lines = [
        "",
        "Agreement on the order of the networks (Kendall's tau-b within a clip, better first, mean "
        "over the clips): 1 the same order, 0 unrelated, -1 reversed.",
        "",
        f"| | {' | '.join(column.title for column in columns)} |",
        f"|{'---|' * (len(columns) + 1)}",
    ]
    for row in columns:
        pairs = [found.get(frozenset((row.key, column.key))) for column in columns]
        cells = ["" if one is None else f"{one.tau:+.2f}" for one in pairs]
        lines.append(f"| {row.title} | {' | '.join(cells)} |")
    return lines


def _arrow(column: Column) -> str:
    return "↑" if column.better == "more" else "↓"


def _best(results: Sequence[Result], column: Column) -> float | None:
    values = [value for one in results if (value := one.means[column.key]) is not None]
    if len(values) < 2:
        return None
    return max(values) if column.better == "more" else min(values)


def _shown(report: Report) -> list[Column]:
    return [
        column
        for column in report.columns
        if any(result.means[column.key] is not None for result in report.results)
    ]


def _means(report: Report) -> Figure:
    """A row of bars for the costs of all networks, and for each measure of those that have it."""
    rows = [
        ("GMAC a frame", {result.name: result.gmacs for result in report.results}),
        ("ms a frame", {result.name: result.milliseconds for result in report.results}),
    ]
    rows += [
        (
            f"{column.title}, {column.better} is better",
            {
                result.name: value
                for result in report.results
                if (value := result.means[column.key]) is not None
            },
        )
        for column in _shown(report)
    ]
    heights = [1 + len(values) for _, values in rows]
    figure = Figure(figsize=(8, 1 + 0.35 * sum(heights)))
    axes = figure.subplots(len(rows), 1, height_ratios=heights)
    for axis, (title, values) in zip(axes, rows, strict=True):
        bars = axis.barh([*values], [*values.values()])
        axis.bar_label(bars, fmt=_number, padding=3)
        axis.invert_yaxis()
        axis.margins(x=0.15)
        axis.set_title(title, fontsize=10, loc="left")
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _frames(report: Report) -> Figure:
    """Every measure over the frames of the first clip."""
    shown = _shown(report)
    clip = report.clips[0]
    figure = Figure(figsize=(9, 1 + 2.2 * len(shown)))
    axes = figure.subplots(len(shown), 1, squeeze=False, sharex=True)[:, 0]
    for axis, column in zip(axes, shown, strict=True):
        for result in report.results:
            values = result.series.get(clip, {}).get(column.key, [])
            if not values:
                continue
            there = [(n, value) for n, value in enumerate(values) if value is not None]
            marker = "o" if len(there) < len(values) / 2 else ""
            axis.plot(*zip(*there, strict=True), marker=marker, lw=1, label=result.name)
        axis.set_title(f"{column.title}, {column.better} is better", fontsize=10, loc="left")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(fontsize=8)
    axes[-1].set_xlabel(f"frame of {clip}")
    figure.tight_layout()
    return figure


def _save(path: Path, figure: Figure) -> None:
    FigureCanvasAgg(figure)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    pictures.write_bytes(path, content.getvalue())
