"""Networks built from a declaration, out of our own list of layers: weights are then only numbers.

A layer is an object with a `type`, an optional `name` under which the weights know it (dots nest), and the numbers that
it needs:

    {"type": "conv", "in": 1, "out": 16, "kernel": 3, "padding": 1}
    {"type": "residual", "name": "block1", "layers": [...], "shortcut": [...]}

Without names, layers are numbered as in `torch.nn.Sequential`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

MAX_LAYERS = 2000
MAX_SIZE = 1 << 20
"""Most channels or features of a layer."""


class Network(nn.Module):
    """Layers one after the other, registered under the names that the weights use."""

    def __init__(self, layers: Sequence[Mapping[str, Any]], depth: int = 0) -> None:
        super().__init__()
        if not layers or len(layers) > MAX_LAYERS or depth > 8:
            raise ValueError(f"a network has 1 to {MAX_LAYERS} layers, at most 8 deep")
        # PyTorch does not look into a plain list; `_register` gives each layer the name that the weights use.
        self._steps: list[nn.Module] = []
        for index, layer in enumerate(layers):
            module = _build(layer, depth)
            self._steps.append(module)
            _register(self, str(layer.get("name", index)), module)

    def forward(self, batch: Tensor) -> Tensor:
        """Run every layer."""
        for step in self._steps:
            batch = step(batch)
        return batch


def first_layer(network: Network) -> nn.Module:
    """Return the first layer. No method of `Network`, whose names belong to the weights: `features.0`, `last`."""
    return network._steps[0]  # noqa: SLF001 - as above


def last_layer(network: Network) -> nn.Module:
    """Return the last layer."""
    return network._steps[-1]  # noqa: SLF001 - as above


def after_first(network: Network, batch: Tensor) -> Tensor:
    """Run every layer but the first, such as what follows the embeddings of tokens."""
    for step in network._steps[1:]:  # noqa: SLF001 - as above
        batch = step(batch)
    return batch


def before_last(network: Network, batch: Tensor) -> Tensor:
    """Run every layer but the last."""
    for step in network._steps[:-1]:  # noqa: SLF001 - as above
        batch = step(batch)
    return batch


class Residual(nn.Module):
    """A body whose output is added to its input, or to what a shortcut makes of it."""

    def __init__(self, body: Network, shortcut: Network | None) -> None:
        super().__init__()
        # Their layers are registered here, without a name in between, as hand-written blocks have them.
        self._body, self._shortcut = [body], [shortcut] if shortcut is not None else []
        for network in (*self._body, *self._shortcut):
            for name, module in network.named_children():
                self.add_module(name, module)

    def forward(self, batch: Tensor) -> Tensor:
        """Return body plus shortcut."""
        return self._body[0](batch) + (self._shortcut[0](batch) if self._shortcut else batch)  # type: ignore[no-any-return]


class Embedding(nn.Embedding):
    """Vectors of tokens, whose numbers arrive as floats, like every input here."""

    def forward(self, batch: Tensor) -> Tensor:
        """Return `(n, length, width)` for numbers `(n, length)`."""
        return super().forward(batch.long())


class ConvAlongTokens(nn.Conv1d):
    """A convolution along the tokens: `(n, length, in)` to `(n, length, out)`."""

    def forward(self, batch: Tensor) -> Tensor:
        """Convolve."""
        return super().forward(batch.transpose(1, 2)).transpose(1, 2)


class OverTokens(nn.Module):
    """What `(n, length, width)` is over its tokens, `(n, width)`: the mean, or the greatest value."""

    def __init__(self, *, greatest: bool, skip_zeros: bool = False) -> None:
        super().__init__()
        self._greatest, self._skip = greatest, skip_zeros

    def forward(self, batch: Tensor) -> Tensor:
        """Return it; a token whose vector is all zeros fills up, and can be left out of the mean."""
        if self._greatest:
            return batch.amax(1)
        if not self._skip:
            return batch.mean(1)
        return batch.sum(1) / batch.ne(0).any(2).sum(1, keepdim=True).clamp_min(1)


def _register(root: nn.Module, name: str, module: nn.Module) -> None:
    *folders, last = name.split(".")
    for folder in folders:
        if folder not in dict(root.named_children()):
            root.add_module(folder, nn.Module())
        root = root.get_submodule(folder)
    if last in dict(root.named_children()):
        raise ValueError(f"two layers are called {name}")
    try:
        root.add_module(last, module)
    except KeyError:
        # PyTorch raises KeyError for an empty name, and for one that the module has as an attribute.
        raise ValueError(f"no layer can be called {name}") from None


def _build(layer: Mapping[str, Any], depth: int) -> nn.Module:
    kind = layer.get("type")
    if kind == "residual":
        shortcut = layer.get("shortcut")
        body = Network(layer["layers"], depth + 1)
        return Residual(body, Network(shortcut, depth + 1) if shortcut else None)
    if kind not in _LAYERS:
        raise ValueError(f"there is no layer type {str(kind)[:40]!r}; known: residual, {', '.join(sorted(_LAYERS))}")
    return _LAYERS[kind](_Numbers(layer))


class _Numbers:
    """The numbers of one layer; each is checked where it is used."""

    def __init__(self, layer: Mapping[str, Any]) -> None:
        self._layer = layer

    def whole(self, name: str, default: int | None = None, least: int = 1) -> int:
        value = self._layer.get(name, default)
        if type(value) is not int or not least <= value <= MAX_SIZE:
            raise ValueError(f"layer {self._layer['type']} needs `{name}`, a whole number from {least} to {MAX_SIZE}")
        return value

    def real(self, name: str, default: float) -> float:
        value = self._layer.get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"layer {self._layer['type']}: `{name}` is a number")  # noqa: TRY004 - one error type
        return float(value)

    def yes(self, name: str, *, default: bool) -> bool:
        value = self._layer.get(name, default)
        if not isinstance(value, bool):
            raise ValueError(f"layer {self._layer['type']}: `{name}` is true or false")  # noqa: TRY004 - one error type
        return value


def _conv(n: _Numbers) -> nn.Module:
    return nn.Conv2d(
        n.whole("in"),
        n.whole("out"),
        n.whole("kernel"),
        stride=n.whole("stride", 1),
        padding=n.whole("padding", 0, 0),
        dilation=n.whole("dilation", 1),
        groups=n.whole("groups", 1),
        bias=n.yes("bias", default=True),
    )


def _embedding(tokens: int, width: int) -> nn.Module:
    # Drawing its weights on the meta device would import compilers, which look around in this machine.
    return Embedding(tokens, width, _weight=torch.empty((tokens, width)))


def _pool(make: Callable[..., nn.Module]) -> Callable[[_Numbers], nn.Module]:
    def build(n: _Numbers) -> nn.Module:
        kernel = n.whole("kernel")
        return make(kernel, stride=n.whole("stride", kernel), padding=n.whole("padding", 0, 0))

    return build


_LAYERS: dict[str, Callable[[_Numbers], nn.Module]] = {
    "adaptive_avg_pool": lambda n: nn.AdaptiveAvgPool2d(n.whole("size", 1)),
    "avg_pool": _pool(nn.AvgPool2d),
    "batch_norm": lambda n: nn.BatchNorm2d(n.whole("features"), eps=n.real("eps", 1e-5)),
    "batch_norm_1d": lambda n: nn.BatchNorm1d(n.whole("features"), eps=n.real("eps", 1e-5)),
    "conv": _conv,
    "conv_1d": lambda n: ConvAlongTokens(
        n.whole("in"), n.whole("out"), n.whole("kernel"), padding=n.whole("padding", 0, 0)
    ),
    "dropout": lambda _: nn.Identity(),
    "embedding": lambda n: _embedding(n.whole("tokens"), n.whole("width")),
    "flatten": lambda n: nn.Flatten(n.whole("start", 1)),
    "gelu": lambda _: nn.GELU(),
    "group_norm": lambda n: nn.GroupNorm(n.whole("groups"), n.whole("features")),
    "layer_norm": lambda n: nn.LayerNorm(n.whole("features")),
    "leaky_relu": lambda n: nn.LeakyReLU(n.real("slope", 0.01)),
    "linear": lambda n: nn.Linear(n.whole("in"), n.whole("out"), bias=n.yes("bias", default=True)),
    "max_of_tokens": lambda _: OverTokens(greatest=True),
    "max_pool": _pool(nn.MaxPool2d),
    "mean_of_tokens": lambda n: OverTokens(greatest=False, skip_zeros=n.yes("skip_zeros", default=False)),
    "relu": lambda _: nn.ReLU(),
    "sigmoid": lambda _: nn.Sigmoid(),
    "silu": lambda _: nn.SiLU(),
    "tanh": lambda _: nn.Tanh(),
}


def build_network(layers: Sequence[Mapping[str, Any]], weights: Mapping[str, Tensor]) -> Network:
    """Build a network and fill in its weights; every tensor has to have its place, and every place its tensor.

    Raises:
        ValueError: an unknown layer, a number out of range, or weights that do not fit.
    """
    with torch.device("meta"):  # sizes come from the declaration; nothing is allocated before the weights fit
        network = Network(layers)
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in weights.items()}
    wrong = sorted(name for name in expected.keys() | given.keys() if expected.get(name) != given.get(name))
    if wrong:
        name = wrong[0]
        raise ValueError(f"weights do not fit: {name} is {given.get(name)}, and {expected.get(name)} by the layers")
    # assign: tensors on the meta device hold nothing that values could be copied into.
    network.load_state_dict({name: value.float() if value.is_floating_point() else value for name, value in
                             weights.items()}, assign=True)  # fmt: skip
    return network


_NOTHING = ("Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout")


def layer_kinds(model: Any) -> tuple[str, ...]:
    """Return the kinds of layers of a module, a traced graph or a converted one; empty where they cannot be told."""
    if isinstance(model, fx.GraphModule):
        return tuple(str(node.target) for node in model.graph.nodes if node.op == "call_function")
    if isinstance(model, nn.Module):
        leaves = (part for part in model.modules() if not any(True for _ in part.children()))
        named = [_kind(part) for part in leaves]
        return tuple(kind for kind in named if kind not in _NOTHING)
    kinds = getattr(model, "kinds", ())
    return kinds if isinstance(kinds, tuple) else ()


def _kind(part: nn.Module) -> str:
    # All modules of TorchScript are of one class, and keep the name of their own here.
    name = str(getattr(part, "original_name", type(part).__name__))
    weight = getattr(part, "weight", None)
    kernel = tuple(weight.shape[2:]) if isinstance(weight, Tensor) and weight.dim() > 2 else ()
    return f"{name} {'x'.join(map(str, kernel))}" if kernel else name
