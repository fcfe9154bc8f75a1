"""Results: medians over the turns, the ratio to Kafka, whether the goal is met; as JSON and as the table
of README.md.

In: per row and broker the figures of each turn. Out: bench/results.json and the part of bench/README.md
between its two marks. What must hold: a ratio is formed inside a turn and the median of those is judged,
because the machine differs more between turns than inside one; above 1 always means better than Kafka; a
row that failed is shown as failed.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from statistics import median
from typing import Any

from bench.rows import ROWS, Metric, Row

DIRECTORY = Path(__file__).resolve().parent
BEGIN, END = "<!-- results: written by python -m bench -->", "<!-- end of results -->"

# Per broker the turns of a row in their order: the figures, or {"failed": reason}.
Turns = dict[str, list[dict[str, Any]]]


def _values(turns: Turns, subject: str, key: str) -> list[float]:
    return [figures[key] for figures in turns.get(subject, ()) if key in figures]


def summary(turns: Turns, subject: str, key: str) -> dict[str, float] | None:
    values = _values(turns, subject, key)
    return {"median": median(values), "min": min(values), "max": max(values)} if values else None


def ratios(turns: Turns, metric: Metric) -> list[float]:
    """Per turn, how many times better pybroker is."""
    found = []
    for ours, kafka in zip(turns.get("pybroker", ()), turns.get("kafka", ()), strict=False):
        if ours.get(metric.key) and kafka.get(metric.key):
            ratio = ours[metric.key] / kafka[metric.key]
            found.append(1 / ratio if metric.less_is_better else ratio)
    return found


def interval(values: list[float]) -> tuple[float, float]:
    """Where the median of all possible turns is, with 95 of 100: order statistics, which ask nothing of how the
    values scatter (Conover, Practical Nonparametric Statistics, 3.2). Fewer than six: the least and the greatest."""
    ordered, count = sorted(values), len(values)
    outside, below = 0, 0.0
    while (below := below + math.comb(count, outside) / 2**count) <= 0.025:
        outside += 1
    return ordered[max(0, outside - 1)], ordered[min(count - 1, count - outside)]


def verdict(turns: Turns, metric: Metric) -> str:
    """Whether the goal is met; empty when there is none or nothing to judge it by."""
    if metric.goal is None and metric.limit is None:
        return ""
    if any("failed" in figures for figures in turns.get("pybroker", ())):
        return "**no**"
    if metric.limit is not None:
        ours = summary(turns, "pybroker", metric.key)
        return "" if ours is None else "yes" if ours["median"] < metric.limit else "**no**"
    found = ratios(turns, metric)
    if metric.goal is None or not found:
        return ""
    # Two decimals are what the table shows; the third is noise.
    if round(median(found), 2) >= metric.goal:
        return "yes"
    # No difference was measured. Fewer turns cannot say so.
    if metric.goal == 1 and len(found) >= 6 and interval(found)[1] >= 1:
        return "even"
    return "**no**"


def number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.2g}"


def _cell(found: dict[str, float] | None, turns: list[dict[str, Any]]) -> str:
    failures = sum("failed" in figures for figures in turns)
    text = ""
    if found is not None:
        text = number(found["median"])
        if found["min"] != found["max"]:
            text += f" ({number(found['min'])} - {number(found['max'])})"
    if failures:
        text += f"{' ' if text else ''}failed" + (f" {failures} of {len(turns)}" if text else "")
    return text


def _goal(metric: Metric) -> str:
    if metric.limit is not None:
        return f"below {metric.limit:g} {metric.unit}"
    return "" if metric.goal is None else f"{metric.goal:g}"


def lines(row: Row, turns: Turns, with_kfake: bool) -> list[list[str]]:
    """The table's lines of a row: one for each metric."""
    table = []
    for metric in row.metrics:
        found = ratios(turns, metric)
        title = f"{row.title}, {metric.label}" if metric.label else row.title
        cells = [f"{title}, {metric.unit}"]
        names = ("pybroker", "kafka", *(("kfake",) if with_kfake else ()))
        cells += [_cell(summary(turns, name, metric.key), turns.get(name, [])) for name in names]
        ratio = f"{median(found):.2f}" if found else ""
        if len(found) > 1:
            ratio += " ({:.2f} - {:.2f})".format(*interval(found))
        cells += [ratio, _goal(metric), verdict(turns, metric)]
        costs = [summary(turns, subject, "broker_cpu_us") for subject in ("pybroker", "kafka")]
        shown = row.work and metric is row.metrics[0] and any(costs)
        cells.append(" / ".join(number(cost["median"]) if cost else "-" for cost in costs) if shown else "")
        table.append(cells)
    return table


def markdown(results: dict[str, Any]) -> str:
    with_kfake = any("kfake" in each["turns"] for each in results["rows"].values())
    heads = [
        "row",
        "pybroker",
        "Kafka",
        *(["kfake"] if with_kfake else []),
        "times better than Kafka",
        "goal",
        "met",
    ]
    heads.append("broker CPU us each, pybroker / Kafka")
    table = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    notes: list[str] = []
    for row in ROWS:
        each = results["rows"].get(row.name)
        if each is None:
            continue
        table += ["| " + " | ".join(cells) + " |" for cells in lines(row, each["turns"], with_kfake)]
        for subject, turns in each["turns"].items():
            reasons = sorted({figures["failed"] for figures in turns if "failed" in figures})
            notes += [f"- {row.title}, {subject}: {reason}" for reason in reasons]
            disturbed = [f["others_cpu"] for f in turns if f.get("others_cpu", 0) > 0.1]
            if disturbed:
                share = f"up to {max(disturbed):.0%} of the machine"
                notes.append(
                    f"- {row.title}, {subject}: company in {len(disturbed)} of {len(turns)} turns ({share})"
                )
    facts = {**results["machine"], **results["versions"], **results["settings"]}
    head = [
        f"Date: {results['date']}",
        f"Command: `{results['command']}`",
        *(f"{k}: {v}" for k, v in facts.items()),
    ]
    text = "\n".join(f"- {line}" for line in head) + "\n\n" + "\n".join(table) + "\n"
    return text + ("\nFailures and disturbances:\n\n" + "\n".join(notes) + "\n" if notes else "")


def plain(row: Row, turns: Turns) -> str:
    """The row for the terminal, while the run goes on."""
    with_kfake = "kfake" in turns
    names = ["pybroker", "kafka", *(["kfake"] if with_kfake else []), "ratio", "goal", "met", "cpu us"]
    out = []
    for cells in lines(row, turns, with_kfake):
        rest = "  ".join(f"{name} {cell}" for name, cell in zip(names, cells[1:], strict=True) if cell)
        out.append(f"{cells[0]}: {rest}")
    return "\n".join(out)


def write(results: dict[str, Any], *, merge: bool) -> None:
    """Stores a run. `merge` keeps the stored rows that this run did not do."""
    path = DIRECTORY / "results.json"
    if merge and path.exists():
        stored = json.loads(path.read_text())
        results = {**results, "rows": {**stored["rows"], **results["rows"]}}
    path.write_text(json.dumps(results, indent=1) + "\n")
    page = DIRECTORY / "README.md"
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{markdown(results)}\n{END}{after}")
