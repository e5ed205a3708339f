"""What torch users save: state dicts, whole modules, optimizers, schedulers, tensors of every kind, quantised modules.

Each is written by `torch.save` in the zip and in the older format, and whole modules by pickle as well.
"""

import importlib
import inspect
import warnings

import torch
from torch import nn, optim
from torch.optim import lr_scheduler



def _saved(zipped):
    def write(thing, path):
        torch.save(thing, path, _use_new_zipfile_serialization=zipped)

    return write


def _saved_by_protocol(thing, path):
    torch.save(thing, path, pickle_protocol=4)


WAYS = [
    ("torch", None, ".pt", _saved(True)),
    ("torch-legacy", None, ".pt", _saved(False)),
    ("torch-protocol4", 4, ".pt", _saved_by_protocol),
]

ARGUMENTS = (
    (), (4,), (4, 4), (4, 4, 1), (1, 4, 4), (2, 2, 3), (4, 2), (2,), (1.0,), (1,), (0.1, 0.2), ([4],), (4, [2, 4]), (2, 4, 4, 1), (1, 1, 1, 1, 1), ((1, 1),),
    ((1, 1, 1, 1),), (1, (2, 2)), (4, 4, 10, [2]), ((2, 2), (2, 2)), (nn.Linear(2, 2),), ([nn.Linear(2, 2)],), (None, 2), (1, 2, 3),
)


def _layers():
    for name in sorted(vars(nn)):
        kind = getattr(nn, name)
        if inspect.isclass(kind) and issubclass(kind, nn.Module) and kind is not nn.Module and not name.startswith("Lazy"):
            yield name, kind


def _made(kind):
    if kind is nn.TransformerEncoder:
        return kind(nn.TransformerEncoderLayer(4, 2, 8), 2)
    if kind is nn.TransformerDecoder:
        return kind(nn.TransformerDecoderLayer(4, 2, 8), 2)
    if kind is nn.Transformer:
        return kind(4, 2, 1, 1, 8)
    for arguments in ARGUMENTS:
        try:
            return kind(*arguments)
        except Exception:
            continue
    raise TypeError("no arguments fit")


def _modules(keep):
    for name, kind in _layers():
        keep("torch", "nn." + name, lambda kind=kind: _made(kind), own=WAYS)
        keep("torch", "state of nn." + name, lambda kind=kind: dict(_made(kind).state_dict()) or None, own=WAYS[:2])
        keep("torch", "nn.%s in eval" % name, lambda kind=kind: nn.Sequential(_made(kind)).eval().requires_grad_(False), own=WAYS[:1])
        keep("torch", "nn.%s by pickle" % name, lambda kind=kind: _made(kind))
    for name in sorted(vars(nn)):
        if name.startswith("Lazy"):
            keep("torch", "nn." + name, lambda name=name: getattr(nn, name)(4) if "Norm" not in name else getattr(nn, name)(), own=WAYS)
    for code in ("relu", "gelu"):
        keep("torch", "encoder " + code, lambda code=code: nn.TransformerEncoderLayer(4, 2, 8, activation=code, batch_first=True, norm_first=True), own=WAYS)
    keep("torch", "encoder of a function", lambda: nn.TransformerEncoderLayer(4, 2, 8, activation=torch.nn.functional.silu), own=WAYS)
    for kind in (nn.LSTM, nn.GRU, nn.RNN):
        keep("torch", "two ways " + kind.__name__, lambda kind=kind: kind(3, 4, 2, bidirectional=True, batch_first=True, dropout=0.1), own=WAYS)
    for mode in ("zeros", "reflect", "replicate", "circular"):
        keep("torch", "conv " + mode, lambda mode=mode: nn.Conv2d(2, 2, 3, padding=1, padding_mode=mode, groups=2, bias=False), own=WAYS[:2])
    keep("torch", "conv same", lambda: nn.Conv1d(2, 2, 3, padding="same", dilation=2), own=WAYS[:2])
    for what, thunk in _nets():
        keep("torch", what, thunk, own=WAYS)
    for dtype in ("float16", "bfloat16", "float64"):
        keep("torch", "net in " + dtype, lambda dtype=dtype: _net().to(getattr(torch, dtype)), own=WAYS[:2])


def _net():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))


def _nets():
    from torch.nn.utils import parametrizations, prune, weight_norm

    nested = lambda: nn.ModuleDict({"body": nn.ModuleList([_net(), nn.Identity()]), "weights": nn.ParameterList([nn.Parameter(torch.ones(2))])})
    yield "Sequential", _net
    yield "nested containers", nested
    yield "ParameterDict", lambda: nn.ParameterDict({"a": torch.ones(2)})
    yield "Sequential of names", lambda: nn.Sequential(__import__("collections").OrderedDict(a=nn.Linear(2, 2), b=nn.Tanh()))
    yield "state dict", lambda: _net().state_dict()
    yield "state dict plain", lambda: {k: v.clone() for k, v in _net().state_dict().items()}
    yield "shared weights", lambda: _tied()
    yield "DataParallel", lambda: nn.DataParallel(_net())
    yield "weight_norm", lambda: weight_norm(nn.Linear(2, 2))
    yield "state of parametrized weight_norm", lambda: parametrizations.weight_norm(nn.Linear(2, 2)).state_dict()
    yield "spectral_norm", lambda: nn.utils.spectral_norm(nn.Linear(2, 2))
    yield "pruned", lambda: prune.l1_unstructured(nn.Linear(2, 2), "weight", 0.5)
    yield "pruned for good", lambda: prune.remove(prune.random_unstructured(nn.Linear(2, 2), "weight", 0.5), "weight")
    yield "averaged", lambda: optim.swa_utils.AveragedModel(nn.Linear(2, 2))
    yield "trained with gradients", lambda: _trained()[0]
    yield "checkpoint", lambda: {"epoch": 3, "model_state_dict": _net().state_dict(), "loss": 0.1, "args": __import__("argparse").Namespace(lr=0.1)}
    yield "scaler", lambda: torch.amp.GradScaler("cpu").state_dict()
    yield "random states", lambda: {"torch": torch.get_rng_state(), "numpy": __import__("numpy").random.get_state(), "python": __import__("random").getstate()}
    yield "buffers", lambda: _buffers()
    yield "channels last", lambda: nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    yield "meta", lambda: nn.Linear(2, 2, device="meta")
    yield "dataset", lambda: torch.utils.data.TensorDataset(torch.ones(4, 2), torch.zeros(4))
    yield "subset", lambda: torch.utils.data.Subset(torch.utils.data.TensorDataset(torch.ones(4, 2)), [0, 2])
    for name, arguments in (("Normal", (0.0, 1.0)), ("Categorical", (torch.ones(3),)), ("Bernoulli", (torch.tensor(0.3),)), ("Uniform", (0.0, 1.0)),
                            ("MultivariateNormal", (torch.zeros(2), torch.eye(2))), ("Beta", (1.0, 2.0)), ("Gamma", (1.0, 2.0)), ("Poisson", (1.0,))):
        yield "distribution " + name, lambda name=name, arguments=arguments: getattr(torch.distributions, name)(*arguments)


def _buffers():
    made = nn.Linear(2, 2)
    made.register_buffer("kept", torch.ones(2))
    made.register_buffer("lost", torch.ones(2), persistent=False)
    made.register_parameter("none", None)
    return made


def _tied():
    first, second = nn.Embedding(4, 3), nn.Linear(3, 4, bias=False)
    second.weight = first.weight
    return nn.Sequential(first, second)


def _trained(kind=optim.SGD, **arguments):
    net = nn.Linear(2, 2)
    optimizer = kind(net.parameters(), **({"lr": 0.1} | arguments))
    for _ in range(2):
        optimizer.zero_grad()

        def closure():
            loss = net(torch.ones(3, 2)).pow(2).sum()
            loss.backward()
            return loss

        closure()
        optimizer.step(closure if kind is optim.LBFGS else None)
    return net, optimizer


def _optimizers(keep):
    kinds = [kind for kind in vars(optim).values() if inspect.isclass(kind) and issubclass(kind, optim.Optimizer) and kind is not optim.Optimizer]
    for kind in kinds:
        for arguments in ({}, {"amsgrad": True}, {"momentum": 0.9, "nesterov": True}, {"weight_decay": 0.1}, {"maximize": True}, {"foreach": True}, {"capturable": False}, {"lr": torch.tensor(0.1)}):
            name = "%s %s" % (kind.__name__, sorted(arguments))
            if set(arguments) <= set(inspect.signature(kind).parameters):
                keep("torch", "state of " + name, lambda kind=kind, a=arguments: _trained(kind, **a)[1].state_dict(), own=WAYS[:2])
                keep("torch", "whole " + name, lambda kind=kind, a=arguments: _trained(kind, **a)[1], own=WAYS[:2])
        keep("torch", "checkpoint of " + kind.__name__, lambda kind=kind: _checkpoint(kind), own=WAYS)
    recipes = {
        "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, _Halves()),
        "StepLR": lambda o: lr_scheduler.StepLR(o, 2),
        "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [1, 3]),
        "ConstantLR": lambda o: lr_scheduler.ConstantLR(o),
        "LinearLR": lambda o: lr_scheduler.LinearLR(o),
        "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
        "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o),
        "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 5),
        "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 5),
        "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.1, 0.2),
        "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.1, 10),
        "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o),
        "ReduceLROnPlateau max": lambda o: lr_scheduler.ReduceLROnPlateau(o, mode="max", threshold_mode="abs"),
        "SequentialLR": lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.ConstantLR(o), lr_scheduler.StepLR(o, 2)], [2]),
        "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.ConstantLR(o), lr_scheduler.StepLR(o, 2)]),
        "SWALR": lambda o: optim.swa_utils.SWALR(o, 0.05),
    }
    for name, recipe in recipes.items():
        keep("torch", "state of " + name, lambda recipe=recipe: recipe(_trained(momentum=0.9)[1]).state_dict(), own=WAYS[:2])
        keep("torch", "whole " + name, lambda recipe=recipe: recipe(_trained(momentum=0.9)[1]), own=WAYS[:2])


class _Halves:
    """A schedule that a state dict holds only by its attributes."""

    def __call__(self, epoch):
        return 0.5**epoch


def _checkpoint(kind):
    net, optimizer = _trained(kind)
    return {
        "epoch": 2,
        "model": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": lr_scheduler.StepLR(optimizer, 2).state_dict(),
        "best": torch.tensor(0.5),
        "classes": ["a", "b"],
        "config": {"lr": 0.1, "layers": (1, 2)},
    }


def _tensors(keep):
    for name in sorted(vars(torch)):
        dtype = getattr(torch, name)
        if isinstance(dtype, torch.dtype):
            keep("torch", "tensor " + name, lambda dtype=dtype: torch.ones(2, 3).to(dtype), own=WAYS)
            keep("torch", "dtype " + name, lambda dtype=dtype: {"dtype": dtype}, own=WAYS[:2])
    zeros = torch.zeros
    for name, thunk in {
        "Parameter": lambda: nn.Parameter(torch.ones(2)),
        "Parameter fixed": lambda: nn.Parameter(torch.ones(2), requires_grad=False),
        "requires grad": lambda: torch.ones(2, requires_grad=True),
        "view": lambda: torch.arange(10)[2:6],
        "transposed": lambda: torch.arange(6).reshape(2, 3).t(),
        "two views": lambda: [(base := torch.arange(10))[:3], base[3:]],
        "expanded": lambda: zeros(1, 3).expand(4, 3),
        "empty": lambda: zeros(0),
        "no dimension": lambda: torch.tensor(1.5),
        "conjugate": lambda: torch.ones(2, dtype=torch.complex64).conj(),
        "negative": lambda: torch.ones(2, dtype=torch.complex64).conj().imag,
        "sparse COO": lambda: torch.eye(3).to_sparse(),
        "sparse COO coalesced": lambda: torch.eye(3).to_sparse().coalesce(),
        "sparse CSR": lambda: torch.eye(3).to_sparse_csr(),
        "sparse CSC": lambda: torch.eye(3).to_sparse_csc(),
        "sparse BSR": lambda: torch.eye(4).to_sparse_bsr((2, 2)),
        "sparse BSC": lambda: torch.eye(4).to_sparse_bsc((2, 2)),
        "quantised": lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        "quantised unsigned": lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8),
        "quantised 32": lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint32),
        "quantised by channel": lambda: torch.quantize_per_channel(torch.ones(2, 2), torch.ones(2), torch.zeros(2), 0, torch.qint8),
        "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        "nested jagged": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
        "Size": lambda: torch.ones(2, 3).size(),
        "device": lambda: [torch.device("cpu"), torch.device("cuda:0"), torch.device("meta")],
        "layouts": lambda: [torch.strided, torch.sparse_coo, torch.channels_last, torch.contiguous_format],
        "storages": lambda: [torch.ones(2).untyped_storage()],
        "typed storage": lambda: torch.FloatStorage([1.0, 2.0]),
        "generator": lambda: torch.Generator().get_state(),
        "list of tensors": lambda: [torch.ones(2), torch.zeros(2)],
        "tuple": lambda: (torch.ones(2), {"a": torch.zeros(2)}),
        "attributes on a tensor": lambda: _attribute(torch.ones(2)),
        "attributes on a parameter": lambda: _attribute(nn.Parameter(torch.ones(2))),
        "masked": lambda: torch.masked.masked_tensor(torch.ones(2), torch.tensor([True, False])),
        "finfo": lambda: [torch.finfo(torch.float32).eps, torch.iinfo(torch.int8).max],
        "uninitialized": lambda: nn.parameter.UninitializedParameter(),
        "buffer": lambda: nn.parameter.Buffer(torch.ones(2)),
        "functions": lambda: [torch.relu, torch.nn.functional.gelu, torch.sigmoid, torch.tanh],
        "numpy inside": lambda: {"a": __import__("numpy").ones(2), "b": __import__("numpy").float64(1), "t": torch.ones(1)},
    }.items():
        keep("torch", "tensor " + name, thunk, own=WAYS)
        keep("torch", "tensor %s by pickle" % name, thunk, True)


def _attribute(tensor):
    tensor.note = "kept"
    return tensor


def _quantised(keep):
    from torch.ao import quantization

    for engine in ("fbgemm", "qnnpack", "x86", "onednn"):

        def static(engine=engine):
            torch.backends.quantized.engine = engine
            net = nn.Sequential(quantization.QuantStub(), nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3), quantization.DeQuantStub()).eval()
            net = quantization.fuse_modules(net, [["1", "2", "3"]])
            net.qconfig = quantization.get_default_qconfig(engine)
            quantization.prepare(net, inplace=True)
            net(torch.ones(1, 1, 4, 4))
            return quantization.convert(net)

        def dynamic(kind, dtype=torch.qint8, engine=engine):
            torch.backends.quantized.engine = engine
            return quantization.quantize_dynamic(nn.Sequential(kind), {type(kind)}, dtype=dtype)

        keep("torch", "quantised static " + engine, static, own=WAYS)
        keep("torch", "state of quantised static " + engine, lambda static=static: static().state_dict(), own=WAYS)
        for kind in (nn.Linear(4, 2), nn.LSTM(2, 2), nn.GRU(2, 2), nn.LSTMCell(2, 2), nn.GRUCell(2, 2), nn.RNNCell(2, 2)):
            for dtype in (torch.qint8, torch.float16):
                name = "%s %s %s" % (engine, type(kind).__name__, dtype)
                keep("torch", "quantised dynamic " + name, lambda kind=kind, dtype=dtype, d=dynamic: d(kind, dtype), own=WAYS)
                keep("torch", "state of quantised dynamic " + name, lambda kind=kind, dtype=dtype, d=dynamic: d(kind, dtype).state_dict(), own=WAYS[:1])

    def prepared():
        net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)).train()
        net = quantization.fuse_modules_qat(net, [["0", "1", "2"]])
        net.qconfig = quantization.get_default_qat_qconfig("fbgemm")
        return quantization.prepare_qat(net)

    keep("torch", "prepared for training", prepared, own=WAYS)
    keep("torch", "state of prepared", lambda: prepared().state_dict(), own=WAYS)
    for name in ("MinMaxObserver", "HistogramObserver", "PerChannelMinMaxObserver", "MovingAverageMinMaxObserver", "PlaceholderObserver", "NoopObserver", "FakeQuantize"):
        keep("torch", "observer " + name, lambda name=name: getattr(quantization, name)(), own=WAYS[:2])
    keep("torch", "qconfig", lambda: quantization.get_default_qconfig("fbgemm"), own=WAYS[:2])
    from torch.ao.nn import intrinsic, quantized

    for place, tag in ((quantized, "quantized"), (intrinsic, "intrinsic"), (intrinsic.quantized, "intrinsic.quantized")):
        for name in sorted(vars(place)):
            kind = getattr(place, name)
            if inspect.isclass(kind) and issubclass(kind, nn.Module):
                keep("torch", "ao.nn.%s.%s" % (tag, name), lambda kind=kind: _made(kind), own=WAYS)


def make(keep):
    """Make the values."""
    warnings.simplefilter("ignore")
    importlib.import_module("torch._dynamo")  # the first step of an optimizer imports it, which takes longer than a thunk may
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for group in (_tensors, _modules, _optimizers, _quantised):
        group(keep)
