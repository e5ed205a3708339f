"""The protobuf messages of TensorFlow, as far as a graph's operators, functions, texts and assets stand in them."""

from __future__ import annotations

from zt_gate.scan.artifacts.encodings.protobuf import Schema

SCHEMA: Schema = {
    "SavedModel": {1: "int", 2: "MetaGraph*"},
    "MetaGraph": {1: "MetaInfo", 2: "Graph", 3: "Saver", 4: "skip*", 5: "skip*", 6: "Asset*", 7: "ObjectGraph"},
    "MetaInfo": {1: "skip", 2: "skip", 3: "skip", 4: "skip*", 5: "skip", 6: "skip", 7: "int", 8: "skip*"},
    "Saver": {1: "text", 2: "text", 3: "text", 4: "int", 5: "int", 6: "fixed32", 7: "int"},
    "Asset": {1: "skip", 2: "text"},
    "Graph": {1: "Node*", 2: "Library", 3: "int", 4: "Versions", 5: "skip"},
    "Versions": {1: "int", 2: "int", 3: "int*"},
    "Node": {1: "text", 2: "text", 3: "skip*", 4: "skip", 5: "Attr*", 6: "skip", 7: "skip"},
    "Attr": {1: "text", 2: "Value"},
    "Value": {
        1: "List", 2: "data", 3: "int", 4: "fixed32", 5: "int", 6: "int", 7: "skip", 8: "Tensor", 9: "text", 10: "Func",
    },
    "List": {2: "data*", 3: "int*", 4: "fixed32*", 5: "int*", 6: "int*", 7: "skip*", 8: "Tensor*", 9: "Func*"},
    "Func": {1: "text", 2: "Attr*"},
    "Tensor": {
        1: "int", 2: "skip", 3: "int", 4: "skip", 5: "fixed32*", 6: "fixed64*", 7: "int*", 8: "data*", 9: "fixed32*",
        10: "int*", 11: "int*", 12: "fixed64*", 13: "int*", 14: "skip*", 15: "skip*", 16: "int*", 17: "int*",
        18: "skip",
    },
    "Library": {1: "Function*", 2: "Gradient*", 3: "RegisteredGradient*"},
    "Function": {
        1: "Signature", 3: "Node*", 4: "skip*", 5: "Attr*", 6: "skip*", 7: "skip*", 8: "skip*",
    },
    "Signature": {
        1: "text", 2: "skip*", 3: "skip*", 4: "skip*", 5: "skip", 6: "skip", 8: "skip", 16: "int", 17: "int", 18: "int",
        19: "int", 20: "skip*", 21: "int",
    },
    "Gradient": {1: "text", 2: "text"},
    "RegisteredGradient": {1: "text", 2: "text"},
    "ObjectGraph": {1: "Object*", 2: "Concrete*"},
    "Concrete": {1: "text", 2: "skip"},
    "Object": {
        1: "skip*", 3: "skip*", 4: "UserObject", 5: "skip", 6: "skip", 7: "skip", 8: "skip", 9: "skip", 10: "skip",
        11: "skip*", 12: "skip", 13: "text", 14: "skip", 15: "skip*", 16: "text",
    },
    "UserObject": {1: "text", 2: "Versions", 3: "text"},
    "Fingerprint": {1: "int", 2: "int", 3: "int", 4: "int", 5: "int", 6: "Versions", 7: "text"},
    "KerasMetadata": {1: "KerasNode*"},
    "KerasNode": {2: "int", 3: "text", 4: "text", 5: "text", 6: "Versions"},
    "BundleHeader": {1: "int", 2: "int", 3: "Versions"},
    "BundleEntry": {1: "int", 2: "skip", 3: "int", 4: "int", 5: "int", 6: "fixed32", 7: "skip*"},
}  # fmt: skip
