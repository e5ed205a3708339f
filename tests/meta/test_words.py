"""Sentences and words that were retired stay out of whatever a person reads: messages, comments, rules and pages."""

import io
import re
import tokenize
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ["zt_gate", "rules", "docs", "actions", "gitlab", "jenkins", "templates", "tools", ".github"]
PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "Makefile", "action.yml", ".pre-commit-hooks.yaml"]
PROSE = {".py", ".md", ".yaml", ".yml", ".json", ".groovy", ".html", ".txt", ".svg", ""}
RETIRED = {
    r"mend(s|ed|ing)?": "fix",
    r"remed(y|ies)": "fix",
    r"would turn (it|a block)": "how to fix it",
    r"stands? in the way": "blocked for N reasons",
    r"(is|are) on no list": "is not on the allowlist",
    r"list of safe names": "allowlist",
    r"whom (the|this|a) policy": "that the policy trusts",
    r"(was|were|is|are|been|be) brought(?! (in|into|up|back|together))": "given, supplied, found",
    r"hardly meant": "probably a mistake",
    r"nothing of its kind": "not applicable",
    r"cr(ies|y) wolf": "has a false positive",
    r"(is|are) believed because": "is trusted by itself",
    r"may be acted on so long": "days until the verdict expires",
    r"look again and again": "keep re-checking",
    r"the \w+s was not examined": "were not examined",
}
"""What is out, as an expression over one sentence, and what to say in its place."""
PATTERN = re.compile(rf"\b({'|'.join(RETIRED)})\b", re.IGNORECASE)


def prose(path):
    """Yield the first line and the text of every comment and string of a program, or of the whole of another file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield 1, text
        return
    block: list[str] = []
    start = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.STRING:
            yield token.start[0], token.string
        elif token.type == tokenize.COMMENT:
            # Sentences run over several lines of comment: join those that follow each other.
            if start + len(block) != token.start[0]:
                yield start, "\n".join(block)
                block, start = [], token.start[0]
            block.append(token.string.lstrip("# "))
    yield start, "\n".join(block)


def offences(first, text):
    """Yield the line and the words of each retired phrase; a phrase may run over the end of a line."""
    flat = re.sub(r"[^\S\n]*\n[^\S\n]*", "\n", text)
    for hit in PATTERN.finditer(flat.replace("\n", " ")):
        yield first + flat.count("\n", 0, hit.start()), hit.group()


def written():
    pages = (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")))
    for path in chain(pages, (ROOT / name for name in PAGES)):
        decisions = ROOT / "docs" / "adr" in path.parents
        if path.is_file() and path.suffix in PROSE and not decisions and "__pycache__" not in path.parts:
            yield path


def test_retired_words_stay_out():
    found = [
        f"{path.relative_to(ROOT)}:{line}: {words!r}"
        for path in written()
        for first, text in prose(path)
        for line, words in offences(first, text)
    ]
    assert found == [], "\n".join(found)


@pytest.mark.parametrize(
    "sentence",
    [
        "What would turn it", "20 reasons stand in the way.", "imports X, which is on no list of safe names",
        "signed by key K, whom the policy does not list", "no signature was brought", "mended", "the remedy",
        "valid and hardly meant", "it may be acted on so long", "look again and again at what is promoted",
        "One of them is blind, or cries wolf.", "Nobody is believed because of where they stand",
        "nothing of its kind is in there", "the manifests was not examined", "no signature was\n    brought",
    ],
)  # fmt: skip
def test_each_retired_sentence_is_noticed(sentence, tmp_path):
    page = tmp_path / "page.py"
    comment = sentence.replace("\n    ", "\n# ")
    page.write_text(f'"""First line.\n\n{sentence}"""\n\n# plain\n\n\n# {comment}\n')
    hits = {line for first, text in prose(page) for line, _ in offences(first, text)}
    assert 3 in hits
    assert max(hits) > 4


@pytest.mark.parametrize("sentence", ["recommended, amended", "it was brought up to date", "a remedial step"])
def test_other_words_are_left_alone(sentence):
    assert list(offences(1, sentence)) == []
