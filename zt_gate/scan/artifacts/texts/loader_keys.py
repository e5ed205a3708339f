"""What loaders do with keys of a configuration: call what a text names, import it, or fetch code.

The names of keys are those of Hydra and OmegaConf (`_target_`), torchtune (`_component_`), Lightning and jsonargparse
(`class_path`), latent diffusion and NeMo (`target`), Transformers (`auto_map`, `attn_implementation`) and
sentence-transformers (`activation_function`). A text that names a known way of running code counts under any key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from zt_gate.codecs.strict_json import DuplicateKeyError, parse_json
from zt_gate.domain import printable
from zt_gate.errors import ParseError
from zt_gate.scan.artifacts.pickles.globals import load_globals

# `_attn_implementation_internal`: CVE-2026-4372, transformers 4.56 to 5.2.
_REMOTE_CODE = frozenset(
    {"auto_map", "_attn_implementation_internal", "trust_remote_code", "custom_pipelines", "custom_generate",
     "custom_pipeline", "custom_code", "hub_kernels", "kernel_mapping"}
)  # fmt: skip
_CALLED = frozenset({"_target_", "_component_", "class_path", "object_constructor"})
_TARGET = "target"
_IMPORTED = re.compile(r"(?:\w+_)?activation_(?:function|fn)|loss_(?:function|fn)")
_KERNELS = re.compile(r"\w*_implementation(?:_internal)?|\w*kernel_?(?:config|mapping|repo|id|name)")
_WEIGHTS_OF_TIMM = frozenset({"url", "file", "hf_hub_id", "hf_hub_filename", "source"})
"""Keys of `pretrained_cfg` by which timm fetches weights, which are a pickle; a release has them itself."""
_SPARK = re.compile(r"org\.apache\.spark\.ml\.[\w.$]+|pyspark\.ml\.[\w.]+|org\.apache\.spark\.mllib\.[\w.$]+")
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")
_FILE_OR_HOST = re.compile(
    r".*\.(?:ai|app|bin|cfg|co|com|conf|csv|de|dev|edu|eu|gz|html?|in|ini|io|json|jsonl|local|md|net|npy|npz|onnx|org|"
    r"pb|pkl|png|pt|pth|py|safetensors|so|tar|tgz|toml|tsv|txt|uk|us|xml|yaml|yml|zip)"
)
"""What looks like a dotted name and is a file or a host; no function of a library is called so."""
_CLASSES = re.compile(
    r"(?:nemo\.(?:collections|core)|torch\.(?:nn|optim)|torchmetrics|ldm|sgm|cldm|open_clip)\.(?:[a-z]\w*\.)*[A-Z]\w*"
)
"""Classes of libraries that are built by such keys and that run nothing of what they are given."""
_RECIPES = re.compile(
    r"torchtune\.(?:models|modules|data|datasets)\.(?:[a-z]\w*\.)*[A-Za-z]\w*|llama_index\.(?:[a-z]\w*\.)*[A-Z]\w*"
)
_LAYERS = re.compile(r"torch\.nn\.(?:[a-z]\w*\.)*[A-Za-z]\w*")
_LONGEST = 256
_OBJECT = re.compile(r"\s*[\[{]\s*[\"\[{]")
_MAX_TEXTS = 3
"""JSON in a text in JSON in a text."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a loader would do because of one key."""

    rule: str
    message: str
    symbol: str


def demands_of(root: object) -> Iterator[Demand]:
    """Yield what a loader would do because of anything in a document, and of JSON that stands in its texts.

    Args:
        root: a parsed document.
    """
    stack: list[tuple[str, object, int]] = [("", root, 0)]
    while stack:
        parent, item, depth = stack.pop()
        if isinstance(item, dict):
            if "sparkVersion" in item and not _SPARK.fullmatch(str(item.get("class"))):
                yield Demand("ART-303", f"class names {_shown(item.get('class'))} to be imported", "class")
            for key, value in item.items():
                if (demand := demand_of(key, value, parent)) is not None:
                    yield demand
                # A kernel for each part of a model stands below one key, and a text in a list is named by its list.
                below = parent if _KERNELS.fullmatch(parent) else key
                stack.append((below, value, depth))
        elif isinstance(item, list):
            for value in item:
                if isinstance(value, str) and (demand := demand_of(parent, value)) is not None:
                    yield demand
            stack.extend((parent, value, depth) for value in item)
        elif isinstance(item, str) and depth < _MAX_TEXTS and _OBJECT.match(item):
            try:
                stack.append((parent, parse_json(item.encode(), constants=True), depth + 1))
            except DuplicateKeyError as error:
                yield Demand("ART-307", f"{_shown(parent)}: {error}; two readers see two values", "duplicate key")
            except (ParseError, ValueError):
                continue


def demand_of(key: str, value: object, parent: str = "") -> Demand | None:
    """Return what a loader would do because of a key and its value; None where it would do nothing.

    Args:
        key: the last part of its path.
        value: a text, or anything else that a configuration may hold.
        parent: the part of its path before.
    """
    if key in _REMOTE_CODE:
        if value in (False, None, {}, [], ""):
            return None
        return Demand("ART-301", f"{key} makes a loader run code that came with the model", key)
    if key in _CALLED or (key == _TARGET and _is_dotted(value)):
        if isinstance(value, str) and (_CLASSES.fullmatch(value) or _RECIPES.fullmatch(value)):
            return None
        return Demand("ART-303", f"{key} names {_shown(value)} to be called", _shown(value))
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None
    if parent == "pretrained_cfg" and key in _WEIGHTS_OF_TIMM and "/" in value:
        return Demand("ART-301", f"{key} makes timm fetch weights from {_shown(value)}", key)
    if (_KERNELS.fullmatch(key) or _KERNELS.fullmatch(parent)) and "/" in value:
        what = f"{key or parent} makes a loader fetch and run the kernel {_shown(value)}"
        return Demand("ART-301", what, key or parent)
    if _IMPORTED.fullmatch(key) and _is_dotted(value) and not _LAYERS.fullmatch(value):
        return Demand("ART-303", f"{key} names {_shown(value)} to be imported and called", _shown(value))
    return _attack(key, value)


def _attack(key: str, value: str) -> Demand | None:
    """No configuration has a reason to name a known way of running code, whatever the key is called."""
    module, dot, name = value.rpartition(".")
    if dot and _is_dotted(value) and load_globals().is_dangerous(module, name):
        return Demand("ART-303", f"{printable(key, 60)} names {_shown(value)}, which runs code", _shown(value))
    return None


def _is_dotted(value: object) -> bool:
    return (
        isinstance(value, str)
        and len(value) <= _LONGEST
        and _DOTTED.fullmatch(value) is not None
        and not _FILE_OR_HOST.fullmatch(value)
    )


def _shown(value: object) -> str:
    """Return a text as it is, and of anything else its type alone: a value may hold the rest of the file."""
    return printable(value, 80) if isinstance(value, str) else f"a {type(value).__name__}"
