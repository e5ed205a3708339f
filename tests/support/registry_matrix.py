"""Every road of a cell, in an order that matters: what is protected first, what is destroyed last."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.support.registry_cell import EVIL, GOOD, Running, Tally
from tests.support.registry_people import permit
from tests.support.registry_roads import (
    PLACEHOLDERS,
    PROMOTIONS,
    PROMPT,
    PROTECTED_TAG,
    TEXT,
    Version,
    copy,
    create,
    delete_model,
    delete_version,
    exemptions,
    post_raw,
    reads_of_copy,
    rename,
    set_tag,
    spellings,
    unmark,
)  # fmt: skip
from tests.support.registry_site import Registry
from tests.support.registry_sql import CLOSED, EVIL_SOURCE, RESTORE, SAVE, TAMPERS

RESOLVES = ("@champion", "@live", "Production", "prod.x/1", "prod.x/2")


def unaudited_promotions(cell: Running, tally: Tally) -> None:
    """Nothing promotes a version without a verdict."""
    version = cell.version("bad", EVIL)
    cell.admin.model("prod.bad")
    for name, (path, body) in spellings(version).items():
        for api in ("api", "ajax-api"):
            answer = post_raw(cell.admin, path, body, api)
            tally.refused(f"alias, {name}, {api}", answer, 400, 403, 404)
    for name, promote in PROMOTIONS.items():
        tally.refused(name, promote(cell.admin, version))
    done, told = cell.client.ask("copy", "models:/bad/1", "prod.copied")
    tally.expect("copy_model_version", not done and "zt-gate" in told, told)
    for name, answer in exemptions(cell.admin):
        # A prompt that is older than its mark has no alias to resolve.
        tally.refused(f"false prompt, {name}", answer, *((403, 400, 404) if name.endswith("resolve") else ()))
    model = cell.admin.must("GET", "registered-models/get", {"name": "bad"})["registered_model"]
    tally.expect("no alias was set", not model.get("aliases"), model)
    for name in ("prod.bad", "prod.copied"):
        found = cell.admin.must("GET", "model-versions/search", {"filter": f"name='{name}'"})
        tally.expect(f"{name} has no versions", not found.get("model_versions"), found)


def prompts(cell: Running, tally: Tally) -> None:
    """Real prompts need no verdict, and stay prompts."""
    for name in ("greeting", "prod.greeting"):
        done, told = cell.client.ask("prompt", name, "production")
        tally.expect(f"register_prompt {name}", done and told == "Say {{x}}", told)
    admin = cell.admin
    admin.must("POST", "registered-models/create", {"name": "ui", "tags": [PROMPT]})
    for number, source in enumerate(PLACEHOLDERS, 1):
        made = {"name": "ui", "source": source, "tags": [PROMPT, TEXT]}
        tally.allowed(f"a prompt of the UI, {source}", admin.call("POST", "model-versions/create", made))
        tally.allowed(f"its alias, {source}", admin.set_alias("ui", "champion", str(number)))
    body = {"name": "prod.greeting", "key": PROMPT["key"]}
    tally.refused("a prompt's mark taken away", admin.call("DELETE", "registered-models/delete-tag", body))
    tally.refused("a model among prompts", create(admin, "ui", cell.logged(cell.model("ui", EVIL))))


def marks(cell: Running, tally: Tally) -> Version:
    """Every honest road promotes an admitted version. Makes what `registry_sql` asks for."""
    version = cell.version("x", GOOD)
    tally.refused("alias before the verdict", cell.admin.set_alias("x", "champion", "1"))
    cell.admit(version)
    tally.allowed("alias", cell.admin.set_alias("x", "champion", "1"))
    tally.allowed("alias, ajax", cell.admin.set_alias("x", "prod-ajax", "1", api="ajax-api"))
    tally.allowed("that alias taken away", unmark(cell.admin, "x", "prod-ajax"))
    tally.allowed("stage", cell.admin.transition("x", "1", "Production"))
    tally.allowed("tag", set_tag(cell.admin, "x", "1"))
    done, told = cell.client.ask("copy", "models:/x/1", "prod.x")
    tally.expect("copy_model_version", done and told == "1", told)
    cell.admin.model("prod.y")
    tally.allowed("copy to a protected model", copy(cell.admin, version, "prod.y"))
    tally.allowed("create in a protected model", create(cell.admin, "prod.y", version))
    cell.admin.model("tagged")
    tally.allowed("tag at creation", create(cell.admin, "tagged", version, tags=PROTECTED_TAG))
    # The second version, which nobody admitted, and another model with the same bytes.
    other = cell.version("x", EVIL)
    cell.admin.version("other", other.source, **other.more)
    return other


def marked_stay(cell: Running, tally: Tally) -> None:
    """What carries a mark keeps its name and is not deleted."""
    for name in ("x", "prod.x"):
        tally.refused(f"rename {name}", rename(cell.admin, name, "elsewhere"))
        tally.refused(f"delete {name}", delete_model(cell.admin, name))
        tally.refused(f"delete {name}/1", delete_version(cell.admin, name, "1"))
        tally.allowed(f"rename {name} to itself", rename(cell.admin, name, name))
    tally.gave("after the rename to itself", cell.text_by("@champion"))
    tally.refused("a version without a verdict takes the alias", cell.admin.set_alias("x", "champion", "2"))
    moved = cell.promoted("moved")
    tally.refused("rename while it is marked", rename(cell.admin, "moved", "prod.moved"))
    tally.allowed("unmark", unmark(cell.admin, "moved"))
    tally.allowed("rename into a protected name", rename(cell.admin, "moved", "prod.moved"))
    tally.gave("renamed", cell.text_of("prod.moved", moved.number))
    tally.refused("rename out of it", rename(cell.admin, "prod.moved", "moved"))


def reads(cell: Running, tally: Tally, when: str) -> None:
    """Every reading road gives the admitted bytes."""
    for what in ("@champion", "Production", "prod.x/1", "x/1"):
        tally.gave(f"{what}, {when}", cell.text_by(what))
    for uri in ("models:/x@champion", "models:/x/1", "models:/prod.x/1"):
        # From a folder MLflow's client reads in place, and writes there, which a sealed copy refuses.
        in_place = cell.cell.direct and cell.store is None
        for act in ("download into", "load into") if in_place else ("download", "download into", "load", "load into"):
            done, told = cell.client.ask(act, uri)
            tally.gave(f"{act} {uri}, {when}", told if done else "")
            if not done:
                tally.wrong[-1] += told


def writers(cell: Running, tally: Tally) -> None:
    """Nobody gets a writer inside the place of the sealed copies."""
    uri = cell.admin.location("x", "1").json()["artifact_uri"]
    digest = uri.rpartition("/")[2]
    root = cell.site.sealed if cell.store is None else cell.root
    for place in (f"{root}", f"{root}/{digest}", f"{root}/sha256-0", f"mlflow-artifacts:/ztgate-sealed/{digest}"):
        body = {"name": f"at {place}", "artifact_location": place}
        tally.refused(f"an experiment at {place}", cell.admin.call("POST", "experiments/create", body), 400, 403)
        made = cell.admin.call("POST", "model-versions/create", {"name": "free", "source": place})
        tally.refused(f"a version at {place}", made, 400, 403, 404)
    for verb in ("PUT", "DELETE"):
        answer = cell.admin.upload(f"ztgate-sealed/{digest}/weights.txt", EVIL.encode(), verb)
        tally.refused(f"{verb} inside the copy", answer, 400, 403, 404, 405, 503)


def overwritten(cell: Running, tally: Tally, sources: Iterable[str]) -> None:
    """What is done to the artifacts after the approval changes nothing."""
    for source in sources:
        cell.write(cell.model("overwritten", EVIL), source)
    reads(cell, tally, "artifacts overwritten")


def sealed_route(cell: Running, tally: Tally) -> None:
    """Who may read the model reads its copy, and nobody else."""
    uri = cell.admin.location("x", "1").json()["artifact_uri"]
    permit(cell.admin, "x", "reader", "READ")
    for who in (cell.admin, cell.reader):
        for road, answer in reads_of_copy(who, uri, "x").items():
            # A server past which artifacts are read lists and serves none: that is what --no-serve-artifacts says.
            right = answer.status_code == 200 or (cell.cell.direct and answer.status_code in (404, 503))
            tally.expect(f"{road}, allowed", right, f"{answer.status_code} {answer.text}")
    for road, answer in reads_of_copy(cell.stranger, uri, "x").items():
        tally.refused(f"{road}, denied", answer, 403)
    for road, answer in reads_of_copy(Registry(cell.server.url), uri, "x").items():
        tally.refused(f"{road}, nobody", answer, 401)


def damages(cell: Running, tally: Tally) -> None:
    """A sealed copy that somebody changed is not used, until that is undone."""
    uri = cell.admin.location("x", "1").json()["artifact_uri"]
    name = uri.rpartition("/")[2]
    for how in cell.damages:
        with cell.damaged(name, how):
            tally.refused(f"{how}: alias", cell.admin.resolve("x", "champion"))
            tally.refused(f"{how}: location", cell.admin.location("x", "1"))
            tally.gave(f"{how}: stage", cell.text_by("Production"), closed=True)
            done, told = cell.client.ask("download into", "models:/x@champion")
            tally.gave(f"{how}: download", told if done else "", closed=True)
            if not cell.cell.direct:
                tally.gave(f"{how}: who asked where before", cell.text_at(uri), may_fail=True)
        tally.gave(f"{how}: undone", cell.text_by("@champion"))


def between(cell: Running, tally: Tally) -> None:
    """Between resolving and downloading, no other model takes the name."""
    cell.promoted("between")
    number = cell.admin.resolve("between", "champion").json()["model_version"]["version"]
    cell.version("impostor", EVIL)
    tally.refused("rename of a marked model", rename(cell.admin, "between", "gone"))
    tally.allowed("unmark", unmark(cell.admin, "between"))
    tally.allowed("rename of what was marked", rename(cell.admin, "between", "gone"))
    rename(cell.admin, "impostor", "between")
    tally.gave("the number that was resolved", cell.text_of("between", number), closed=True)
    done, told = cell.client.ask("download into", f"models:/between/{number}")
    tally.gave("download of that number", told if done else "", closed=True)
    cell.promoted("remade")
    unmark(cell.admin, "remade")
    tally.allowed("delete of what was marked", delete_model(cell.admin, "remade"))
    cell.version("remade", EVIL)
    tally.gave("a name that was deleted and made again", cell.text_of("remade", "1"), closed=True)


def tampers(cell: Running, tally: Tally, evil: Version) -> None:
    """SQL past the gate meets a trigger; where it meets none, it resolves to nothing."""
    told = cell.sql(SAVE)
    assert told == "", told
    texts = {road: text.replace(EVIL_SOURCE, evil.source) for road, text in TAMPERS.items()}
    if cell.cell.mlflow.startswith("2."):
        texts.pop("a model moved")  # it has no workspaces
    for road, text in texts.items():
        told = cell.sql(text)
        tally.expect(f"SQL, {road}", "zt-gate: " in told, told or "it obeyed")
    cell.site.write_policy()
    # Setting a free alias makes a worker read the policy again, whatever is left of the tables.
    _wait(
        lambda: (cell.admin.set_alias("x", "gold", "2"), cell.sql(texts["an alias set"]))[1] == "",
        "the triggers to be dropped",
    )
    for road, closed in CLOSED.items():
        told = cell.sql(RESTORE)
        assert told == "", told
        told = cell.sql(texts[road])
        assert told == "", (road, told)
        for what in RESOLVES:
            shut = what in closed
            tally.gave(f"SQL without a trigger, {road}: {what}", cell.text_by(what), closed=shut, may_fail=True)
    told = cell.sql(RESTORE)
    assert told == "", told
    tally.gave("SQL undone", cell.text_by("@champion"))


def _wait(done: Callable[[], Any], what: str) -> None:
    until = time.monotonic() + 60
    while not done():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.5)


def walk(cell: Running, tally: Tally) -> None:
    """Try every road of a cell."""
    done, told = cell.client.ask("version")
    assert (done, told) == (True, cell.cell.mlflow), told
    unaudited_promotions(cell, tally)
    prompts(cell, tally)
    evil = marks(cell, tally)
    marked_stay(cell, tally)
    reads(cell, tally, "promoted")
    writers(cell, tally)
    source = cell.admin.must("GET", "model-versions/get", {"name": "x", "version": "1"})["model_version"]["source"]
    overwritten(cell, tally, [source])
    sealed_route(cell, tally)
    damages(cell, tally)
    between(cell, tally)
    tampers(cell, tally, evil)


HEADS = ("MLflow", "database", "sealed copies and artifacts in", "artifacts", "roads", "as they should be",
         "unaudited bytes", "seconds")  # fmt: skip


def table(rows: Iterable[dict[str, Any]]) -> str:
    """Return what came of each cell as a Markdown table."""
    lines = ["| " + " | ".join(HEADS) + " |", "|---" * len(HEADS) + "|"]
    for row in rows:
        shown = [row["mlflow"], row["database"], row["place"], "direct" if row["direct"] else "proxied"]
        counts = [row["tried"], row["tried"] - len(row["wrong"]), len(row["unaudited"]), round(row["seconds"])]
        lines.append("| " + " | ".join(map(str, shown + counts)) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table(map(json.loads, Path(sys.argv[1]).read_text().splitlines())))
