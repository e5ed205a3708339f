"""Honest models of every kind load in the sandbox and answer as they do outside."""

import importlib

import numpy as np
import pytest

from tests.support import models
from zt_gate.evaluate.adapters.kinds import KINDS
from zt_gate.evaluate.remote import Patience, RemoteModel, UnmeasuredError
from zt_gate.evaluate.sandbox.parent import Sandbox


@pytest.mark.parametrize("kind", models.KINDS)
def test_an_honest_model_loads_and_answers_as_it_should(tmp_path, kind):
    path, declared = models.save(kind, tmp_path)
    with Sandbox(tmp_path, namespaces=False) as sandbox:
        model = RemoteModel(sandbox, kind.partition(",")[0], path, declared, device="cpu", patience=Patience())
        assert sandbox.level.name == "kernel"
        if declared.task == "text":
            scores, labels = model.examine(models.codes([text for text, _ in models.TEXTS])), [1, 1, 0, 0]
        else:
            x, labels = models.digits()
            scores, labels = model.examine(x[:200].reshape(200, *declared.shape)), labels[:200]
        assert sandbox.violations == []
    assert (scores.argmax(axis=1) == labels).mean() > 0.85
    assert model.differentiable == (declared.task == "image")
    assert "python" in model.versions


def test_every_kind_is_tried():
    assert {kind.partition(",")[0] for kind in models.KINDS} | {"pyfunc"} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_loader_of_every_kind_is_where_the_table_says(kind):
    """Loaders are named as text, so that no type checker notices a module that was renamed."""
    module = importlib.import_module(f"zt_gate.evaluate.adapters.{kind.module}")
    assert all(callable(getattr(module, name)) for name in (kind.function, kind.warm) if name)


def test_skops_with_types_of_others_is_not_loaded(tmp_path):
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    skops.io.dump(FunctionTransformer(np.testing.assert_equal), tmp_path / "m.skops")
    with Sandbox(tmp_path, namespaces=False) as sandbox, pytest.raises(UnmeasuredError, match=r"no scores|no type"):
        RemoteModel(sandbox, "skops", tmp_path / "m.skops", models.TABLE, device="cpu", patience=Patience())
