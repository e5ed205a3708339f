"""Chat templates in their files and configurations: Jinja that may shape text and nothing else."""

from __future__ import annotations

from zt_gate.domain import Digest, printable
from zt_gate.scan.artifacts.format import MAX_TEMPLATES, Format, Input
from zt_gate.scan.artifacts.texts.jinja_tree import TemplateError, TemplateProblem, problems_of

_MAX_PROBLEMS = 200


def problems(template: str, limit: int = MAX_TEMPLATES) -> list[TemplateProblem]:
    """Return everything in a template that goes beyond shaping text.

    Args:
        template: the source.
        limit: characters that it may have.

    Raises:
        TemplateError: it is too large, or not Jinja as this version reads it.
    """
    if len(template) > limit:
        raise TemplateError(f"a template of {len(template)} characters, where {max(0, limit)} may be read")
    return problems_of(template)


def examine_template(piece: Input, template: str, what: str) -> None:
    """Check a template and note what it does; one that cannot be read is a gap.

    Args:
        piece: where it was found.
        template: the source.
        what: its name for people, such as `chat_template`.
    """
    piece.exam.facts.add(("template", str(Digest.of(template.encode("utf-8", "surrogatepass")))))
    piece.budget.templates -= len(template)
    try:
        found = problems(template, min(MAX_TEMPLATES, len(template) + piece.budget.templates))
    except TemplateError as error:
        where = f"{printable(piece.source.member, 120)}: " if piece.source.member else ""
        piece.exam.gap(f"{where}{printable(what, 60)} cannot be read: {printable(str(error), 160)}",
                       "use the template of the base model")  # fmt: skip
        return
    if len(found) > _MAX_PROBLEMS:
        piece.exam.gap(f"{printable(what, 60)} has more than {_MAX_PROBLEMS} problems; the rest is not listed",
                       "use the template of the base model")  # fmt: skip
    for problem in found[:_MAX_PROBLEMS]:
        rule = "ART-540" if problem.is_active else "ART-541"
        piece.exam.finding(
            rule, f"{printable(what, 60)} line {problem.line}: {printable(problem.message, 160)}",
            member=piece.source.member, symbol=printable(problem.symbol, 80),
        )  # fmt: skip


def examine_templates(piece: Input, value: object, what: str) -> None:
    """Check what a configuration gives as `chat_template`: one text, or a list or map of named ones."""
    if isinstance(value, str):
        examine_template(piece, value, what)
    elif isinstance(value, list):
        for item in value:
            examine_templates(piece, item.get("template") if isinstance(item, dict) else item, what)
    elif isinstance(value, dict):
        for name, item in value.items():
            examine_templates(piece, item, f"{what}.{name}")
    elif value is not None:
        piece.exam.gap(
            f"{printable(what, 60)} is neither text nor a list of texts", "use the template of the base model"
        )


def _examine(piece: Input) -> None:
    if piece.source.size > 4 * MAX_TEMPLATES:
        raise TemplateError(f"a template of {piece.source.size} bytes")
    examine_template(piece, piece.source.read_at(0, piece.source.size).decode("utf-8"), piece.head.name)
    piece.exam.cover_all()


JINJA = Format("jinja", lambda head: head.suffix in (".jinja", ".jinja2", ".j2") and b"\0" not in head.start, _examine)
