"""What older and neighbouring libraries write passes by its exact names; what stands beside it in them does not."""

import pytest

from zt_gate.corpus.opcodes import call, program, stack_name, text
from zt_gate.intake import MemorySource
from zt_gate.scan.artifacts.format import Input
from zt_gate.scan.artifacts.registry import examine
from zt_gate.scan.interface import Examination, Head


def rules(body, protocol=4):
    data = program(body, protocol)
    source = MemorySource("m.pkl", "", data)
    exam = Examination("m.pkl", len(data))
    examine(Input(source, exam, Head.of(source), examine))
    assert exam.gaps == []
    return {finding.rule for finding in exam.findings}


def made(module, qualname, key="n", value=b"K\x01"):
    """An instance without a constructor, as object.__reduce_ex__ writes it, and one attribute."""
    return stack_name(module, qualname) + b")\x81}" + text(key) + value + b"sb"


def restored(module, kind):
    """What Cython writes: its helper with the class, a checksum and a state, and then the state once more."""
    helper = stack_name(module, f"__pyx_unpickle_{kind}")
    return helper + stack_name(module, kind) + b"J\x01\x02\x03\x04N\x87R)b"


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        ("_loss", "CyHalfBinomialLoss"),  # scikit-learn 1.3 to 1.5 spell it so
        ("_loss", "CyHalfSquaredError"),
        ("sklearn._loss._loss", "CyHalfPoissonLoss"),
    ],
)
def test_compiled_losses_as_each_version_spells_them(module, kind):
    assert rules(restored(module, kind)) == set()


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        ("sklearn.ensemble._gb_losses", "BinomialDeviance"),
        ("sklearn.metrics._scorer", "_PredictScorer"),
        ("sklearn.model_selection._classification_threshold", "_CurveScorer"),
        ("scipy.sparse._arrays", "csr_array"),
        ("scipy.interpolate._cubic", "PchipInterpolator"),
        ("numpy.polynomial.polynomial", "Polynomial"),
        ("omegaconf.dictconfig", "DictConfig"),
        ("pytorch_lightning.utilities.parsing", "AttributeDict"),
        ("transformers.training_args", "TrainingArguments"),
        ("argparse", "Namespace"),
    ],
)
def test_classes_that_hold_values(module, kind):
    assert rules(made(module, kind)) == set()
    assert rules(made(module, kind, "__class__", stack_name("builtins", "dict"))) == {"ART-105"}


def test_the_arguments_of_a_training_run_with_their_enumerations():
    strategy = call(stack_name("transformers.trainer_utils", "IntervalStrategy"), text("steps"))
    assert rules(made("transformers.training_args", "TrainingArguments", "eval_strategy", strategy)) == set()
    assert rules(made("transformers.trainer", "Trainer")) == {"ART-102"}


def test_distances_are_called_without_arguments_and_given_state():
    assert rules(call(stack_name("sklearn.metrics._dist_metrics", "EuclideanDistance")) + b")b") == set()


def test_a_function_that_estimators_carry_may_be_named_and_not_called():
    scorer = stack_name("sklearn.metrics._scorer", "_passthrough_scorer")
    assert rules(made("sklearn.model_selection._search", "GridSearchCV", "scorer_", scorer)) == set()
    assert rules(call(scorer, b"K\x01")) == {"ART-104"}
    assert rules(call(stack_name("numpy.core._multiarray_umath", "log1p"), b"K\x01")) == {"ART-104"}


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        ("scipy.stats._continuous_distns", "norm_gen"),  # its __setstate__ runs text of the state with exec
        ("scipy.stats._distn_infrastructure", "rv_continuous_frozen"),
        ("_loss", "CyUnheardOf"),
        ("_loss.system", "CyHalfBinomialLoss"),
        ("sklearn._loss._loss", "__pyx_unpickle_Other"),
        ("omegaconf.omegaconf", "OmegaConf"),
        ("sklearn.metrics._dist_metrics", "PyFuncDistance"),
    ],
)
def test_what_stands_beside_them_is_refused(module, kind):
    assert "ART-102" in rules(made(module, kind))


@pytest.mark.parametrize("helper", ["_make_function", "_make_skeleton_class", "_builtin_type", "subimport"])
def test_classes_and_functions_that_travel_inside_a_pickle_are_named_as_code(helper):
    assert "ART-101" in rules(call(stack_name("cloudpickle.cloudpickle", helper), text("A")))


def test_what_dill_builds_functions_with_is_named_as_code():
    assert "ART-101" in rules(call(stack_name("dill._dill", "_create_function"), text("A")))
