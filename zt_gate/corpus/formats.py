"""Model and table formats that hold numbers, with something else where the numbers should be."""

from __future__ import annotations

import base64

from zt_gate.corpus.construct import Construct, Row, table
from zt_gate.corpus.opcodes import HOSTILE, program, stack_name, text
from zt_gate.corpus.records import arrow, catboost, crfsuite, executorch, parquet

_UNPICKLED = b"ARROW:extension:name arrow.py_extension_type ARROW:extension:metadata " + HOSTILE
_FORMULA = text("formula") + text("y ~ x")
_RESTORE = text("restore_model_spec") + b"\x88"
_DATA = stack_name("statsmodels.base.data", "ModelData") + b")\x81"
_COMPUTED = stack_name("numpy", "str_") + text("restore_model_spec") + b"\x85R\x88"

_ROWS: list[Row] = [
    ("catboost-tail", "a pickle behind a CatBoost model", "CWE-434", {"model.cbm": catboost(tail=HOSTILE)}),
    ("catboost-duplicate", "CatBoost parameters that two parsers read differently", "CWE-436",
     {"model.cbm": catboost('{"loss": 1, "loss": 2}')}),
    ("crfsuite-tail", "a pickle behind a CRFsuite model", "CWE-434", {"ner.crfsuite": crfsuite(tail=HOSTILE)}),
    ("crfsuite-offset", "a CRFsuite list that lies outside the file", "CWE-125",
     {"ner.crfsuite": crfsuite(reference=1 << 31)}),
    ("parquet-extension", "a Parquet schema that older PyArrow unpickles", "CVE-2023-47248",
     {"train.parquet": parquet(notes=[{1: b"ARROW:schema", 2: base64.b64encode(_UNPICKLED)}])}),
    ("parquet-hidden", "a pickle between the columns", "CWE-434", {"train.parquet": parquet(body=HOSTILE)}),
    ("parquet-elsewhere", "a column that lies in another file", "CWE-73",
     {"train.parquet": parquet([{1: b"../../etc/passwd", 2: 4, 3: {5: 1, 7: 0, 9: 4}}])}),
    ("arrow-extension", "an Arrow schema that older PyArrow unpickles", "CVE-2023-47248",
     {"train.arrow": arrow(_UNPICKLED)}),
    ("feather-hidden", "a pickle between the batches", "CWE-434", {"train.feather": arrow(b"schema", gap=HOSTILE)}),
    ("executorch-delegate", "a part of the program is compiled for a back end", "ExecuTorch delegates",
     {"model.pte": executorch(["aten::add"], ["QnnBackend"])}),
    ("executorch-operator", "ExecuTorch that maps a file", "TorchScript aten::from_file",
     {"model.pte": executorch(["aten::from_file"])}),
    ("executorch-custom", "ExecuTorch with a custom operator", "custom operator libraries",
     {"model.pte": executorch(["acme::run"])}),
    ("executorch-tail", "a pickle behind an ExecuTorch program", "CWE-434",
     {"model.pte": executorch(["aten::add"], tail=HOSTILE)}),
    ("statsmodels-formula", "statsmodels evaluates a formula from the pickle", "CWE-95",
     {"ols.pickle": program(_DATA + b"}(" + _FORMULA + _RESTORE + b"ub")}),
    ("statsmodels-computed", "the key that makes statsmodels evaluate is computed", "CWE-95",
     {"ols.pickle": program(_DATA + b"}(" + _COMPUTED + b"ub")}),
]  # fmt: skip

CONSTRUCTS: tuple[Construct, ...] = table("model-format", _ROWS)
