"""The benchmark's tables as Markdown."""

from __future__ import annotations

from typing import Any

TITLES = {
    "alone": "By itself",
    "held_out": "By itself, kinds that nothing was built for",
    "seen": "By itself, the others",
    "with_reference": "Beside an approved release of another seed",
    "half the data": "Beside one trained on half the data",
    "other width": "Beside one of another width",
    "default": "By itself, calibrated with all houses together, as by default",
}


def page(result: dict[str, Any]) -> str:
    """Return the tables as Markdown."""
    where = f"{result['machine']}, torch {result['torch']}, {result['date']}"
    training, examining = result["training_seconds"], result["cpu_seconds"]
    took = "measured in pieces, not to its end"
    if result["seconds"]:
        took = f"everything in {result['seconds']:.0f} s by {result['processes']} processes"
    lines = [f"{where}: {took}. A model takes {training:.1f} CPU seconds to train and {examining:.1f} to examine, "]
    lines = [lines[0] + "on one thread.", ""]
    known, false = result["calibrating"]["models"], result["calibrating"]["false_alarms"]
    lines += [f"Of the {known} honest models that calibrate, {false} fail when each is judged by the others.", ""]
    for name, title in TITLES.items():
        lines += [f"**{title}**", "", result[name]["markdown"], ""]
    return "\n".join([*lines, *_peers(result), *_times(result), *_adaptive(result)]) + "\n"


def _peers(result: dict[str, Any]) -> list[str]:
    peers = result["peers"]
    art = ["**ART 1.20**, per training image", "", result["art"]["markdown"], ""]
    if not peers["backdoored"]:
        return art
    lines = [f"**As published**, on {peers['honest']} honest and {peers['backdoored']} backdoored models", ""]
    lines += ["| detector | AUC | honest above 2 | backdoored above 2 |", "|---|---|---|---|"]
    for name, title in (("mm_bd", "MM-BD"), ("neural_cleanse", "Neural Cleanse")):
        said = peers[name]
        lines.append(f"| {title} | {said['auc']:.3f} | {said['false_alarms_at_2']} | {said['found_at_2']} |")
    return [*lines, "", *art]


def _times(result: dict[str, Any]) -> list[str]:
    lines = [
        "| model | together, CPU s | class by class | times | MM-BD and Neural Cleanse as published | times |",
        "|---|---|---|---|---|---|",
    ]
    if not result["times"]:
        return []
    for said in result["times"]:
        slow, plain, quick = said["class_by_class"], said["published"], said["together"]
        name = said["model"].split("-0")[0]
        lines.append(f"| {name} | {quick:.1f} | {slow:.1f} | {slow / quick:.1f} | {plain:.1f} | {plain / quick:.1f} |")
    return [*lines, ""]


def _adaptive(result: dict[str, Any]) -> list[str]:
    lines = [
        "**Trained against these searches**",
        "",
        "| house | seed | judged | accuracy | success | score | fails | by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in result["adaptive"]:
        how = "beside a release" if row["reference"] else "by itself"
        fails = "yes" if row["failed"] else "no"
        lines.append(
            f"| {row['house']} | {row['seed']} | {how} | {row['accuracy']:.2f} | {row['success']:.2f} "
            f"| {row['score']:.1f} | {fails} | {row['by']} |"
        )
    return lines
