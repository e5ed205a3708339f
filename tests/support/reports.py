"""Reports of releases of every kind, made by the judge itself from evidence that never existed."""

import math
from dataclasses import replace
from datetime import UTC, datetime

from tests.support.policies import KEY, loaded, policy
from zt_gate.domain import Bars, Claim, Curve, Digest, Entry, Evidence, Finding, Gap, Manifest, Mode, Pixels, Severity
from zt_gate.domain import Subject as DomainSubject
from zt_gate.errors import PolicyError
from zt_gate.gate import Outcome
from zt_gate.policy.judge import judge
from zt_gate.policy.waivers import Waiver
from zt_gate.report.model import build, build_error

NOW = datetime(2026, 6, 1, 12, 30, tzinfo=UTC)
CHECKS = ("artifacts", "code", "dependencies", "secrets")
SECONDS = {"freeze": 0.42, "scan": 1.31, "verify": 0.08, "judge": 0.002}
_SIZES = {
    "MLmodel": 812, "config.json": 1450, "model.safetensors": 1_340_000_512, "model.pkl": 48_213, "train.py": 5_120,
    "requirements.txt": 214, "README.md": 3_001, "tokenizer.json": 2_113_022,
}  # fmt: skip
_FORMATS = {"MLmodel": "yaml", "model.safetensors": "safetensors", "model.pkl": "pickle", "train.py": "python"}
PIPELINE = (
    Finding("ART-101", Severity.CRITICAL, "the pickle imports os.system, which is a known way to run code",
            path="model.pkl", offset=2, symbol="os.system"),
    Finding("ART-102", Severity.HIGH, "the pickle imports acme.layers.Block, which is not on the allowlist",
            path="model.pkl", offset=911, symbol="acme.layers.Block"),
    Finding("COD-107", Severity.HIGH, "os.system starts a process as soon as the module is imported",
            path="train.py", line=4, symbol="os.system"),
    Finding("COD-104", Severity.MEDIUM, "pickle.load executes whatever the file asks for", path="train.py", line=31,
            symbol="pickle.load"),
)  # fmt: skip


def subject(sizes=None, name="models/fraud-detector"):
    """Return a frozen release of files with these sizes."""
    entries = [Entry(path, size, Mode.FILE, Digest.of(path.encode()).hex) for path, size in (sizes or _SIZES).items()]
    return DomainSubject(name, Manifest.of(entries))


def evidence(about, findings=(), gaps=(), signed=True):
    """Return what the checks say: everything is claimed, and findings stand with the check that makes them."""
    digest = about.digest
    code = [finding for finding in findings if finding.rule.startswith(("COD", "bandit"))]
    other = [finding for finding in findings if finding not in code]
    claims = [Claim(entry.path, entry.size, _FORMATS.get(entry.path, "text")) for entry in about.manifest.content]
    made = [
        Evidence.of("intake", "1", digest),
        Evidence.of("artifacts", "5", digest, findings=other, gaps=gaps, claims=claims, metrics={"files": "8"}),
        Evidence.of("code", "4", digest, findings=code, metrics={"bandit": "1.9.4", "files": "1"}),
        Evidence.of("dependencies", "2", digest, metrics={"pinned": "12"}),
        Evidence.of("secrets", "3", digest),
        Evidence.of("deploy", "1", digest, applicable=False),
        *measured(digest),
    ]
    found = Evidence.of("signature", "1", digest, metrics={"signer": "release"})
    return [*made, found if signed else Evidence.missing("signature", digest, "no signature found", _SIGN)]


_SIGN = "sign the release: zt-gate sign TARGET --key KEY"


def measured(digest):
    """Return evidence with one picture of each kind."""
    points = tuple((eps / 255, *_band(0.97 * math.exp(-eps / 9))) for eps in (0, 1, 2, 4, 6, 8, 12, 16))
    curve = Curve("Robust accuracy", "strength of the attack (Linf)", points, 0.3)
    bars = Bars(
        "Anomaly index by target class", tuple((str(n), 5.1 if n == 7 else 0.4 + n % 4 * 0.3) for n in range(10)), 2.0
    )
    inverted = Evidence.of("backdoor", "1", digest, metrics={"classes": "10"}, pictures=[bars, trigger()])
    return [Evidence.of("robustness", "1", digest, metrics={"images": "1000"}, pictures=[curve]), inverted]


def _band(value):
    return value, max(0, value - 0.04), min(1, value + 0.04)


def trigger():
    """Return a small checkered patch on noise, such as an inversion recovers."""
    rows = []
    for y in range(28):
        row = [(x * 7 + y * 13) % 23 for x in range(28)]
        if y >= 22:
            row[22:28] = [235 if (x + y) % 2 else 60 for x in range(6)]
        rows.append("".join(f"{value:02x}{value // 2:02x}{value // 3:02x}" for value in row))
    return Pixels("Recovered trigger for class 7", 3, tuple(rows))


def report(findings=(), gaps=(), *, report_only=False, **more):
    """Return the report on a release."""
    return build(outcome(findings, gaps, **more), report_only=report_only)


def outcome(findings=(), gaps=(), *, about=None, signed=True, waivers=(), extra=(), descriptions=None):
    """Return what the gate answers about a release."""
    about = about or subject()
    stage = {"block_at": "high", "checks": dict.fromkeys(CHECKS, "required"), "signature": {"by": ["release"]}}
    rules = policy(
        metadata={"name": "acme-models"},
        stages={"production": stage},
        trust={"keys": [{"id": "release", "pem": KEY}]},
    )
    rules = replace(rules, waivers=tuple(Waiver(**waiver, subject=str(about.digest)) for waiver in waivers))
    said = [*evidence(about, findings, gaps, signed=signed), *(replace(item, subject=about.digest) for item in extra)]
    verdict = judge(about, said, loaded(rules), "production", NOW)
    ordered = tuple(sorted(said, key=lambda item: item.check))
    answer = Outcome(about, verdict, ordered, loaded(rules), NOW, (), SECONDS)
    return replace(answer, descriptions=descriptions or {})


def allowed():
    """Return the report on a release that meets every demand."""
    return report()


def blocked():
    """Return the report on a release that was attacked and not signed."""
    return report(PIPELINE, [Gap("its index is cut short", "tokenizer.json", "fetch the file again")], signed=False)


def waived():
    """Return the report on a release with a finding that somebody lets through."""
    waiver = {
        "id": "W-2026-014", "rule": "ART-102", "owner": "Ann Alvarez", "approved_by": "Bo Berg", "ticket": "SEC-881",
        "reason": "our own layer, read line by line in SEC-881", "created": "2026-05-01T00:00:00Z",
        "expires": "2026-06-10T00:00:00Z",
    }  # fmt: skip
    return report([PIPELINE[1], PIPELINE[3]], waivers=[waiver])


def error():
    """Return the report of a run that could not decide."""
    said = PolicyError("unknown key `stagse`", "did you mean `stages`?", file="zt-gate.yaml", line=7, column=1)
    return build_error(said, NOW)


def crowded(count=3000):
    """Return the report on a release with very many findings."""
    rules = ("ART-101", "ART-102", "COD-104", "COD-107", "COD-118", "SEC-101", "bandit.B301")
    severities = list(Severity)
    found = [
        Finding(
            rules[n % len(rules)], severities[n * 7 % 5], f"thing {n} calls what is not on the allowlist",
            path=f"shards/part-{n % 400:05}.pkl", offset=n * 64, symbol=f"thing{n}",
        )
        for n in range(count)
    ]  # fmt: skip
    return report(found, signed=False)
