"""SLSA provenance v1 and v0.2 in one form: build types, sources, materials; real bundles of public builders."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from zt_gate.domain import Severity, Status
from zt_gate.policy.requirements import Provenance, Source
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.statements.build import SourceRef, contradictions, parse_build
from zt_gate.trust.statements.statement import (
    PROVENANCE_TYPE,
    PROVENANCE_TYPE_02,
    STATEMENT_TYPE_01,
    Statement,
    parse_statement,
    statement,
)

BUILDER = "https://forge.test/builders/gpu@v1"
BUILD_TYPE = "https://forge.test/train/v1"
GITHUB = "https://actions.github.io/buildtypes/workflow/v1"
REPOSITORY = "https://forge.test/acme/ml"
MAIN = f"git+{REPOSITORY}@refs/heads/main"
COMMIT = {"uri": MAIN, "digest": {"gitCommit": "a" * 40}}
CHECKOUT_02 = {"uri": MAIN, "digest": {"sha1": "a" * 40}}
DATA = {"name": "data", "digest": {"sha256": "d" * 64}}
WANTED = Provenance(
    by=("release",),
    builders=(BUILDER,),
    build_types=(BUILD_TYPE,),
    sources=(Source(repository=f"git+{REPOSITORY}", refs=("refs/heads/main", "refs/tags/v*")),),
    materials=("sha256:" + "d" * 64,),
    max_age_days=30,
)


def v1(*dependencies, build_type=BUILD_TYPE, parameters=None):
    return {
        "buildDefinition": {
            "buildType": build_type,
            "externalParameters": parameters or {},
            "resolvedDependencies": list(dependencies or (COMMIT, DATA)),
        },
        "runDetails": {"builder": {"id": BUILDER}, "metadata": {"finishedOn": "2026-10-20T00:00:00Z"}},
    }


def v02(uri=MAIN, materials=None, **changes):
    value = {
        "builder": {"id": BUILDER},
        "buildType": BUILD_TYPE,
        "invocation": {"configSource": {"uri": uri, "digest": {"sha1": "a" * 40}}},
        "materials": [CHECKOUT_02, DATA | {"uri": "s3://bucket/data"}] if materials is None else materials,
        "metadata": {"buildFinishedOn": "2026-10-20T00:00:00Z"},
    }
    return {key: item for key, item in (value | changes).items() if item is not ...}


def outcome(evidence) -> tuple[Status, set[str]]:
    return evidence.status, {finding.rule for finding in evidence.findings if finding.severity > Severity.INFO}


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        (v1(), (Status.PASS, set())),
        (v1({"uri": f"git+{REPOSITORY}@refs/tags/v1.2", "digest": {"gitCommit": "a"}}, DATA), (Status.PASS, set())),
        (v1(build_type=BUILD_TYPE + "x"), (Status.FAIL, {"PRV-007"})),
        (v1({"uri": f"git+{REPOSITORY}@refs/heads/evil"}, DATA), (Status.FAIL, {"PRV-008", "PRV-002"})),
        (v1({"uri": f"git+{REPOSITORY}-fork@refs/heads/main"}, DATA), (Status.FAIL, {"PRV-008", "PRV-002"})),
        (v1({"uri": f"git+{REPOSITORY}"}, DATA), (Status.FAIL, {"PRV-008", "PRV-002"})),
        (v1(DATA), (Status.FAIL, {"PRV-008"})),
        # Only the first dependency is the source; a listed repository further down was merely used.
        (v1({"uri": "git+https://evil.test/x@refs/heads/main"}, COMMIT, DATA), (Status.FAIL, {"PRV-008", "PRV-002"})),
        # The accepted checkout needs no sha256; another repository beside it does.
        (v1(COMMIT, {"uri": "git+https://x.test/y@refs/heads/main", "digest": {"gitCommit": "b"}}, DATA),
         (Status.FAIL, {"PRV-002"})),
        # A sha256 beside the commit is a claim that has to be listed.
        (v1({"uri": MAIN, "digest": {"gitCommit": "a", "sha256": "e" * 64}}, DATA), (Status.FAIL, {"PRV-002"})),
        (v1({"uri": MAIN}, DATA), (Status.FAIL, {"PRV-002"})),
        (v1(COMMIT), (Status.FAIL, {"PRV-002"})),
    ],
)  # fmt: skip
def test_sources_and_build_types_of_v1(world, predicate, expected) -> None:
    assert outcome(world.judge(WANTED, world.attest(PROVENANCE_TYPE, predicate))) == expected


def test_without_sources_a_commit_is_no_listed_material(world) -> None:
    wanted = replace(WANTED, sources=())
    assert outcome(world.judge(wanted, world.attest(PROVENANCE_TYPE, v1()))) == (Status.FAIL, {"PRV-002"})


def test_a_source_without_refs_accepts_any_ref_of_that_repository(world) -> None:
    wanted = replace(WANTED, sources=(Source(repository=REPOSITORY),))
    other = {"uri": f"git+{REPOSITORY}@refs/heads/any", "digest": {"gitCommit": "a" * 40}}
    assert world.judge(wanted, world.attest(PROVENANCE_TYPE, v1(other, DATA))).status is Status.PASS


def test_github_names_its_source_in_the_workflow(world) -> None:
    wanted = replace(WANTED, build_types=(GITHUB,))

    def judge(**workflow):
        predicate = v1(COMMIT, DATA, build_type=GITHUB, parameters={"workflow": workflow})
        return outcome(world.judge(wanted, world.attest(PROVENANCE_TYPE, predicate)))

    assert judge(repository=REPOSITORY, ref="refs/heads/main") == (Status.PASS, set())
    # The checkout among the dependencies is another one than the workflow's: it is no longer exempt.
    assert judge(repository=REPOSITORY, ref="refs/tags/v1") == (Status.FAIL, {"PRV-002", "PRV-008"})
    assert judge(repository=REPOSITORY, ref="refs/heads/evil")[1] == {"PRV-008", "PRV-002"}
    assert judge(repository=REPOSITORY) == (Status.FAIL, {"PRV-004"})


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        (v02(), (Status.PASS, set())),
        (v02(builder={"id": "other"}), (Status.FAIL, {"PRV-001"})),
        (v02(builder=...), (Status.FAIL, {"PRV-004"})),
        (v02(buildType=...), (Status.FAIL, {"PRV-004"})),
        (v02(buildType="other"), (Status.FAIL, {"PRV-007"})),
        (v02(materials=[]), (Status.FAIL, {"PRV-002"})),
        (v02(materials="x"), (Status.FAIL, {"PRV-004"})),
        (v02(uri="git+https://evil.test/x@refs/heads/main"), (Status.FAIL, {"PRV-008", "PRV-002"})),
        (v02(uri=5), (Status.FAIL, {"PRV-004"})),
        (v02(invocation=...), (Status.FAIL, {"PRV-008", "PRV-002"})),
        (v02(metadata={"buildFinishedOn": "2026-09-01T00:00:00Z"}), (Status.FAIL, {"PRV-003"})),
        (v02(metadata=...), (Status.INCOMPLETE, set())),
    ],
)
def test_v02_in_the_same_terms(world, predicate, expected) -> None:
    assert outcome(world.judge(WANTED, world.attest(PROVENANCE_TYPE_02, predicate))) == expected


def test_v02_in_a_statement_of_its_own_time_counts_and_other_kinds_in_it_do_not(world) -> None:
    value = json.loads(statement(PROVENANCE_TYPE_02, v02(), world.subject)) | {"_type": STATEMENT_TYPE_01}
    assert world.judge(WANTED, sign_payload(json.dumps(value).encode(), world.release)).status is Status.PASS


def test_a_branch_name_that_holds_another_one_does_not_pass_for_it() -> None:
    named = SourceRef.of_uri(f"git+{REPOSITORY}@refs/heads/evil@refs/heads/main")
    assert named == SourceRef(REPOSITORY, "refs/heads/evil@refs/heads/main")
    assert SourceRef.of_uri("git+ssh://git@forge.test/x@refs/heads/main").repository == "ssh://git@forge.test/x"
    assert SourceRef.of_uri("git+https://forge.test/x@0123abc").ref == ""


REAL = {
    "slsa-verifier/gha_generic/v2.1.0/binary-linux-amd64-push-v14.intoto.jsonl": (
        "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_generic_slsa3.yml@refs/tags/v2.1.0",
        "https://github.com/slsa-framework/example-package@refs/tags/v14",
    ),
    "slsa-verifier/gha_go/v2.1.0/binary-linux-amd64-push-v14.intoto.jsonl": (
        "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/builder_go_slsa3.yml@refs/tags/v2.1.0",
        "https://github.com/slsa-framework/example-package@refs/tags/v14",
    ),
    "slsa-verifier/gha_delegator/v2.1.0/binary-linux-amd64-push-v14.build.slsa": (
        "https://github.com/slsa-framework/example-trw/.github/workflows/builder_high-perms_slsa3.yml@refs/tags/v2.1.0",
        "https://github.com/slsa-framework/example-package@refs/tags/v14",
    ),
    "slsa-verifier/bcr/MODULE.bazel.intoto.jsonl": (
        "https://github.com/bazel-contrib/publish-to-bcr/.github/workflows/publish.yaml@refs/tags/v0.0.1",
        "https://github.com/aspect-build/rules_lint@refs/heads/publish-to-bcr",
    ),
    "gh-cli/reusable-workflow-attestation.sigstore.json": (
        "https://github.com/actions/runner/github-hosted",
        "https://github.com/malancas/attest-demo@refs/heads/main",
    ),
}
"""Provenance that public builders wrote: who built, and from where."""


@pytest.mark.parametrize("path", REAL)
def test_real_provenance_is_read_as_its_builders_meant_it(data_folder, path) -> None:
    bundle = json.loads((data_folder / path).read_text())
    stated = parse_statement(base64.b64decode(bundle.get("dsseEnvelope", bundle)["payload"]))
    build = parse_build(stated)
    assert (build.builder, str(build.source)) == REAL[path]
    assert build.materials[0].is_checkout(build.source)


def test_no_malformed_predicate_is_read(world) -> None:
    for kind in (PROVENANCE_TYPE, PROVENANCE_TYPE_02):
        with pytest.raises(ValueError, match="missing"):
            parse_build(Statement((), kind, {}))


GITHUB_TYPE = "https://actions.github.io/buildtypes/workflow/v1"
WORKFLOW = {"workflow": {"repository": REPOSITORY, "ref": "refs/heads/main", "path": ".github/workflows/release.yml"}}
EVIL = "git+https://forge.test/evil/other@refs/heads/main"
SUBMODULE = {"uri": "git+https://forge.test/acme/submodule@refs/tags/v3", "digest": {"gitCommit": "b" * 40}}
LOOSE = replace(WANTED, build_types=(GITHUB_TYPE,), materials=(), sources=())


def github(*dependencies):
    return v1(*dependencies, build_type=GITHUB_TYPE, parameters=WORKFLOW)


@pytest.mark.parametrize(
    ("predicate", "said"),
    [
        (github({"uri": EVIL, "digest": {"gitCommit": "a" * 40}}), "forge.test/evil/other"),
        (github({"uri": EVIL}), "forge.test/evil/other"),
        (github({"uri": EVIL.removeprefix("git+"), "digest": {"gitCommit": "a" * 40}}), "forge.test/evil/other"),
        (github(SUBMODULE), "submodule"),
        (github(COMMIT | {"uri": f"git+{REPOSITORY}@refs/heads/evil"}), "refs/heads/evil"),
        (github(COMMIT, COMMIT | {"digest": {"gitCommit": "c" * 40}}), "names the commits"),
        (github(COMMIT | {"digest": {"sha1": "c" * 40}}, SUBMODULE, COMMIT), "names the commits"),
        (v02(materials=[CHECKOUT_02 | {"uri": EVIL}]), "forge.test/evil/other"),
        (v02(materials=[CHECKOUT_02 | {"digest": {"sha1": "c" * 40}}]), "names the commits"),
    ],
)
def test_a_provenance_that_contradicts_itself_about_its_source(world, predicate, said) -> None:
    wanted = replace(LOOSE, build_types=())
    kind = PROVENANCE_TYPE if "buildDefinition" in predicate else PROVENANCE_TYPE_02
    evidence = world.judge(wanted, world.attest(kind, predicate))
    assert outcome(evidence) == (Status.FAIL, {"PRV-008"})
    assert any("contradicts itself" in item.message and said in item.message for item in evidence.findings)


@pytest.mark.parametrize(
    "predicate",
    [
        github(COMMIT),
        github(COMMIT, SUBMODULE, DATA),
        github(SUBMODULE, DATA, COMMIT),
        github(DATA),
        github({"uri": f"git+{REPOSITORY}", "digest": {"gitCommit": "a" * 40}}),
        github({"uri": f"git+{REPOSITORY.upper().replace('HTTPS', 'https')}.git@refs/heads/main"}),
        github({"uri": f"git+{REPOSITORY}@v1.2", "digest": {"gitCommit": "a" * 40}}),
        github(COMMIT, COMMIT | {"uri": f"git+{REPOSITORY}@refs/tags/v1", "digest": {"gitCommit": "c" * 40}}),
        v02(),
        v02(materials=[CHECKOUT_02, CHECKOUT_02 | {"uri": EVIL}]),
        v02(materials=[]),
    ],
)
def test_what_honest_builders_write_is_no_contradiction(world, predicate) -> None:
    kind = PROVENANCE_TYPE if "buildDefinition" in predicate else PROVENANCE_TYPE_02
    assert world.judge(replace(LOOSE, build_types=()), world.attest(kind, predicate)).status is Status.PASS


CERTIFICATE = {
    "source_repository_uri": REPOSITORY,
    "source_repository_ref": "refs/heads/main",
    "source_repository_digest": "a" * 40,
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"source_repository_uri": REPOSITORY + "-fork"}, "-fork"),
        ({"source_repository_ref": "refs/pull/1/merge"}, "refs/pull/1/merge"),
        ({"source_repository_digest": "c" * 40}, "c" * 40),
    ],
)
def test_the_certificate_of_the_workflow_has_to_say_the_same(changes, said) -> None:
    predicate = github(COMMIT, SUBMODULE)
    build = parse_build(Statement((), PROVENANCE_TYPE, predicate))
    found = list(contradictions(build, CERTIFICATE | changes))
    assert bool(found) == bool(said)
    assert all(said in why for why in found)
