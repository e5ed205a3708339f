"""What dependency files state, and what is wrong with it."""

import json

import pytest

from zt_gate.intake import Freeze, IntakeLimits, freeze
from zt_gate.scan.dependencies.check import DependencyCheck
from zt_gate.scan.dependencies.typosquats import imitated, popular_names

CONDA = b"""\
channels:
- conda-forge
dependencies:
- python=3.11.4
- pip<=23.2.1
- pip:
  - mlflow==3.4.0
  - scikit-learn==1.9.1
name: mlflow-env
"""
PYTHON_ENV = b"""\
python: 3.11.4
build_dependencies:
- pip==23.2.1
- setuptools
- wheel==0.40.0
dependencies:
- -r requirements.txt
"""
UV_LOCK = b"""\
version = 1
[[package]]
name = "numpy"
version = "2.4.6"
source = { registry = "https://pypi.org/simple" }
[[package]]
name = "mine"
source = { virtual = "." }
"""
PIPFILE_LOCK = json.dumps(
    {
        "_meta": {"sources": [{"name": "pypi", "url": "https://pypi.org/simple", "verify_ssl": True}]},
        "default": {"numpy": {"version": "==2.4.6", "hashes": ["sha256:00"]}},
        "develop": {},
    }
).encode()


def examine(make_tree, files):
    with freeze([make_tree(files)], Freeze.HOLD, IntakeLimits()) as frozen:
        return DependencyCheck().run(frozen)


@pytest.fixture
def check(make_tree):
    def run(files):
        evidence = examine(make_tree, files)
        return sorted((f.rule, str(f.severity), f.symbol) for f in evidence.findings), len(evidence.gaps)

    return run


def test_what_mlflow_writes_passes(check):
    files = {
        "MLmodel": b"flavors:\n  sklearn:\n    sklearn_version: 1.9.1\nmlflow_version: 3.4.0\n",
        "conda.yaml": CONDA,
        "python_env.yaml": PYTHON_ENV,
        "requirements.txt": b"mlflow==3.4.0\ncloudpickle==3.1.2\nnumpy==2.4.6\nscikit-learn==1.9.1\n",
    }
    assert check(files) == ([], 0)


def test_lock_files_and_projects_pass(check):
    files = {
        "uv.lock": UV_LOCK,
        "Pipfile.lock": PIPFILE_LOCK,
        "poetry.lock": b'[[package]]\nname = "torch"\nversion = "2.13.0"\n',
        "pdm.lock": b'[[package]]\nname = "torch"\nversion = "2.13.0"\n',
        "pyproject.toml": b'[project]\nname = "x"\ndependencies = ["numpy==2.4.6 ; python_version > \'3.9\'"]\n',
        "requirements/requirements-dev.txt": b"pytest==9.2.0 \\\n    --hash=sha256:00 \\\n  --hash=sha256:11\n#end\n",
    }
    assert check(files) == ([], 0)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("numpy", ("DPD-101", "low", "numpy")),
        ("numpy>=1.2", ("DPD-101", "low", "numpy")),
        ("numpy==1.*", ("DPD-101", "low", "numpy")),
        ("numpy[a,b]==1.2,<2", ("DPD-101", "low", "numpy")),
        ("git+https://example.org/x@main#egg=helpers", ("DPD-102", "high", "helpers")),
        ("helpers @ git+https://example.org/x@" + "a" * 40, ("DPD-102", "medium", "helpers")),
        ("helpers @ https://example.org/h.whl", ("DPD-102", "high", "helpers")),
        ("helpers @ https://example.org/h.whl#sha256=00", ("DPD-102", "medium", "helpers")),
        ("./wheels/h.whl", ("DPD-102", "high", "a package")),
        ("-e .", ("DPD-102", "high", "a package")),
        ("--index-url https://pypi.acme.example/simple", ("DPD-103", "high", "--index-url")),
        ("--extra-index-url=https://pypi.acme.example/simple", ("DPD-103", "high", "--extra-index-url")),
        ("-f https://acme.example/wheels", ("DPD-103", "high", "-f")),
        ("-ihttps://acme.example/simple", ("DPD-103", "high", "-i")),
        ("troch==2.6.0", ("DPD-105", "medium", "troch")),
        ("scikitlearn==1.0", ("DPD-105", "medium", "scikitlearn")),
        ("tensorfow==2.1", ("DPD-105", "medium", "tensorfow")),
    ],
)
def test_a_line_of_a_requirement_file(check, line, found):
    assert check({"requirements.txt": line.encode()}) == ([found], 0)


@pytest.mark.parametrize("line", ["-i https://pypi.org/simple", "--index-url=https://pypi.org/simple/", "--pre"])
def test_the_official_index_is_no_other_index(check, line):
    assert check({"requirements.txt": line.encode()}) == ([], 0)


def test_giving_up_tls(check):
    found, _ = check({"requirements.txt": b"--trusted-host a.example\n-i http://a.example/simple\n"})
    assert [rule for rule, *_ in found] == ["DPD-103", "DPD-103", "DPD-104", "DPD-104"]
    found, _ = check({"requirements.txt": b"", "Pipfile.lock": b'{"_meta": {"sources": [{"verify_ssl": false}]}}'})
    assert [rule for rule, *_ in found] == ["DPD-103", "DPD-104"]


@pytest.mark.parametrize(
    ("name", "data", "rule"),
    [
        ("conda.yaml", b"channels: [https://conda.acme.example/]\ndependencies: []\n", "DPD-103"),
        ("conda.yaml", b"dependencies: ['acme::numpy==1.2']\n", "DPD-103"),
        ("conda.yaml", b"dependencies: [numpy=1.2]\n", "DPD-101"),
        ("conda.yaml", b"dependencies: [{pip: ['x @ https://a.example/x.whl']}]\n", "DPD-102"),
        ("python_env.yaml", b"dependencies: ['git+https://a.example/x']\n", "DPD-102"),
        ("pyproject.toml", b'[project]\ndependencies = ["numpy"]\n', "DPD-101"),
        ("pyproject.toml", b'[[tool.uv.index]]\nurl = "https://a.example"\n', "DPD-103"),
        ("pyproject.toml", b'[tool.poetry.dependencies]\nx = {git = "https://a.example/x"}\n', "DPD-102"),
        ("uv.lock", UV_LOCK.replace(b"pypi.org", b"a.example"), "DPD-103"),
        (
            "uv.lock",
            UV_LOCK.replace(b'registry = "https://pypi.org/simple"', b'git = "https://a.example/x"'),
            "DPD-102",
        ),
        ("Pipfile.lock", b'{"default": {"x1": {"git": "https://a.example/x"}}}', "DPD-102"),
    ],
)
def test_structured_files(check, name, data, rule):
    found, gaps = check({name: data})
    assert ([item[0] for item in found], gaps) == ([rule], 0)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("requirements.txt", b"numpy == \n"),
        ("requirements.txt", b"--surprise x\n"),
        ("requirements.txt", b"\xff\xfe"),
        ("conda.yaml", b"[]"),
        ("conda.yaml", b"dependencies: numpy"),
        ("conda.yaml", b"dependencies: ['numpy 1 2 3 !']"),
        ("python_env.yaml", b"dependencies: [{a: 1}]"),
        ("pyproject.toml", b"= 1"),
        ("uv.lock", b"version = 1"),
        ("poetry.lock", b'[[package]]\nversion = "1"\n'),
        ("Pipfile.lock", b"{"),
        ("MLmodel", b"flavors: 1"),
    ],
)
def test_what_is_not_understood_is_incomplete(check, name, data):
    assert check({name: data})[1] == 1


def test_included_files_are_part_of_the_release_or_nobody_examined_them(check):
    assert check({"requirements.txt": b"-r requirements-more.txt", "requirements-more.txt": b"numpy==2.4.6"}) == ([], 0)
    for name in ("../common.txt", "gone.txt", "notes.txt", "https://a.example/r.txt"):
        found, gaps = check({"requirements.txt": f"-r {name}".encode(), "notes.txt": b"numpy"})
        assert ([rule for rule, *_ in found], gaps) == (["DPD-106"], 1)


@pytest.mark.parametrize(
    ("files", "advisories"),
    [
        ({"requirements.txt": b"torch==2.5.1", "m.pth": b"x"}, ["CVE-2025-32434", "CVE-2026-24747"]),
        ({"requirements.txt": b"torch==2.6.0+cpu", "m.pth": b"x"}, ["CVE-2026-24747"]),
        ({"requirements.txt": b"torch==2.13.0", "m.pth": b"x"}, []),
        ({"requirements.txt": b"torch==2.5.1", "m.safetensors": b"x"}, []),
        (
            {"MLmodel": b"flavors: {keras: {keras_version: 3.8.0}}", "data/m.keras": b"x"},
            ["CVE-2025-1550", "CVE-2025-9906"],
        ),
        ({"requirements.txt": b"joblib==1.1.0", "m.joblib": b"x"}, []),
        ({"conda.yaml": b"dependencies: [numpy==1.16.2]", "m.npy": b"x"}, ["CVE-2019-6446"]),
    ],
)
def test_an_old_loader_beside_a_file_that_it_trusts(check, files, advisories):
    found, gaps = check(files)
    assert [symbol.split()[1] for rule, _, symbol in found if rule == "DPD-202"] == advisories
    assert gaps == 0


def test_a_version_that_cannot_be_compared_is_incomplete(check):
    assert check({"MLmodel": b"flavors: {a: {pytorch_version: newest}}", "m.pth": b"x"}) == ([], 1)


def test_no_popular_name_is_taken_for_an_imitation():
    assert [name for name in popular_names() if imitated(name)] == []
    assert len(popular_names()) > 400


@pytest.mark.parametrize("name", ["torch2", "keras3", "boto3", "mypackage", "acme-risk-model", "numba", "rich"])
def test_an_honest_name_is_no_imitation(name):
    assert imitated(name) == ""


def test_an_address_with_a_password_is_never_quoted(make_tree):
    evidence = examine(
        make_tree, {"requirements.txt": b"-i https://u:s3cr3tPw@a.example/s\nx@https://u:s3cr3tPw@a/x.whl"}
    )
    assert len(evidence.findings) == 2
    assert "s3cr3tPw" not in repr(evidence)


def test_a_release_without_dependency_files(make_tree):
    assert str(examine(make_tree, {"a.txt": b"x"}).status) == "not_applicable"
