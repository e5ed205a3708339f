"""Metadata of weights: free text that frameworks hand to the same loaders as a configuration.

CVE-2025-23304 and its relatives: Hydra's `_target_` stood in the metadata of a safetensors file, as JSON in a text. The
same text may stand in GGUF, ONNX or HDF5, and may be YAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from zt_gate.codecs.yaml_events import Bounds
from zt_gate.codecs.yaml_survey import SurveyedEntry, survey
from zt_gate.domain import printable
from zt_gate.errors import ParseError
from zt_gate.scan.artifacts.format import Input
from zt_gate.scan.artifacts.texts.loader_keys import Demand, demand_of, demands_of

_BOUNDS = Bounds(1 << 20, 64, 50_000)
_ENTRY = re.compile(r"^[ \t]*(?:- +)*[\"']?[\w$.\\-]{1,100}[\"']?[ \t]*:(?:[ \t]|$)", re.MULTILINE)
_KEYS = re.compile(r"_target_|_component_|class_path|object_constructor|auto_map|!!?python|!<tag:", re.IGNORECASE)
_MAX_FINDINGS = 50


def judge_metadata(piece: Input, pairs: Iterable[tuple[str, str]]) -> None:
    """Judge texts by key: as configurations, where they are some, and each as a value of its own."""
    left = _MAX_FINDINGS
    for key, value in pairs:
        for demand in _demands(key, value):
            piece.exam.finding(demand.rule, f"metadata {printable(key, 80)}: {demand.message}",
                               member=piece.source.member, symbol=printable(demand.symbol, 120))  # fmt: skip
            left -= 1
            if not left:
                piece.exam.gap("more findings in the metadata than are listed", "save the weights without metadata")
                return


def _demands(key: str, value: str) -> list[Demand]:
    # Writers flatten nested configurations, as in `model.encoder._target_`.
    last = re.split(r"[./:]", key)[-1]
    alone = demand_of(last, value)
    found = [alone] if alone else []
    found += list(demands_of({last: value})) if value.lstrip()[:1] in ("{", "[") else []
    if not found and _ENTRY.search(value) and value.lstrip()[:1] != "{":
        found += _yaml(last, value)
    return list(dict.fromkeys(found))


def _yaml(key: str, value: str) -> list[Demand]:
    found: list[Demand] = []
    try:
        entries = (item for item in survey(value.encode(), bounds=_BOUNDS) if isinstance(item, SurveyedEntry))
        found.extend(demand for item in entries if (demand := demand_of(item.key, item.value)))
    except ParseError:
        # Most texts are no YAML; one that names such a key all the same was meant for some reader.
        named = _KEYS.search(value)
        if named:
            found.append(Demand("ART-303", f"a text names {named[0]} and cannot be read as YAML", f"{key} {named[0]}"))
    return found
