"""Archives that two readers read differently, and model archives whose parts are code."""

from __future__ import annotations

import struct
import tarfile
import zipfile

from zt_gate.corpus.archives import Member, plain_zip, raw_zip, tar, tar_entry, torch_zip
from zt_gate.corpus.construct import Construct, Files, Row, table
from zt_gate.corpus.opcodes import HOSTILE, SYSTEM, WORD, call, name, program, stack_name, text

_HARMLESS = b"\x80\x04N."
_FIRST = "miniz takes the first of two members, zipfile the last"
_PICKLE = b"archive/data.pkl"
# Info-ZIP's Unicode path: version 1 and a checksum of the first name in front of the second.
_SECOND_NAME = struct.pack("<HHBL", 0x7075, 5 + len(_PICKLE), 1, 0) + _PICKLE
# The mode of a symbolic link on Unix.
_LINK = 0o120777


def _deep() -> Files:
    data = HOSTILE
    for _ in range(8):
        data = plain_zip({"a.zip": data})
    return {"model.zip": data}


def _bomb() -> Files:
    return {"model.zip": plain_zip({"a.txt": bytes(64 << 20)}, zipfile.ZIP_DEFLATED)}


def _zip(label: str, title: str, reference: str, data: bytes, file: str = "model.pt") -> Row:
    return label, title, reference, {file: data}


_ZIPS: list[Row] = [
    _zip("plain", "a hostile pickle in a PyTorch archive", "CWE-502", torch_zip(HOSTILE)),
    _zip("duplicate",
     "two members of one name", _FIRST, raw_zip([Member(_PICKLE, HOSTILE), Member(_PICKLE, _HARMLESS)])),
    _zip("case-twin", "DATA.PKL beside data.pkl", "miniz looks members up without case",
         raw_zip([Member(b"archive/DATA.PKL", HOSTILE), Member(_PICKLE, _HARMLESS)])),
    _zip("local-name", "the local header has another name", "CVE-2025-1944",
         raw_zip([Member(_PICKLE, HOSTILE, local_name=b"archive/data.txt")])),
    _zip("local-flags", "the local header has other flags", "CVE-2025-1945",
         raw_zip([Member(_PICKLE, HOSTILE, local_flags=1)])),
    _zip("encrypted",
     "the member claims to be encrypted", "CVE-2025-1945", raw_zip([Member(_PICKLE, HOSTILE, flags=1)])),
    _zip("crc", "a wrong checksum makes zipfile give up", "CVE-2025-10156", raw_zip([Member(_PICKLE, HOSTILE, crc=1)])),
    _zip("local-size", "the local header has another size", "CVE-2025-1944",
         raw_zip([Member(_PICKLE, HOSTILE, local_size=5)])),
    _zip("local-method", "the local header has another method", "CVE-2025-1944",
         raw_zip([Member(_PICKLE, HOSTILE, local_method=8)])),
    _zip("method", "a compression method that nobody knows", "CWE-754", raw_zip([Member(_PICKLE, HOSTILE, method=99)])),
    _zip("descriptor", "a data descriptor that disagrees", "CWE-436",
         raw_zip([Member(_PICKLE, HOSTILE, flags=8, descriptor=b"PK\x07\x08" + bytes(12))])),
    _zip("second-name", "a Unicode path that differs from the name", "CWE-436",
         raw_zip([Member(b"archive/data.txt", HOSTILE, extra=_SECOND_NAME)])),
    _zip("gap", "a hostile pickle between the members", "CWE-436",
         raw_zip([Member(_PICKLE, _HARMLESS), Member(b"archive/version", b"3\n", before=HOSTILE)])),
    _zip("before-directory", "a hostile pickle in front of the directory", "CWE-436",
         raw_zip([Member(_PICKLE, _HARMLESS)], gap=HOSTILE)),
    _zip("prefix", "bytes in front of the archive", "SFX prefix",
         raw_zip([Member(_PICKLE, _HARMLESS)], prefix=b"MZ stub"), "model.bin"),
    _zip("pickle-prefix", "a pickle in front of the archive", "SFX prefix",
         HOSTILE + raw_zip([Member(_PICKLE, _HARMLESS)])),
    _zip("comment", "an archive comment that holds a pickle, and bytes behind it", "CWE-436",
         raw_zip([Member(_PICKLE, _HARMLESS)], comment=HOSTILE) + b"tail"),
    _zip("slip", "a member that leaves the folder", "CWE-22", raw_zip([Member(b"../../evil.txt", b"x")]), "model.zip"),
    _zip("absolute",
     "a member with an absolute name", "CWE-22", raw_zip([Member(b"/evil.txt", b"x")]), "model.zip"),
    _zip("link", "a member that is a symbolic link", "CWE-59",
         raw_zip([Member(b"a.txt", b"/etc/passwd", mode=_LINK)]), "model.zip"),
    ("bomb", "a member that inflates a thousandfold", "CWE-409", _bomb),
    _zip("impossible-ratio", "a member that claims four gigabytes", "CWE-409",
         raw_zip([Member(_PICKLE, _HARMLESS, method=8, size=0xFFFFFF00)])),
    _zip("nested", "a hostile pickle in a zip in a zip", "picklescan does not look inside",
         plain_zip({"inner.zip": plain_zip({"data.pkl": HOSTILE})}), "model.zip"),
    ("deep", "zips nested eight deep", "CWE-674", _deep),
    _zip("renamed-member", "a pickle under an innocent member name", "CVE-2025-1889",
         plain_zip({"archive/weights.txt": HOSTILE, "archive/data.pkl": _HARMLESS})),
    _zip("hidden-in-storage", "data/0 is a pickle and is loaded as one", "CWE-434",
         plain_zip({"notes/data/0": HOSTILE, "config.json": b"{}"}), "model.zip"),
    _zip("no-end", "the end record is cut off", "CWE-754", torch_zip(HOSTILE)[:-10]),
    _zip("code-member", "Python in an archive", "CWE-94", plain_zip({"model.py": b"import os\n"}), "model.zip"),
    _zip("executable-member",
     "a program in an archive", "CWE-434", plain_zip({"lib.so": b"\x7fELF" + bytes(60)}), "model.zip"),
    _zip("two-archives", "two archives one behind the other", "CWE-436",
         torch_zip(HOSTILE) + torch_zip(_HARMLESS)),
]  # fmt: skip


_TARS: list[Row] = [
    ("plain", "a hostile pickle in a tar", "picklescan exits 0 on tar", {"model.tar": tar([("m/data.pkl", HOSTILE)])}),
    ("gzip", "a hostile pickle in a tar.gz", "picklescan exits 0 on tar",
     {"model.tar.gz": tar([("d.pkl", HOSTILE)], "w:gz")}),
    ("slip", "a tar entry that leaves the folder", "CVE-2007-4559", {"model.tar": tar([("../evil.txt", b"x")])}),
    ("absolute", "a tar entry with an absolute name", "CVE-2007-4559", {"model.tar": tar([("/evil.txt", b"x")])}),
    ("symlink", "a symbolic link in a tar", "CWE-59", {"model.tar": tar([tar_entry("a", tarfile.SYMTYPE, "/etc")])}),
    ("hardlink", "a hard link in a tar", "CWE-59", {"model.tar": tar([tar_entry("a", tarfile.LNKTYPE, "../b")])}),
    ("device", "a device in a tar", "CWE-59", {"model.tar": tar([tar_entry("a", tarfile.CHRTYPE)])}),
    ("duplicate", "an entry twice", "CWE-436", {"model.tar": tar([("a.pkl", HOSTILE), ("a.pkl", _HARMLESS)])}),
    ("tail", "a pickle behind the end of a tar", "CWE-436",
     {"model.tar": tar([("a.txt", b"x")]) + HOSTILE.ljust(512, b"\0")}),
    ("legacy-torch", "PyTorch's old tar with a hostile pickle", "CWE-502",
     {"model.pt": tar([("sys_info",
      _HARMLESS), ("pickle", HOSTILE), ("storages", _HARMLESS), ("tensors", _HARMLESS)])}),
    ("nemo", "NeMo: a tar whose configuration names what to call", "CVE-2025-23304",
     {"model.nemo": tar([("model_config.yaml",
      b"_target_: os.system\n"), ("model_weights.ckpt", torch_zip(_HARMLESS))])}),
    ("oci-layer", "an image layer with a program", "CWE-434",
     {"layer.tar": tar([("usr/bin/tool", b"\x7fELF" + bytes(60))])}),
]  # fmt: skip

_OTHERS: list[Row] = [
    ("7z", "a 7z archive in place of a zip", "nullifAI, ReversingLabs 2025-02",
     {"model.pt": b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(64)}),
    ("7z-pickle", "a hostile pickle behind the head of a 7z archive", "nullifAI, ReversingLabs 2025-02",
     {"model.pkl": b"7z\xbc\xaf\x27\x1c\x00\x04" + HOSTILE}),
    ("7z-inside", "a 7z archive inside a PyTorch archive", "nullifAI, ReversingLabs 2025-02",
     {"model.pt": plain_zip({"archive/data.7z": b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(64)})}),
    ("rar", "a RAR archive", "CWE-434", {"model.rar": b"Rar!\x1a\x07\x01\x00" + bytes(64)}),
    ("mar", "a TorchServe archive with a handler", "CVE-2023-43654",
     {"model.mar": plain_zip({"MAR-INF/MANIFEST.json": b'{"model": {"handler": "handler.py"}}',
      "handler.py": b"import os\n"})}),
    ("wheel", "a Python package in the release", "CWE-829",
     {"deps/x-1.0-py3-none-any.whl": plain_zip({"x/__init__.py": b"x = 1\n"})}),
]  # fmt: skip

# The magic number and the protocol version that `torch.save` wrote in front of its pickles.
_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
_STORAGE = name("torch", "FloatStorage")
_TORCH: list[Row] = [
    ("persid-key", "a storage key that leads out of the archive", "CWE-22",
     {"model.pt": torch_zip(program(b"(" + text("storage") + _STORAGE + text("../../x") + text("cpu") + b"K\x04tQ"))}),
    ("persid-shape", "a persistent id that is no storage", "CWE-502", {"model.pt": torch_zip(program(WORD + b"Q"))}),
    ("persid-callable", "a storage type that is a function", "CWE-502",
     {"model.pt": torch_zip(program(b"(" + text("storage") + name("os",
      "system") + text("0") + text("cpu") + b"K\x04tQ"))}),
    ("weights-only-setitem", "SETITEM on a tensor", "CVE-2026-24747",
     {"model.pt": torch_zip(program(call(stack_name("torch._utils", "_rebuild_tensor_v2"), b"N") + b"K\x00K\x01s"))}),
    ("weights-only-tar", "the old tar under weights_only", "CVE-2025-32434",
     {"model.pt": tar([("pickle", HOSTILE), ("storages", _HARMLESS), ("tensors", _HARMLESS)])}),
    ("legacy-fourth", "the fourth pickle of the old stack", "modelscan reads the first pickle only",
     {"model.pt": _MAGIC + b"\x80\x02}q\x00." + HOSTILE + b"\x80\x02]."}),
    ("legacy-tail", "a pickle behind the old stack", "CWE-434",
     {"model.pt": _MAGIC + b"\x80\x02}q\x00.\x80\x02}q\x00.\x80\x02]q\x00." + HOSTILE}),
    ("bare-pickle", "a bare pickle named .pt", "CVE-2025-10155", {"model.pt": HOSTILE}),
    ("module-class", "a whole module of an unknown class", "CWE-502",
     {"model.pt": torch_zip(program(stack_name("acme.net", "Net") + b")\x81}b"))}),
    ("torchscript-io", "TorchScript that writes a file", "TorchScript aten::save",
     {"model.pt": torch_zip(_HARMLESS, {"code/__torch__/net.py": (
         b"class Net(Module):\n  def forward(self, x: Tensor) -> Tensor:\n"
         b"    _0 = torch.save(x, \"/x\")\n    return x\n"),
         "constants.pkl": b"\x80\x02)."})}),
    ("torchscript-from-file", "TorchScript that maps a file", "TorchScript aten::from_file",
     {"model.pt": torch_zip(_HARMLESS, {"code/__torch__.py": (
         b"class Net(Module):\n  def forward(self, x: Tensor) -> Tensor:\n"
         b"    return torch.from_file(\"/etc/passwd\", False, 10)\n"), "constants.pkl": b"\x80\x02)."})}),
    ("torchscript-constants", "TorchScript whose constants are a hostile pickle", "CWE-502",
     {"model.pt": torch_zip(_HARMLESS, {"constants.pkl": HOSTILE, "code/__torch__.py": b"op_version_set = 1\n"})}),
    ("torchscript-debug", "TorchScript whose debug file is a hostile pickle", "CWE-502",
     {"model.pt": torch_zip(_HARMLESS, {"code/__torch__.py.debug_pkl": HOSTILE, "constants.pkl": b"\x80\x02)."})}),
    ("package", "torch.package carries Python", "CWE-94",
     {"model.pt": torch_zip(_HARMLESS, {".data/version": b"6\n", "net/__init__.py": b"import os\n"})}),
    ("aotinductor", "a compiled library inside .pt2", "CWE-434",
     {"model.pt2": plain_zip({"model/data/aotinductor/model/a.so": b"\x7fELF" + bytes(60), "model/version": b"0"})}),
    ("extra-file", "an extra pickle beside data.pkl", "CWE-502",
     {"model.pt": torch_zip(_HARMLESS, {"extra/state.pkl": HOSTILE})}),
    ("two-roots", "two roots, two data.pkl", "CWE-436",
     {"model.pt": plain_zip({"a/data.pkl": _HARMLESS, "a/version": b"3\n", "b/data.pkl": program(SYSTEM)})}),
]  # fmt: skip

CONSTRUCTS: tuple[Construct, ...] = (
    *table("zip", _ZIPS),
    *table("tar", _TARS),
    *table("archive", _OTHERS),
    *table("torch", _TORCH),
)
