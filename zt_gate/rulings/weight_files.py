"""Which files of a release could hold a model, told from their names: runner and gate ask the same question.

Whatever is not known to hold none could hold one. A list of weight formats would miss the next format, and a release
whose unmeasured weights are served was not measured.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp", ".ico", ".pdf"})
_TEXTS = frozenset(
    {
        ".asc", ".bat", ".bib", ".cff", ".cfg", ".cmake", ".conf", ".crt", ".css", ".csv", ".dockerfile",
        ".dockerignore", ".dsse", ".editorconfig", ".gitattributes", ".gitignore", ".gitkeep", ".gitmodules", ".htm",
        ".html", ".in", ".ini", ".ipynb", ".j2", ".jinja", ".jinja2", ".js", ".json", ".jsonl", ".license", ".lock",
        ".log", ".markdown", ".md", ".md5", ".pem", ".properties", ".proto", ".pub", ".py", ".pyi", ".r", ".rst",
        ".sh", ".sha256", ".sha512", ".sig", ".sigstore", ".sql", ".svg", ".tex", ".toml", ".ts", ".tsv", ".txt",
        ".xml", ".yaml", ".yml",
    }
)  # fmt: skip
_NAMES = frozenset(
    {
        "authors", "changelog", "citation", "codeowners", "contributing", "contributors", "copying", "dockerfile",
        "history", "install", "license", "licence", "makefile", "manifest", "mlmodel", "model_card", "news", "notice",
        "readme", "registered_model_meta", "sha256sums",
    }
)  # fmt: skip
_EXTERNAL = (".data", "_data")
"""How the files are named into which an ONNX graph puts its tensors."""
_SHARD = re.compile(r"-\d{5}-of-\d{5}(?=\.[a-z0-9]+$)")


def is_text(path: str) -> bool:
    """Whether a file is a text by its name, such as a configuration; its bytes may still be something else."""
    name = posixpath.basename(path).lower()
    return name in _NAMES or name in _TEXTS or posixpath.splitext(name)[1] in _TEXTS


def could_hold_a_model(path: str) -> bool:
    """Whether a file could hold a model, by its name: all but texts, pictures and documents."""
    return not is_text(path) and posixpath.splitext(path.lower())[1] not in _PICTURES


def belongs_to(path: str, measured: str) -> bool:
    """Whether a file is part of the measured one: its tensors, which an ONNX graph keeps in a file beside it."""
    beside = posixpath.dirname(path) == posixpath.dirname(measured)
    return measured.lower().endswith(".onnx") and beside and path.lower().endswith(_EXTERNAL)


def other_models(paths: Iterable[str], measured: str) -> list[str]:
    """Return the files, sorted, that could hold another model than the measured one, by their names."""
    return sorted(
        path for path in paths if path != measured and could_hold_a_model(path) and not belongs_to(path, measured)
    )


def as_one_weight(paths: Iterable[str]) -> list[str]:
    """Return names for people, sorted, in which the shards of one index are one: `model-*.safetensors`."""
    return sorted({_SHARD.sub("-*", path) for path in paths})
