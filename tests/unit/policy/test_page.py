"""The policy that docs/policy.md shows is a policy, and it shows every field."""

import dataclasses
import re
from hashlib import sha256
from pathlib import Path

import yaml

from zt_gate.policy import requirements, roles, trust_roots
from zt_gate.policy.load import load_policy
from zt_gate.policy.model import Stage
from zt_gate.policy.waivers import Waiver
from zt_gate.trust.signatures.keys import generate

PAGE = Path(__file__).parents[3] / "docs" / "policy.md"


def shown():
    return re.search(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1)


def waivers():
    page = (PAGE.parent / "people.md").read_text()
    return re.search(r"```yaml\n(apiVersion: zt-gate/v1\nkind: Waivers.*?)```", page, re.DOTALL).group(1)


def test_the_policy_on_the_page_loads(tmp_path):
    (tmp_path / "keys").mkdir()
    for name in ("release.pub", "ann.pub", "authority.pem"):
        (tmp_path / "keys" / name).write_text(generate().public.pem)
    (tmp_path / "keys" / "login.jwks").write_text('{"keys": [{"kty": "EC"}]}')
    (tmp_path / "trusted_root.json").write_text("{}")
    text = (
        shown()
        .replace('sha256: "…"', f'sha256: "{sha256(b"{}").hexdigest()}"')
        .replace("sha256:…", f"sha256:{'0' * 64}")
    )
    (tmp_path / "waivers.yaml").write_text(waivers().replace("sha256:…", f"sha256:{'0' * 64}"))
    (tmp_path / "policy.yaml").write_text(text)
    policy = load_policy(str(tmp_path / "policy.yaml")).policy
    assert sorted(policy.stages) == ["dev", "production", "staging"]
    assert set(policy.stages["production"].statements) == set(yaml.safe_load(shown())["stages"]["production"]) & {
        "signature", "provenance", "tests", "approvals", "promotion", "bom", "scanners", "continuity"
    }  # fmt: skip


def test_the_pages_name_every_field_and_claim():
    page = PAGE.read_text()
    types = [
        Stage,
        *(getattr(trust_roots, name) for name in ("Key", "Certificate", "Identity", "TrustedRoot", "Trust")),
    ]
    types += [
        trust_roots.Revocations,
        trust_roots.TokenIssuer,
        requirements.ModelSigning,
        requirements.Source,
        *requirements.AnyRequirement.__args__,
    ]
    fields = {field.name for kind in types for field in dataclasses.fields(kind)}
    assert [
        name for name in sorted(fields - {"pem", "json_text", "jwks_json"}) if not re.search(rf"\b{name}\b", page)
    ] == []
    people_page = (PAGE.parent / "people.md").read_text()
    types = [roles.Role, roles.Separation, roles.BreakGlass, Waiver]
    words = {field.name for kind in types for field in dataclasses.fields(kind)}
    words |= {*roles.ACT_OF.values(), *requirements.Duty.__args__, *requirements.Act.__args__, "never_waive", "roles"}
    assert [word for word in sorted(words) if not re.search(rf"\b{word}\b", people_page)] == []
    signers = (PAGE.parent / "signers.md").read_text()
    assert [name for name in trust_roots.CLAIMS if name not in signers] == []
