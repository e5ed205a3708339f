"""Which files the engines are asked about. Shared by a check and its worker, so that the two cannot disagree.

The engines go mostly by the file name. Here the first bytes count as well: a pickle that is called `notes.txt` is
examined as a pickle. That is also why every file of the older torch format is examined as a plain pickle stream in
addition: modelscan's own torch scanner reads only the first of its pickles, which never holds the payload.
"""

from __future__ import annotations

PICKLE_SUFFIXES = frozenset({".pkl", ".pickle", ".joblib", ".dill", ".dat", ".data"})
TORCH_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt"})
ZIP_MAGIC = b"PK\x03\x04"
NUMPY_MAGIC = b"\x93NUMPY"
SEVEN_ZIP_MAGIC = b"7z\xbc\xaf\x27\x1c"
HEAD = 6
"""How many first bytes these functions want to see."""


def suffix_of(name: str) -> str:
    """Return the last extension with its dot, in lower case, as people read it."""
    base = name.rsplit("/", 1)[-1].lower()
    dot = base.rfind(".")
    return base[dot:] if dot > 0 else ""


def is_pickle(head: bytes) -> bool:
    """Whether bytes begin like a binary pickle of protocol 2 to 5. Protocols 0 and 1 have no mark."""
    return len(head) >= 2 and head[0] == 0x80 and 2 <= head[1] <= 5


def formats_of(name: str, head: bytes) -> list[str]:
    """Return modelscan's names of the formats to examine a file as: none, `pickle`, `pytorch`, or both."""
    suffix = suffix_of(name)
    formats = []
    if suffix in PICKLE_SUFFIXES or is_pickle(head):
        formats.append("pickle")
    if suffix in TORCH_SUFFIXES:
        formats.append("pytorch")
    return formats


def holds_pickles(name: str, head: bytes) -> bool:
    """Whether a file is a pickle, is called like one, or is an archive whose members may be."""
    return head.startswith(ZIP_MAGIC) or bool(formats_of(name, head))


def holds_arrays(name: str, head: bytes) -> bool:
    """Whether a file holds numpy arrays, which may be pickled objects, or lies in an archive of 7-Zip."""
    return head.startswith((NUMPY_MAGIC, SEVEN_ZIP_MAGIC)) or suffix_of(name) in (".npy", ".npz", ".7z")
