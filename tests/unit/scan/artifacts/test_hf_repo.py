"""The Hugging Face folder as a whole: code that configurations name, and parts that have to be there."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from zt_gate.corpus.messages import gguf
from zt_gate.corpus.schemas import split


@pytest.fixture
def folder_rules(scan, tmp_path):
    """Write a folder and return rule and symbol of every finding, and whether there was a gap."""

    def run(**files):
        for name, content in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        evidence = scan(tmp_path)
        return {(finding.rule, finding.symbol) for finding in evidence.findings}

    return run


def test_auto_map_names_its_files(folder_rules, tmp_path):
    found = folder_rules(**{
        "config.json": {"auto_map": {"AutoModel": "modeling_x.Model", "AutoConfig": "gone.Config"}},
        "modeling_x.py": "import os\n",
        "tokenizer_config.json": {"auto_map": {"AutoTokenizer": ["other/repo--tok.Tok", None]}},
    })  # fmt: skip
    assert ("ART-660", "modeling_x.py") in found
    assert ("ART-660", "gone.py") in found
    assert ("ART-660", "other/repo--tok.Tok") in found


GOOD = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}
POOL = {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}


def test_modules_of_sentence_transformers(folder_rules):
    assert folder_rules(**{"modules.json": [GOOD, POOL], "1_Pooling__config.json": {"dim": 3}}) == set()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"type": "os.system"}, "ART-661"),
        ({"type": "sentence_transformers.models.x; import os"}, "ART-661"),
        ({"path": "../other"}, "ART-653"),
        ({"path": "2_Missing"}, "ART-653"),
        ({"path": "/etc"}, "ART-653"),
    ],
)
def test_modules_that_lead_elsewhere(change, rule, folder_rules):
    assert rule in {found for found, _ in folder_rules(**{"modules.json": [{**GOOD, **change}]})}


def test_adapters_and_pipelines(folder_rules):
    found = folder_rules(**{
        "a__adapter_config.json": {"auto_mapping": {"parent_library": "evil", "base_model_class": "X"}},
        "b__adapter_config.json": {"auto_mapping": {"parent_library": "transformers.models.bert", "x": "Y"}},
        "hub__adapter_config.json": {"auto_mapping": {"parent_library": "torch.hub", "base_model_class": "load"}},
        "model_index.json": {"_class_name": "P", "unet": ["my_unet", "U"], "vae": ["diffusers", "V"],
                             "off": [None, None]},
        "c__model_index.json": {"_class_name": ["pipeline", "P"]},
    })  # fmt: skip
    assert found == {
        ("ART-661", "evil"), ("ART-661", "my_unet"), ("ART-661", "_class_name"), ("ART-661", "torch.hub"),
        ("ART-661", "load"),
    }  # fmt: skip


def test_every_shard_of_an_index_is_there(scan, tmp_path):
    for tensor, name in (("a", "model-00001-of-00002.safetensors"), ("b", "model-00002-of-00002.safetensors")):
        save_file({tensor: np.zeros(2)}, tmp_path / name)
    index = tmp_path / "model.safetensors.index.json"
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    index.write_text(json.dumps({"metadata": {}, "weight_map": names}))
    assert scan(tmp_path).findings == ()
    for bad in ("model-00003.safetensors", "../x.safetensors", "/x", "sub/x.safetensors"):
        index.write_text(json.dumps({"weight_map": {**names, "c": bad}}))
        assert {(finding.rule, finding.symbol) for finding in scan(tmp_path).findings} == {("ART-653", bad)}


def test_an_index_and_its_shards_name_the_same_tensors(scan, tmp_path):
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    save_file({"a": np.zeros(2)}, tmp_path / first)
    save_file({"a": np.ones(2), "b": np.zeros(2), "c": np.zeros(2)}, tmp_path / second)
    index = {"weight_map": {"a": first, "b": second, "ghost": second}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    found = {(finding.rule, finding.symbol) for finding in scan(tmp_path).findings}
    assert found == {("ART-653", "ghost"), ("ART-656", "a"), ("ART-656", "c")}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": second, "b": first}}))
    assert ("ART-653", "b") in {(finding.rule, finding.symbol) for finding in scan(tmp_path).findings}


def test_every_part_of_a_split_model_is_there(scan, tmp_path):
    part = gguf({"general.architecture": "llama"})
    for number in (1, 2):
        (tmp_path / f"m-0000{number}-of-00002.gguf").write_bytes(part)
    assert scan(tmp_path).findings == ()
    (tmp_path / "m-00002-of-00002.gguf").unlink()
    assert [finding.rule for finding in scan(tmp_path).findings] == ["ART-653"]


def test_a_part_is_told_by_its_own_word_as_well(scan, tmp_path):
    (tmp_path / "m.gguf").write_bytes(split(3))
    assert [finding.rule for finding in scan(tmp_path).findings] == ["ART-653"]
    (tmp_path / "m.gguf").write_bytes(split(1))
    assert scan(tmp_path).findings == ()


def test_a_configuration_that_is_too_large_to_read_is_a_gap(scan, tmp_path, monkeypatch):
    monkeypatch.setattr("zt_gate.scan.artifacts.releases.hf_repo._MAX_JSON", 10)
    (tmp_path / "modules.json").write_text(json.dumps([GOOD]))
    assert scan(tmp_path).gaps
