"""Keras models and HDF5: honest files of the layouts that Keras writes pass, and whatever leads elsewhere does not."""

import io
import json
import zipfile

import h5py
import numpy as np
import pytest

from zt_gate.domain import Status


def keras_object(class_name, config=None, module="keras.layers", **more):
    return {"module": module, "class_name": class_name, "config": config or {}, "registered_name": None, **more}


def dense():
    initialiser = keras_object("GlorotUniform", {"seed": None}, "keras.initializers")
    policy = keras_object("DTypePolicy", {"name": "float32"}, "keras")
    config = {"name": "d", "units": 2, "activation": "relu", "kernel_initializer": initialiser, "dtype": policy}
    return keras_object("Dense", config, build_config={"input_shape": [None, 3]})


def model(*layers, **more):
    return keras_object("Sequential", {"name": "s", "layers": [dense(), *layers]}, "keras", **more)


COMPILED = {
    "optimizer": keras_object("Adam", {"learning_rate": 0.001}, "keras.optimizers"),
    "loss": keras_object("function", "mean_squared_error", "builtins", registered_name="function"),
    "metrics": ["mae"],
}


def h5_bytes(write, **options):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as file:
        write(file)
    return buffer.getvalue()


def write_weights(file):
    layers = file.create_group("layers/dense/vars")
    for index in range(3):
        layers.create_dataset(str(index), data=np.arange(6.0).reshape(2, 3))
    file.create_dataset("packed", data=np.zeros((100, 10)), chunks=(10, 10), compression="gzip", shuffle=True)


def write_model(config, training=None, name="model_config"):
    def write(file):
        file.attrs["keras_version"] = "2.15.0"
        file.attrs["backend"] = b"tensorflow"
        file.attrs[name] = json.dumps(config).encode()
        if training is not None:
            file.attrs["training_config"] = json.dumps(training)
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = np.array([b"d", b"dense_1"])
        write_weights(weights)

    return write


def keras_zip(config):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.8.0", "date_saved": "2026-01-01@00:00:00"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", h5_bytes(write_weights))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        h5_bytes(write_weights),
        h5_bytes(write_weights, libver="latest"),
        h5_bytes(write_model(model(), COMPILED)),
        h5_bytes(write_model(model(*[dense() for _ in range(300)]))),
        h5_bytes(lambda file: [file.create_dataset(f"w{i}", data=np.ones(i + 1)) for i in range(500)]),
        h5_bytes(lambda file: file.attrs.update({f"a{i}": "text" * i for i in range(60)})),
    ],
    ids=["weights", "latest", "model", "large config", "many datasets", "many attributes"],
)
def test_honest_hdf5_passes_with_every_byte_claimed(data, scan, tmp_path):
    (tmp_path / "m.h5").write_bytes(data)
    evidence = scan(tmp_path)
    assert (evidence.status, evidence.findings, evidence.gaps) == (Status.PASS, (), ())
    assert [claim.by for claim in evidence.claims] == ["hdf5"]


def test_an_honest_keras_archive_passes(rules):
    assert rules("m.keras", keras_zip(model(compile_config=COMPILED))) == set()


NESTED = keras_object("TimeDistributed", {"layer": keras_object("Lambda", {"function": ["4wE=", None, None]})})
HOSTILE = [
    (keras_object("Lambda", {"function": ["4wE=", None, None]}), "ART-610"),
    (NESTED, "ART-610"),
    (keras_object("Dense", {"activation": keras_object("__lambda__", {"value": "4wE="}, "builtins")}), "ART-610"),
    (keras_object("TFOpLambda", {"function": "io.write_file"}), "ART-610"),
    (keras_object("function", "system", "os"), "ART-611"),
    (keras_object("Popen", {}, "subprocess"), "ART-611"),
    (keras_object("Dense", {}, "keras_evil.layers"), "ART-611"),
    (keras_object("CustomThing"), "ART-612"),
    (keras_object("Dense", registered_name="Mine>Dense"), "ART-612"),
    (keras_object("function", "my_activation", "builtins"), "ART-612"),
    (keras_object("function", "get_file", "keras.utils"), "ART-613"),
    (keras_object("StringLookup", {"vocabulary": "/etc/passwd"}), "ART-613"),
    (keras_object("IntegerLookup", {"vocabulary": "vocabulary.txt"}), "ART-613"),
    (keras_object("Dense", {"name": "https://example.org/x"}), "ART-613"),
    (keras_object("function", "enable_unsafe_deserialization", "keras.config"), "ART-614"),
    (keras_object("Dense", {"safe_mode": False}), "ART-614"),
    (keras_object("TorchModuleWrapper", {"module": "gAQu"}), "ART-615"),
]


@pytest.mark.parametrize(("layer", "rule"), HOSTILE)
def test_hostile_layers_in_every_container(layer, rule, rules):
    assert rule in rules("m.keras", keras_zip(model(layer)))
    assert rule in rules("m.h5", h5_bytes(write_model(model(layer))))
    assert rule in rules("architecture.json", json.dumps({"pad": "x" * 5000, "model": model(layer)}).encode())


@pytest.mark.parametrize("place", ["compile_config", "build_config"])
def test_hostile_objects_beside_the_layers(place, rules):
    evil = keras_object("function", "system", "os")
    assert "ART-611" in rules("m.keras", keras_zip(model(**{place: {"loss": evil}})))
    assert "ART-611" in rules("m.h5", h5_bytes(write_model(model(), {"loss": evil})))


def test_escaped_class_names_do_not_hide(rules):
    text = json.dumps(model(keras_object("Lambda"))).replace('"class_name"', '"class\\u005fname"')
    assert "ART-610" in rules("a.json", text.encode())


def test_a_configuration_with_a_key_twice(rules):
    def write(file):
        file.attrs["model_config"] = '{"class_name": "Lambda", "class_name": "Dense", "config": {}}'

    assert "ART-307" in rules("m.h5", h5_bytes(write))


def external_link(file):
    file["w"] = h5py.ExternalLink("/etc/other.h5", "/x")


def soft_link(file):
    file.create_dataset("a", data=[1])
    file["w"] = h5py.SoftLink("/a")


def external_data(file):
    file.create_dataset("w", (4,), dtype="f4", external=[("/tmp/raw.bin", 0, 16)])


def virtual(file):
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", shape=(4,))
    file.create_virtual_dataset("w", layout)


def with_plugin(file):
    file.create_dataset("w", data=np.zeros((10, 10)), chunks=(5, 5), compression="lzf")


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize(
    ("write", "rule"),
    [
        (external_link, "ART-601"),
        (external_data, "ART-601"),
        (virtual, "ART-601"),
        (soft_link, "ART-602"),
        (with_plugin, "ART-603"),
    ],
)
def test_what_leads_out_of_the_file(write, rule, libver, rules):
    found = rules("w.h5", h5_bytes(lambda file: write(file.create_group("deep/er")), libver=libver))
    assert rule in found


def test_bytes_behind_the_end(rules):
    data = h5_bytes(write_weights)
    assert "ART-604" in rules("w.h5", data + b"more")
    assert "gap" in rules("w.h5", data[:-8])


def pickled_attribute(file):
    file.attrs["note"] = np.bytes_(b"\x80\x02cos\nsystem\n(S'true'\ntR.")


def many_links(file):
    for index in range(40):
        file.create_dataset(f"d{index}", data=[index])


@pytest.mark.parametrize(
    ("write", "options", "expected"),
    [
        (pickled_attribute, {}, "ART-101"),
        (lambda file: file.attrs.update(PYTABLES_FORMAT_VERSION="2.1"), {}, "gap"),
        (lambda file: file.attrs.update(model_config=3), {}, "gap"),
        (lambda file: file.attrs.update(model_config="{"), {}, "gap"),
        (many_links, {"libver": "latest"}, "gap"),
        (write_weights, {"userblock_size": 512}, "gap"),
        (lambda file: file.__setitem__("t", np.dtype("f8")), {}, ""),
    ],
    ids=["pickle", "pytables", "number", "broken", "dense", "userblock", "named type"],
)
def test_what_is_not_understood_is_a_gap(write, options, expected, rules):
    found = rules("w.h5", h5_bytes(write, **options))
    assert expected in found if expected else found == set()


def test_cut_and_changed_files_end_in_a_word(scan, tmp_path):
    data = h5_bytes(write_model(model(), COMPILED))
    for cut in range(9, 600, 37):
        (tmp_path / "m.h5").write_bytes(data[:cut])
        assert scan(tmp_path).status is not Status.PASS
