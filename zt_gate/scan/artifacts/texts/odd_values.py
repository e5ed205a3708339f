"""Values in configurations of models that look like code, places or addresses, under keys that no list knows.

Libraries add keys faster than lists of them grow, so an unknown key alone says nothing. A value does: nothing but a
loader has a use for a dotted name, a path out of the release, an address or another repository.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from zt_gate.domain import printable
from zt_gate.scan.artifacts.texts.loader_keys import Demand, demand_of

_CONFIGURATION = re.compile(r"(?:.+[_.-])?config\.json|model_index\.json|modules\.json|settings\.json|manifest\.json")
_ORIGINS_TEXT = """
_name_or_path name_or_path base_model_name_or_path tokenizer_file special_tokens_map_file tokenizer_name_or_path
tokenizer_name vocab_file merges_file base_model base_model_name model_name model_id teacher_name_or_path output_dir
transformers_version _diffusers_version parent_library base_model_class auto_map type
"""
_ORIGINS = frozenset(_ORIGINS_TEXT.split())
"""Keys that tell where a model came from, which libraries write and only read where weights are missing, and those that
are judged by what the file is."""
_ABOUT = re.compile(
    r"\w*(?:licen[cs]e|homepage|paper|citation|author|description|docs?|documentation|origin|model_card|reference"
    r"|dataset|datasets|language|tags?|label|labels|comment|notes?|id2label|label2id|token|content|prompt|text|template"
    r"|\$schema)(?:_\w+)?",
    re.IGNORECASE,
)
"""Keys for people, and for words of a language."""
_MODULES_TEXT = """
asyncio atexit builtins cffi cloudpickle code codecs codeop commands copyreg ctypes diffusers dill distutils doctest
ensurepip fsspec ftplib functools gc http hydra imp importlib inspect io joblib keras linecache logging marshal mlflow
multiprocessing nt numpy omegaconf operator os pandas pathlib pdb peft pickle pickletools pip pkg_resources pkgutil
platform posix pprint profile pty pydoc requests runpy scipy setuptools shelve shutil signal site sklearn socket
sqlite3 ssl string subprocess sys tarfile tempfile tensorflow test threading timeit timm torch trace traceback
transformers types typing urllib venv webbrowser weakref xml yaml zipfile zipimport
"""
_MODULES = frozenset(_MODULES_TEXT.split())
_PLAIN = re.compile(
    r"torch\.(?:b?float\w*|half|double|u?int\w*|q\w+|bool|complex\w+|long|short|channels_last|contiguous_format|strided"
    r"|cuda\.\w*Tensor)"
    r"|torch\.nn\.(?:[a-z]\w*\.)*\w+|torch\.optim\.(?:[a-z_]\w*\.)*[A-Z]\w*|(?:numpy|np|tf|tensorflow)\.[a-z]+\d+"
    r"|(?:transformers|diffusers|timm|peft|keras|sentence_transformers)\.(?:[a-z_]\w*\.)*[A-Z]\w*"
    r"|sklearn\.(?:[a-z_]\w*\.)*[A-Z]\w*"
)
"""Types of numbers, and classes that libraries look up in tables of their own."""
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+(?::[^\W\d]\w*)?|[^\W\d][\w.]*:[^\W\d]\w*\.\w+")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,15}://|file:|data:|git\+|\\\\\\\\")
_FETCHED = re.compile(
    r"\w*(?:url|uri|endpoint|download|weights?|files?|checkpoint|path|source|repo\w*|module|code|plugin|library"
    r"|tokenizer|vocab\w*|server|host)(?:_\w+)?",
    re.IGNORECASE,
)
_OUT = re.compile(r"(?:[A-Za-z]:)?[\\/]\w.*[\\/]|~[\\/]|\\\\\w")
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_MEDIA = re.compile(r"(?:application|audio|font|image|message|model|multipart|text|video)/[\w.+-]+")
_LONGEST = 512


def odd_values(name: str, root: object) -> Iterator[Demand]:
    """Yield what a value in a configuration may make a loader do.

    Args:
        name: of the file, lower case.
        root: its parsed content.
    """
    if not _CONFIGURATION.fullmatch(name):
        return
    stack: list[tuple[str, object]] = [("", root)]
    while stack:
        key, item = stack.pop()
        if isinstance(item, dict):
            stack.extend((str(inner), value) for inner, value in item.items() if not _ABOUT.fullmatch(str(inner)))
        elif isinstance(item, list):
            stack.extend((key, value) for value in item)
        elif isinstance(item, str) and 2 < len(item) <= _LONGEST and key not in _ORIGINS:
            found = _judge(key, item) if demand_of(key, item) is None else None
            if found is not None:
                yield found


def _judge(key: str, value: str) -> Demand | None:
    shown, where = printable(value, 80), printable(key, 60)
    if key == "module" and value.partition(".")[0] == "keras":
        return None  # of a Keras object, which is judged by class and module
    if _DOTTED.fullmatch(value) and re.split("[.:]", value)[0] in _MODULES and not _PLAIN.fullmatch(value):
        return Demand("ART-662", f"{where} names {shown}, which is code that a loader could import", shown)
    if ".." in re.split(r"[\\/]", value):
        return Demand("ART-662", f"{where} names {shown}, which leads out of the release", shown)
    if _ADDRESS.match(value):
        rule = "ART-662" if _FETCHED.fullmatch(key) else "ART-663"
        return Demand(rule, f"{where} names the address {shown}", shown)
    if _OUT.match(value):
        return Demand("ART-663", f"{where} names {shown}, a place outside of the release", shown)
    if _REPOSITORY.fullmatch(value) and not _MEDIA.fullmatch(value):
        return Demand("ART-663", f"{where} names {shown}, as a repository that a loader could fetch is named", shown)
    return None
