"""Keys that loaders act on, wherever they stand; and honest files that have such keys with honest values."""

import json

import pytest

from zt_gate.corpus.archives import safetensors, tensor
from zt_gate.corpus.messages import gguf
from zt_gate.corpus.registry import all_constructs
from zt_gate.corpus.schemas import storage, tensor_of, torch_file

HOSTILE = [construct for construct in all_constructs() if construct.family in ("metadata", "schema")]
HONEST_CONFIG = {
    "_name_or_path": "/home/user/checkpoints/last", "architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "torch_dtype": "torch.bfloat16", "hidden_act": "gelu_pytorch_tanh", "attn_implementation": "sdpa",
    "_attn_implementation": {"": "sdpa", "vision_config": "eager"}, "license_link": "https://example.org/license",
    "quantization_config": {"modules_to_not_convert": ["model.vision_tower", "lm_head"], "quant_method": "awq"},
    "pretrained_cfg": {"tag": "a1_in1k", "custom_load": False, "first_conv": "patch_embed.proj"},
    "problem_type": None, "text_config": {"new_size": 8, "rope": {"kind": "yarn"}}, "media": "image/jpeg",
    "feature_extractor_type": "CLIPFeatureExtractor", "id2label": {"0": "sub.process", "1": "a/b"},
}  # fmt: skip


@pytest.mark.parametrize("construct", HOSTILE, ids=lambda construct: construct.id)
def test_a_key_that_a_loader_acts_on_blocks(construct, tmp_path, scan):
    construct.write(tmp_path)
    evidence = scan(tmp_path)
    assert evidence.gaps or any(finding.severity.name in ("HIGH", "CRITICAL") for finding in evidence.findings)


def test_an_honest_configuration_passes(rules):
    assert rules("config.json", json.dumps(HONEST_CONFIG).encode()) == set()
    generation = {"do_sample": True, "temperature": 0.6, "cache_implementation": "static"}
    assert rules("generation_config.json", json.dumps(generation).encode()) == set()


@pytest.mark.parametrize("value", ["acme/vision-tower", "https://example.org/x", "/opt/models/x/"])
def test_a_place_under_an_unknown_key_is_named_and_does_not_block(value, scan, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"mm_tower": value}))
    assert [(found.rule, found.severity.name) for found in scan(tmp_path).findings] == [("ART-663", "MEDIUM")]


@pytest.mark.parametrize(
    "metadata",
    [
        {"format": "pt", "config": json.dumps({"hidden": 8, "act": "gelu"})},
        {"format": "pt", "note": "Trained on: three data sets.\nSee: https://example.org\n"},
        {
            "modelspec.title": "x",
            "ss_network_module": "networks.lora",
            "ss_tag_frequency": json.dumps({"a b": {"c": 1}}),
        },
        {"pipeline": "target: nemo.collections.asr.models.EncDecCTCModel\n"},
        {"text": "a: [1\nb"},
    ],
)
def test_honest_metadata_passes(metadata, rules):
    assert rules("m.safetensors", safetensors({"__metadata__": metadata, "w": tensor()})) == set()
    assert rules("m.gguf", gguf({"general.architecture": "llama", **metadata})) == set()


TRITON = b"""# a comment
name: "m"
platform: 'onnxruntime_onnx'
max_batch_size: 8
input [ { name: "x" data_type: TYPE_FP32 dims: [ 4, -1 ] } ]
output [ { name: "y", data_type: TYPE_FP32; dims: 4 label_filename: "labels.txt" } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
dynamic_batching { }
version_policy: { latest { num_versions: 1 } }
optimization { execution_accelerators { gpu_execution_accelerator : [ { name : "tensorrt" } ] } }
parameters { key: "intra_op_thread_count" value: { string_value: "2" } }
"""


def test_an_honest_configuration_of_triton_passes(rules):
    assert rules("m/config.pbtxt", TRITON) == set()


@pytest.mark.parametrize(
    "more", [b"acme { x: 1 }", b"input [", b"}", b"input { name }", b"name: \x01", b"a: " + b"b{" * 40]
)
def test_what_is_no_configuration_of_triton_is_a_gap(more, rules):
    assert "gap" in rules("m/config.pbtxt", TRITON + more)


@pytest.mark.parametrize("construct", [one for one in HOSTILE if "/storage-" in one.id], ids=lambda one: one.id)
def test_a_tensor_out_of_its_storage_is_named(construct, tmp_path, scan):
    construct.write(tmp_path)
    assert "ART-116" in {finding.rule for finding in scan(tmp_path).findings}


@pytest.mark.parametrize(
    "data",
    [
        torch_file(tensor_of(storage(), 4)),
        torch_file(tensor_of(storage(), 2, start=2), tensor_of(storage(), 2, step=3)),
        torch_file(tensor_of(storage(), 0, start=4), tensor_of(storage(), 3, 3, step=0)),
        torch_file(tensor_of(storage(items=2, kind="DoubleStorage"), 2)),
        torch_file(tensor_of(storage(), 4), tensor_of(storage("1", 0), 0), _0=bytes(16), _1=b""),
    ],
)
def test_tensors_inside_of_their_storages_pass(data, rules):
    assert rules("m.pt", data) == set()


@pytest.mark.parametrize(
    ("name", "data", "rule"),
    [
        ("config.json", b'{"after_load": "mlflow.acme.hook"}', "ART-662"),
        ("config.json", b'{"extra": {"vocabulary": "../../x"}}', "ART-662"),
        ("m/config.pbtxt", TRITON + b'model_operations { op_library_filename: "x.so" }', "ART-690"),
    ],
)
def test_the_rule_says_what_would_happen(name, data, rule, rules):
    assert rules(name, data) == {rule}
