"""One attack library on one model, in a process of its own: python robust_peers.py TOOL MODEL FOLDER.

Runs in the library's environment; see robustness.py. Reads the model and its samples from FOLDER/MODEL.pt, writes
FOLDER/MODEL-TOOL.json with CPU seconds of this process, and the adversarials beside it.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from robust_models import CLASSES, Quantised, Residual, Saturated, Shown, Stochastic, digits_cnn
from torch import Tensor, nn

torch.set_num_threads(1)
WRAPPERS = {"": lambda net: net, "quantised": Quantised, "saturated": Saturated, "stochastic": Stochastic}


class Counting(nn.Module):
    """Counts the samples that go through a model."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.samples = net, 0

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        self.samples += len(x)
        return self.net(x)


def load(path: Path) -> tuple[nn.Module, Tensor, Tensor, float]:
    """Return a stored model, samples, labels and eps."""
    held = torch.load(path, weights_only=True)
    net = digits_cnn() if held["kind"] == "digits" else small_residual()
    net.load_state_dict(held["state"])
    wrapped = WRAPPERS[held["wrapper"]](net.eval())
    return wrapped.eval().requires_grad_(False), held["x"], held["y"], held["eps"]


def small_residual() -> Residual:
    """Return a residual net that one processor core can attack."""
    return Residual((8, 16, 32), 1, 8)


def ours(plan: str) -> Callable[..., Tensor]:
    """Climb our ladder."""

    def run(net: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        from zt_gate.evaluate.robustness import PLANS, ThreatModel, attack_batch

        return attack_batch(Shown(net, tuple(x.shape[1:])), x, y, ThreatModel("Linf", eps), PLANS[plan], 0).adversarial

    return run


def gate(net: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    """Do what an evaluation does: look for masking first, and attack in full where a flag is up."""
    from zt_gate.evaluate.robustness import CONFIRM, STANDARD, ThreatModel, attack_batch, masking_flags

    adapter, threat = Shown(net, tuple(x.shape[1:])), ThreatModel("Linf", eps)
    flags = masking_flags(adapter, x, y, threat, 0)
    said["flags"] = list(flags.raised)
    # Luck of its own makes every family of AutoAttack several times dearer; the mean of answers does more for it.
    plan = CONFIRM if flags.raised and "randomised" not in flags.raised else STANDARD
    said["plan"] = plan.name
    return attack_batch(adapter, x, y, threat, plan, 0).adversarial


def flags_only(net: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    """Only look for masking."""
    from zt_gate.evaluate.robustness import ThreatModel, masking_flags

    said["flags"] = list(masking_flags(Shown(net, tuple(x.shape[1:])), x, y, ThreatModel("Linf", eps), 0).raised)
    return x


def autoattack(net: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    """Run AutoAttack, standard version, as its re-packaging on PyPI does."""
    from pyautoattack import AutoAttack

    attack = AutoAttack(net, norm="Linf", eps=eps, version="standard", device="cpu", seed=0)
    return attack.run_standard_evaluation(x, y, batch_size=250)[0]


def torchattacks_aa(net: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    """Run AutoAttack of torchattacks."""
    import torchattacks

    return torchattacks.AutoAttack(net, norm="Linf", eps=eps, version="standard", n_classes=CLASSES, seed=0)(x, y)


def art_aa(net: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    """Run AutoAttack of ART."""
    import numpy as np
    from art.attacks.evasion import AutoAttack
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(
        net, loss=nn.CrossEntropyLoss(), input_shape=tuple(x.shape[1:]), nb_classes=CLASSES, clip_values=(0, 1),
        device_type="cpu",
    )  # fmt: skip
    attack = AutoAttack(classifier, norm=np.inf, eps=eps, eps_step=2 * eps, batch_size=250)
    return torch.from_numpy(attack.generate(x.numpy(), y.numpy()))


def foolbox_pgd(net: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    """Run PGD of foolbox, 40 steps: it has neither APGD nor AutoAttack."""
    import foolbox

    wrapped = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    return foolbox.attacks.LinfPGD(abs_stepsize=eps / 10, steps=40)(wrapped, x, y, epsilons=eps)[1]


TOOLS: dict[str, Callable[..., Tensor]] = {
    "triage": ours("triage"),
    "standard": ours("standard"),
    "gate": gate,
    "flags": flags_only,
    "autoattack": autoattack,
    "torchattacks": torchattacks_aa,
    "art": art_aa,
    "foolbox": foolbox_pgd,
}
said: dict[str, object] = {}


def main() -> int:
    """Measure one."""
    tool, model, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    net, x, y, eps = load(folder / f"{model}.pt")
    counted = Counting(net).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        net(x[:2])
    start = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        adversarial = TOOLS[tool](counted, x, y, eps)
    seconds = time.process_time() - start
    result = {"seconds": seconds, "forwards_per_image": counted.samples / len(x), **said}
    torch.save(adversarial.detach(), folder / f"{model}-{tool}.adv.pt")
    (folder / f"{model}-{tool}.json").write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
