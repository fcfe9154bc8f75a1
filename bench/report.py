"""Results: medians over the rounds, the ratio to Kafka, whether the goal is met; as JSON and as the table
of README.md.

In: per row and broker the figures of each round. Out: bench/results.json and the part of bench/README.md
between its two marks. What must hold: a ratio is formed inside a round and the median of those is judged,
because the machine differs more between rounds than inside one; above 1 always means better than Kafka; a
row that failed is shown as failed.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

from bench.rows import ROWS, Metric, Row

DIRECTORY = Path(__file__).resolve().parent
BEGIN, END = "<!-- results: written by python -m bench -->", "<!-- end of results -->"

# Per broker the rounds of a row in their order: the figures, or {"failed": reason}.
Rounds = dict[str, list[dict[str, Any]]]


def _values(rounds: Rounds, subject: str, key: str) -> list[float]:
    return [figures[key] for figures in rounds.get(subject, ()) if key in figures]


def summary(rounds: Rounds, subject: str, key: str) -> dict[str, float] | None:
    values = _values(rounds, subject, key)
    return {"median": median(values), "min": min(values), "max": max(values)} if values else None


def ratios(rounds: Rounds, metric: Metric) -> list[float]:
    """Per round, how many times better pybroker is."""
    found = []
    for ours, kafka in zip(rounds.get("pybroker", ()), rounds.get("kafka", ()), strict=False):
        if ours.get(metric.key) and kafka.get(metric.key):
            ratio = ours[metric.key] / kafka[metric.key]
            found.append(1 / ratio if metric.less_is_better else ratio)
    return found


def met(rounds: Rounds, metric: Metric) -> bool | None:
    """None when there is no goal or nothing to judge it by."""
    if any("failed" in figures for figures in rounds.get("pybroker", ())):
        return False if metric.goal is not None or metric.limit is not None else None
    if metric.limit is not None:
        ours = summary(rounds, "pybroker", metric.key)
        return None if ours is None else ours["median"] < metric.limit
    found = ratios(rounds, metric)
    if metric.goal is None or not found:
        return None
    # Two decimals are what the table shows; the third is noise.
    return round(median(found), 2) >= metric.goal


def number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.2g}"


def _cell(found: dict[str, float] | None, rounds: list[dict[str, Any]]) -> str:
    failures = sum("failed" in figures for figures in rounds)
    text = ""
    if found is not None:
        text = number(found["median"])
        if found["min"] != found["max"]:
            text += f" ({number(found['min'])} - {number(found['max'])})"
    if failures:
        text += f"{' ' if text else ''}failed" + (f" {failures} of {len(rounds)}" if text else "")
    return text


def _goal(metric: Metric) -> str:
    if metric.limit is not None:
        return f"below {metric.limit:g} {metric.unit}"
    return "" if metric.goal is None else f"{metric.goal:g}"


def lines(row: Row, rounds: Rounds, with_kfake: bool) -> list[list[str]]:
    """The table's lines of a row: one for each metric."""
    table = []
    for metric in row.metrics:
        found = ratios(rounds, metric)
        verdict = met(rounds, metric)
        title = f"{row.title}, {metric.label}" if metric.label else row.title
        cells = [f"{title}, {metric.unit}"]
        names = ("pybroker", "kafka", *(("kfake",) if with_kfake else ()))
        cells += [_cell(summary(rounds, name, metric.key), rounds.get(name, [])) for name in names]
        ratio = f"{median(found):.2f}" if found else ""
        if len(found) > 1:
            ratio += f" ({min(found):.2f} - {max(found):.2f})"
        cells += [ratio, _goal(metric), "" if verdict is None else "yes" if verdict else "**no**"]
        costs = [summary(rounds, subject, "broker_cpu_us") for subject in ("pybroker", "kafka")]
        shown = row.work and metric is row.metrics[0] and any(costs)
        cells.append(" / ".join(number(cost["median"]) if cost else "-" for cost in costs) if shown else "")
        table.append(cells)
    return table


def markdown(results: dict[str, Any]) -> str:
    with_kfake = any("kfake" in each["rounds"] for each in results["rows"].values())
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
        table += ["| " + " | ".join(cells) + " |" for cells in lines(row, each["rounds"], with_kfake)]
        for subject, rounds in each["rounds"].items():
            reasons = sorted({figures["failed"] for figures in rounds if "failed" in figures})
            notes += [f"- {row.title}, {subject}: {reason}" for reason in reasons]
            disturbed = [f["others_cpu"] for f in rounds if f.get("others_cpu", 0) > 0.1]
            if disturbed:
                share = f"up to {max(disturbed):.0%} of the machine"
                notes.append(
                    f"- {row.title}, {subject}: company in {len(disturbed)} of {len(rounds)} rounds ({share})"
                )
    facts = {**results["machine"], **results["versions"], **results["settings"]}
    head = [
        f"Date: {results['date']}",
        f"Command: `{results['command']}`",
        *(f"{k}: {v}" for k, v in facts.items()),
    ]
    text = "\n".join(f"- {line}" for line in head) + "\n\n" + "\n".join(table) + "\n"
    return text + ("\nFailures and disturbances:\n\n" + "\n".join(notes) + "\n" if notes else "")


def plain(row: Row, rounds: Rounds) -> str:
    """The row for the terminal, while the run goes on."""
    with_kfake = "kfake" in rounds
    names = ["pybroker", "kafka", *(["kfake"] if with_kfake else []), "ratio", "goal", "met", "cpu us"]
    out = []
    for cells in lines(row, rounds, with_kfake):
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
