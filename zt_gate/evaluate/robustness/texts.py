"""Attack texts: the words that matter most first, with changes that a reader hardly notices.

Greedy substitution after Jin et al. (TextFooler, AAAI 2020) and Gao et al. (DeepWordBug, 2018), without
their downloads: swapped, dropped, doubled and look-alike letters, and a small list of synonyms. What it finds is real;
what it does not find proves little, since the list is short.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from zt_gate.errors import TargetError

Scores = Callable[[Sequence[str]], Tensor]
_WORD = re.compile(r"\w+", re.UNICODE)
_LOOK_ALIKE = str.maketrans("aceiopsxyABEHKMOPTX", "асеіорѕхуАВЕНКМОРТХ")  # noqa: RUF001 - that is the point
_SYNONYMS = (
    ("good", "fine", "great", "decent"), ("bad", "poor", "awful", "weak"), ("big", "large", "huge"),
    ("small", "little", "tiny"), ("fast", "quick", "rapid"), ("slow", "sluggish"), ("happy", "glad", "pleased"),
    ("sad", "unhappy", "gloomy"), ("movie", "film", "picture"), ("buy", "purchase", "get"), ("free", "complimentary"),
    ("money", "cash", "funds"), ("win", "gain", "earn"), ("urgent", "pressing"), ("click", "press", "tap"),
    ("offer", "deal", "proposal"), ("terrible", "dreadful", "horrible"), ("wonderful", "marvellous", "lovely"),
    ("boring", "dull", "tedious"), ("love", "adore", "enjoy"), ("hate", "dislike", "detest"), ("best", "finest"),
    ("worst", "poorest"), ("price", "cost"), ("help", "assist", "aid"), ("start", "begin"), ("end", "finish", "stop"),
    ("show", "display"), ("important", "vital", "key"), ("account", "profile"), ("attack", "assault"),
)  # fmt: skip
_OTHERS = {word: tuple(other for other in group if other != word) for group in _SYNONYMS for word in group}


@dataclass(frozen=True, slots=True)
class TextResult:
    """What became of each text."""

    correct: tuple[bool, ...]
    fooled: tuple[bool, ...]
    adversarial: tuple[str, ...]
    """The text itself where nothing fooled the model."""
    changed: tuple[int, ...]
    """How many words were changed."""
    queries: int

    @property
    def robust(self) -> tuple[bool, ...]:
        """Which texts are classified correctly and withstood."""
        return tuple(right and not out for right, out in zip(self.correct, self.fooled, strict=True))


class _Asked:
    """Asks for scores and counts."""

    def __init__(self, scores: Scores) -> None:
        self._scores, self.queries = scores, 0

    def __call__(self, texts: Sequence[str]) -> Tensor:
        self.queries += len(texts)
        answer = self._scores(texts)
        if answer.dim() != 2 or len(answer) != len(texts) or not bool(answer.isfinite().all()):
            raise TargetError(
                f"the model answered {len(texts)} texts with scores of shape {tuple(answer.shape)}, or with no numbers",
                "let it return a finite score for each class and text",
            )
        return answer

    def lead(self, texts: Sequence[str], label: int) -> Tensor:
        """Return by how much the true class is ahead; not positive where the model is wrong."""
        answer = self(texts)
        others = answer.clone()
        others[:, label] = -float("inf")
        return answer[:, label] - others.amax(1)


def attack_texts(scores: Scores, texts: Sequence[str], labels: Sequence[int], *, share: float = 0.2) -> TextResult:
    """Change at most a share of each text's words, at least one, until the model is wrong. It needs no luck.

    Args:
        scores: returns scores of shape `(n, classes)` for n texts.
        texts: what is attacked.
        labels: their classes.
        share: of the words of a text.

    Raises:
        TargetError: the answers are no scores.
    """
    asked = _Asked(scores)
    right = asked(texts).argmax(1).tolist() if texts else []
    correct = tuple(int(guess) == int(label) for guess, label in zip(right, labels, strict=True))
    found = [
        _attack(asked, text, int(label), share) if held else (text, False, 0)
        for text, label, held in zip(texts, labels, correct, strict=True)
    ]
    adversarial, fooled, changed = zip(*found, strict=True) if found else ((), (), ())
    return TextResult(correct, tuple(fooled), tuple(adversarial), tuple(changed), asked.queries)


def _attack(asked: _Asked, text: str, label: int, share: float) -> tuple[str, bool, int]:
    spans = [match.span() for match in _WORD.finditer(text)]
    if not spans:
        return text, False, 0
    without = [text[:start] + text[end:] for start, end in spans]
    # The smaller the lead without a word, the more the word matters. Stable, so that ties give one result everywhere.
    order = asked.lead(without, label).argsort(stable=True).tolist()
    words = {number: text[start:end] for number, (start, end) in enumerate(spans)}
    lead = float(asked.lead([text], label))
    changed = 0
    for number in order[: max(1, int(share * len(spans)))]:
        options = list(variants(words[number]))
        if not options:
            continue
        candidates = [_joined(text, spans, words | {number: option}) for option in options]
        leads = asked.lead(candidates, label)
        place = int(leads.argmin())
        if float(leads[place]) >= lead:
            continue
        lead, words[number], changed = float(leads[place]), options[place], changed + 1
        # The label decides, not the lead: on a tie the model may still say the true class.
        if lead <= 0 and int(asked([candidates[place]]).argmax(1)) != label:
            return candidates[place], True, changed
    return text, False, 0


def _joined(text: str, spans: Sequence[tuple[int, int]], words: dict[int, str]) -> str:
    parts, last = [], 0
    for number, (start, end) in enumerate(spans):
        parts += [text[last:start], words[number]]
        last = end
    return "".join([*parts, text[last:]])


def variants(word: str) -> Iterator[str]:
    """Yield words that a reader takes for the same one, each once."""
    seen = {word}
    for other in _every_variant(word):
        if other and other not in seen:
            seen.add(other)
            yield other


def _every_variant(word: str) -> Iterator[str]:
    for other in _OTHERS.get(word.lower(), ()):
        yield other.capitalize() if word[:1].isupper() else other
    if len(word) > 2:
        for place in range(1, len(word) - 1):  # the first letter and the last are what readers look at
            yield word[:place] + word[place + 1] + word[place] + word[place + 2 :]
            yield word[:place] + word[place + 1 :]
            yield word[:place] + word[place] + word[place:]
    for place in range(len(word)):
        yield word[:place] + word[place].translate(_LOOK_ALIKE) + word[place + 1 :]
    yield word.translate(_LOOK_ALIKE)
