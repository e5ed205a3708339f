"""Text classifiers that PyTorch runs: texts become numbers of tokens, and embeddings are reached where they can be.

Searches for trigger phrases work on embeddings. A declared network starts with its embedding layer, so what follows it
is at hand. In a TorchScript archive, an exported program or a pickled module the one embedding layer gets another
table: a row for every place in the batch, which the numbers then look up one after the other. Whether the model
answers through that as it does by itself is tried before it counts; a model that looks at the numbers themselves, to
mask what fills up, for instance, does not, and its embeddings cannot be reached.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from zt_gate.evaluate.adapters.architecture import Embedding, Network, after_first, first_layer
from zt_gate.evaluate.adapters.declaration import Declaration
from zt_gate.evaluate.adapters.torch_adapter import TorchAdapter
from zt_gate.evaluate.data import to_text

UNKNOWN = 1
"""Number of the token that stands for words that are not listed; 0 fills up."""
_WORD = re.compile(r"\w+|[^\w\s]")
_PROBES, _TOLERANCE = 6, 1e-4


class TextAdapter(TorchAdapter):
    """A text classifier. A change of a letter is no small step, so there are no gradients for an input."""

    def __init__(self, model: Callable[[Tensor], Any], declared: Declaration, device: str) -> None:
        """Wrap a model that takes numbers of tokens `(n, length)`.

        Args:
            model: in evaluation mode, on the device; its parameters need no gradients.
            declared: with `tokens`, inputs are texts that are split into words; without, they are the numbers already,
                or the code points of texts.
            device: where it is.
        """
        super().__init__(model, declared, device)
        self.differentiable = False
        self._numbers = {word: number for number, word in enumerate(declared.tokens)}
        self._length = declared.length

    def prepared(self, batch: Tensor) -> Tensor:
        """Return what the model takes; see the base."""
        return self.tokens(batch)

    def logits_of_tokens(self, numbers: Tensor) -> Tensor:
        """Return scores `(n, classes)` for numbers of tokens `(n, length)`."""
        return self.scored(self._model(numbers))

    def tokens(self, batch: Tensor) -> Tensor:
        """Return numbers of tokens `(n, length)`, int64."""
        if not self._numbers:
            return batch.long()
        rows = torch.zeros((len(batch), self._length), dtype=torch.long)
        for row, points in zip(rows, batch.cpu().numpy(), strict=True):
            words = _WORD.findall(to_text(points).lower())[: self._length]
            row[: len(words)] = torch.tensor([self._numbers.get(word, UNKNOWN) for word in words], dtype=torch.long)
        return rows.to(batch.device)


class EmbeddedTextAdapter(TextAdapter):
    """A text classifier whose embeddings can be reached; see `zt_gate.evaluate.backdoor.phrases.TokenModel`."""

    def __init__(
        self,
        model: Callable[[Tensor], Any],
        declared: Declaration,
        device: str,
        table: Tensor,
        rest: Callable[[Tensor], Any],
    ) -> None:
        """Wrap a model.

        Args:
            model: as in the base.
            declared: as in the base.
            device: as in the base.
            table: embeddings `(tokens, width)`.
            rest: what the model makes of embedded tokens `(n, length, width)`.
        """
        super().__init__(model, declared, device)
        self._table, self._rest = table.detach(), rest

    def embedding(self) -> Tensor:
        """Return the embeddings of all tokens, `(tokens, width)`."""
        return self._table

    def logits_of_embedded(self, embedded: Tensor) -> Tensor:
        """Return scores `(n, classes)` for embedded tokens `(n, length, width)`; differentiable."""
        return self.scored(self._rest(embedded))


def text_adapter(model: Callable[[Tensor], Any], declared: Declaration, device: str) -> TextAdapter:
    """Wrap a text classifier, with its embeddings where they can be reached.

    Raises:
        ValueError: more or fewer tokens are declared than the model has embeddings.
    """
    if isinstance(model, Network):
        first = first_layer(model)
        if not isinstance(first, Embedding):
            return TextAdapter(model, declared, device)
        table: Tensor = first.weight
        rest: Callable[[Tensor], Any] = functools.partial(after_first, model)
    elif isinstance(model, nn.Module):
        found = _tables(model)
        if len(found) != 1:
            return TextAdapter(model, declared, device)
        weight = found[0]
        layer: Any = dict(model.named_modules())[weight.rpartition(".")[0]]
        table, rest = layer.weight, _through_another_table(model, weight, layer)
    else:
        return TextAdapter(model, declared, device)
    if declared.tokens and len(declared.tokens) != len(table):
        raise ValueError(f"{len(declared.tokens)} tokens are declared, and the model has {len(table)} embeddings")
    adapter = EmbeddedTextAdapter(model, declared, device, table, rest)
    return adapter if _answers_alike(adapter, declared) else TextAdapter(model, declared, device)


def _tables(model: nn.Module) -> list[str]:
    """Return the names of the weights that tokens are looked up in."""
    if isinstance(model, fx.GraphModule):
        looked = [node.args[0] for node in model.graph.nodes if node.target is torch.ops.aten.embedding.default]
        names = {str(node.target) for node in looked if isinstance(node, fx.Node) and node.op == "get_attr"}
        return [name for name in sorted(names) if name.endswith(".weight")] if len(names) == len(looked) else []
    return [f"{name}.weight" for name, part in model.named_modules() if _is_embedding(part)]


def _is_embedding(part: nn.Module) -> bool:
    name = str(getattr(part, "original_name", type(part).__name__))
    weight = getattr(part, "weight", None)
    return "Embedding" in name and isinstance(weight, Tensor) and weight.dim() == 2


def _through_another_table(model: nn.Module, weight: str, layer: Any) -> Callable[[Tensor], Any]:
    def rest(embedded: Tensor) -> Any:
        flat = embedded.flatten(0, 1)
        numbers = torch.arange(len(flat), device=flat.device).view(embedded.shape[:2])
        if not isinstance(model, torch.jit.ScriptModule):
            return torch.func.functional_call(model, {weight: flat}, (numbers,))
        own = layer.weight
        _set(layer, flat)
        try:
            return model(numbers)
        finally:
            _set(layer, own)

    return rest


def _set(layer: Any, table: Tensor) -> None:
    layer._c.setattr("weight", table)  # noqa: SLF001 - TorchScript lets only parameters be set otherwise


def _answers_alike(adapter: EmbeddedTextAdapter, declared: Declaration) -> bool:
    """Whether scores of tokens and scores of their embeddings are the same, also where tokens fill up."""
    table = adapter.embedding()
    length = declared.length or declared.shape[0]
    numbers = torch.randint(len(table), (_PROBES, length), generator=torch.Generator().manual_seed(0))
    numbers[_PROBES // 2 :, length // 2 :] = 0
    numbers = numbers.to(table.device)
    try:
        with torch.no_grad():
            by_itself, through = adapter.logits_of_tokens(numbers), adapter.logits_of_embedded(table[numbers])
    except (RuntimeError, ValueError, TypeError, IndexError):
        return False
    same = by_itself.shape == through.shape
    return same and bool(torch.allclose(by_itself, through, rtol=_TOLERANCE, atol=_TOLERANCE))
