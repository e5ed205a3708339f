"""What the gate writes on a model version, so that MLflow's own pages show the verdict: three tags and a note.

The tags begin with `zt-gate.`, which no client can set or delete. The note stands in the description, between two
markers, after what people wrote. Nothing that decides reads either of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from zt_gate.domain import printable
from zt_gate.errors import EvidenceError
from zt_gate.registry.gatekeeper import Gatekeeper
from zt_gate.registry.ledger import Kept
from zt_gate.registry.verdicts import read_summary, utc_now

VERDICT_TAG, DIGEST_TAG, PAGE_TAG = "zt-gate.verdict", "zt-gate.digest", "zt-gate.page"
NOTE_TAGS = frozenset({VERDICT_TAG, DIGEST_TAG, PAGE_TAG})
START, END = "<!-- zt-gate -->", "<!-- /zt-gate -->"
MAX_DESCRIPTION = 5000
"""Letters that MLflow's column takes."""
_MARKER = re.compile(r"<!--\s{0,9}(/?)\s{0,9}zt-gate\s{0,9}-->", re.IGNORECASE)
_MOST_PASSES = 8


@dataclass(frozen=True, slots=True)
class StageVerdict:
    """What holds for one stage and digest, for people."""

    digest: str
    stage: str
    expires: str
    """A day; empty where it cannot be read."""
    why: str
    """Why it may not be used; empty where it may."""
    sealed: bool
    """Whether the version's files are known to have this digest: it was admitted."""

    @property
    def line(self) -> str:
        """One line, such as `allow production until 2026-12-30`."""
        if self.why:
            return f"block {self.stage}: {self.why}"
        until = f"allow {self.stage} until {self.expires}"
        return until if self.sealed else f"{until}, if its files are sha256:{self.digest[:12]}: compared at promotion"


def stage_verdicts(gate: Gatekeeper, workspace: str, name: str, number: int, submitted: str = "") -> list[StageVerdict]:
    """Return what holds for a version now, by digest and stage.

    Args:
        gate: of the server's store.
        workspace: whose version it is.
        name: of the model.
        number: of the version.
        submitted: the digest of a summary that was handed in for it just now, which nobody compared with its files.
    """
    sealed = set(gate.ledger.seals(workspace, name, number).values())
    rules, now = gate.rules(), utc_now()
    found = []
    for digest in sorted(sealed | ({submitted} - {""})):
        newest: dict[str, Kept] = {}
        for kept in gate.ledger.summaries(workspace, digest):
            newest.setdefault(kept.stage, kept)
        for stage, kept in sorted(newest.items()):
            why = printable(gate.reason(workspace, digest, stage, rules, now), 160)
            try:
                expires = f"{read_summary(kept.data.encode(), rules, now).expires:%Y-%m-%d}"
            except EvidenceError:
                expires = ""
            found.append(StageVerdict(digest, stage, expires, why, digest in sealed))
    return found


def tags(verdicts: Iterable[StageVerdict], page: str) -> dict[str, str]:
    """Return the gate's tags of a version.

    Args:
        verdicts: at least one.
        page: address of the gate's page about the version; empty where the server has none.
    """
    listed = list(verdicts)
    digests = sorted({verdict.digest for verdict in listed if verdict.sealed} or {item.digest for item in listed})
    made = {VERDICT_TAG: ";\n".join(verdict.line for verdict in listed)}
    made[DIGEST_TAG] = " ".join(f"sha256:{digest}" for digest in digests)
    return made | ({PAGE_TAG: page} if page else {})


def note(verdicts: Iterable[StageVerdict], page: str) -> str:
    """Return the note of a version in Markdown, markers included; arguments as of `tags`."""
    lines, digests = [], []
    for verdict in verdicts:
        word, _, rest = verdict.line.partition(" ")
        # A reason may hold names of the model's files. As code it is no link and no picture, and never a marker.
        plain = rest.replace("`", "'").replace("<!--", "")
        lines.append(f"- **{word}** `{plain}`")
        digests.append(f"`sha256:{verdict.digest}`")
    link = f" [What holds now]({page})" if page else ""
    about = ", ".join(dict.fromkeys(digests))
    return "\n".join([START, "**zt-gate**", "", *lines, "", f"{about}.{link}", END])


def page_of(pages: str | None, name: str, number: int) -> str:
    """Return the address of the gate's page about a version, below the address of all pages."""
    return f"{pages}/{quote(name, safe='')}/{number}" if pages else ""


def described(text: str | None, noted: str) -> str:
    """Return a description with a note at its end, if there is room; people's own text comes first.

    Raises:
        EvidenceError: the text imitates the gate's note in a way that cannot be taken out.
    """
    own = without_note(text)
    if not noted:
        return own
    whole = f"{own}\n\n{noted}" if own else noted
    return whole if len(whole) <= MAX_DESCRIPTION else own


def noted_in(description: str | None) -> str:
    """Return the note in a stored description, markers included; empty where there is none."""
    text = description or ""
    start, end = text.rfind(START), text.rfind(END)
    return text[start : end + len(END)] if 0 <= start < end else ""


def without_note(text: str | None) -> str:
    """Return a description without notes of the gate, which a client may have forged or sent back.

    Raises:
        EvidenceError: taking one out makes another one, many times over.
    """
    left = text or ""
    for _ in range(_MOST_PASSES):
        if _MARKER.search(left) is None:
            return left
        left = _without(left)
    raise EvidenceError("a description must not imitate the gate's note")


def _without(text: str) -> str:
    """Take out each text between two markers, and markers that stand alone."""
    markers = list(_MARKER.finditer(text))
    kept, position = [], 0
    for index, marker in enumerate(markers):
        if marker.start() < position:
            continue
        kept.append(text[position : marker.start()])
        after = markers[index + 1] if index + 1 < len(markers) else None
        closes = not marker.group(1) and after is not None and after.group(1)
        position = after.end() if closes and after is not None else marker.end()
    return "".join([*kept, text[position:]]).rstrip()
