"""CIDEr-D and CIDEr of captions: how alike n-grams are, rare ones weighing more."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from palikit.evaluation.metrics.captions import References, caption_tokens
from palikit.evaluation.metrics.score import Floats, Ints, Score, mean_score, require_examples

_ORDER = 4
"""Longest n-gram, in words."""

_SIGMA = 6.0
"""Width of the length penalty, in bigrams."""

_SCALE = 10.0
"""The original's factor; tables print 100 times the result."""


def cider_d(
    answers: Sequence[str],
    references: Sequence[References],
    *,
    corpus: Sequence[References] | None = None,
    tokenized: bool = False,
) -> Score:
    """Mean CIDEr-D, in [0, 10]; tables print it times 100. The CIDEr of published figures.

    The original is `pycocoevalcap/cider/cider_scorer.py` (salaniz/pycocoevalcap 1.2, of
    tylin/coco-caption), which calls it CIDEr: for n = 1 to 4 the cosine of tf-idf vectors with the
    caption's entries clipped to the reference's, times a Gaussian of the difference in bigrams
    (sigma 6), mean over n and references, times 10. How rare an n-gram is comes from the
    references of the very captions scored, so that figures of a part and of a whole do not
    compare, and one picture alone scores 0.

    Args:
        answers: one caption an example.
        references: of each example; at least one.
        corpus: references of all pictures of another set, to count document frequencies in;
            by default those given. (vrama91/cider calls these modes a file and `corpus`.)
        tokenized: the texts are PTB tokens joined by blanks already.

    Returns:
        The interval resamples captions with document frequencies as they are.

    Raises:
        InputError: there are no captions, or one has no references.
        ValueError: there are not as many lists of references as captions.
    """
    return _cider(answers, references, corpus, tokenized=tokenized, clipped=True)


def cider(
    answers: Sequence[str],
    references: Sequence[References],
    *,
    corpus: Sequence[References] | None = None,
    tokenized: bool = False,
) -> Score:
    """Mean of the first CIDEr, in [0, 10]: `cider_d` without clipping and length penalty.

    Vedantam et al., arXiv 1411.5726, equations 1 to 4, times 10 as in vrama91/cider; words are not
    stemmed. Published tables do not print this one; see `cider_d` for arguments and errors.
    """
    return _cider(answers, references, corpus, tokenized=tokenized, clipped=False)


def _cider(
    answers: Sequence[str],
    references: Sequence[References],
    corpus: Sequence[References] | None,
    *,
    tokenized: bool,
    clipped: bool,
) -> Score:
    texts, rights = caption_tokens(answers, references, tokenized=tokenized)
    known = rights if corpus is None else _corpus_tokens(corpus, tokenized=tokenized)
    captions = _Captions.of(texts, rights, [] if corpus is None else known)
    similarity = sum(
        (_similarities(captions, grams, len(known), clipped=clipped) for grams in _grams(captions)),
        np.zeros(len(captions.answers)),
    )
    if clipped:
        similarity = similarity * _length_penalty(captions)
    counts = np.array([len(right) for right in rights])
    sums = _summed(similarity, captions.owners[: len(captions.answers)], len(texts))
    return mean_score(_SCALE * sums / _ORDER / counts)


def _corpus_tokens(corpus: Sequence[References], *, tokenized: bool) -> list[list[str]]:
    require_examples(len(corpus))
    return caption_tokens([""] * len(corpus), corpus, tokenized=tokenized)[1]


@dataclass(frozen=True)
class _Captions:
    """All captions in one row of word numbers: references, then the corpus, then the answers.

    Attributes:
        words: int64[W], the words of all captions, end to end.
        places: int64[W], which caption each word is of.
        lengths: int64[C], words of each caption.
        owners: int64[C], the picture of each caption; answers own theirs, a corpus has its own.
        answers: int64[R], for each caption that an answer is compared with, that answer's place.
        counted: captions in whose pictures n-grams are counted, from `uncounted` on.
        uncounted: the first of them.
    """

    words: Ints
    places: Ints
    lengths: Ints
    owners: Ints
    answers: Ints
    uncounted: int
    counted: int

    @classmethod
    def of(
        cls, answers: list[str], references: list[list[str]], corpus: list[list[str]]
    ) -> "_Captions":
        groups = references + corpus
        owners = [place for place, group in enumerate(groups) for _ in group]
        texts = [text for group in groups for text in group] + answers
        scored = sum(map(len, references))
        words = [text.split() for text in texts]
        lengths = np.array([len(each) for each in words], np.int64)
        return cls(
            words=_numbered(words),
            places=np.repeat(np.arange(len(texts)), lengths),
            lengths=lengths,
            owners=np.array([*owners, *range(len(answers))], np.int64),
            answers=np.array(owners[:scored], np.int64) + len(owners),
            uncounted=scored if corpus else 0,
            counted=len(owners),
        )


def _numbered(captions: list[list[str]]) -> Ints:
    numbers: dict[str, int] = {}
    return np.array(
        [numbers.setdefault(word, len(numbers)) for words in captions for word in words], np.int64
    )


@dataclass(frozen=True)
class _Grams:
    """The n-grams of one length: one entry for each caption and different n-gram in it.

    Attributes:
        captions: int64[E], ascending.
        grams: int64[E], numbers below `kinds`, ascending within a caption.
        counts: int64[E], how often the n-gram stands in the caption.
        kinds: different n-grams.
    """

    captions: Ints
    grams: Ints
    counts: Ints
    kinds: int


def _grams(captions: _Captions) -> list[_Grams]:
    """The n-grams of all captions for n = 1 to 4."""
    numbers, kinds = captions.words, int(captions.words.max(initial=-1)) + 1
    vocabulary = max(kinds, 1)
    found = []
    for n in range(1, _ORDER + 1):
        whole = captions.places[: len(numbers)] == captions.places[n - 1 :]
        found.append(_entries(captions.places[: len(numbers)][whole], numbers[whole], kinds))
        # An n-gram is the one before it and a word; numbered anew, the product stays small.
        longer = numbers[:-1] * vocabulary + captions.words[n:]
        different, numbers = np.unique(longer, return_inverse=True)
        kinds = len(different)
    return found


def _entries(captions: Ints, grams: Ints, kinds: int) -> _Grams:
    keys, counts = np.unique(captions * max(kinds, 1) + grams, return_counts=True)
    return _Grams(keys // max(kinds, 1), keys % max(kinds, 1), counts, kinds)


def _similarities(captions: _Captions, grams: _Grams, pictures: int, *, clipped: bool) -> Floats:
    """float64[R]: the cosine of each reference and the answer to its picture."""
    weights = grams.counts * _rarity(captions, grams, pictures)[grams.grams]
    norms = np.sqrt(_summed(weights**2, grams.captions, len(captions.lengths)))
    scored = len(captions.answers)
    last = np.searchsorted(grams.captions, scored)
    right, weight = grams.captions[:last], weights[:last]
    found = _looked_up(grams, weights, captions.answers[right], grams.grams[:last])
    products = (np.minimum(found, weight) if clipped else found) * weight
    scale = norms[:scored] * norms[captions.answers]
    sums = _summed(products, right, scored)
    cosines: Floats = np.divide(sums, scale, out=np.zeros_like(sums), where=scale > 0)
    return cosines


def _summed(values: Floats, places: Ints, count: int) -> Floats:
    # Of nothing, bincount would return integers.
    return np.bincount(places, values, count).astype(np.float64, copy=False)


def _rarity(captions: _Captions, grams: _Grams, pictures: int) -> Floats:
    """float64[kinds]: log of pictures over pictures in whose references the n-gram stands."""
    inside = (grams.captions >= captions.uncounted) & (grams.captions < captions.counted)
    kinds = max(grams.kinds, 1)
    # Sorted by hand: np.unique hashes where only values are asked for, slow on such regular keys.
    keys = np.sort(captions.owners[grams.captions[inside]] * kinds + grams.grams[inside])
    once = keys[np.diff(keys, prepend=-1) > 0]
    frequencies = np.bincount(once % kinds, minlength=kinds)
    return np.asarray(np.log(pictures) - np.log(np.maximum(frequencies, 1)), np.float64)


def _looked_up(grams: _Grams, weights: Floats, captions: Ints, wanted: Ints) -> Floats:
    """The weights of n-grams in captions; 0 where they do not stand there."""
    if not len(weights):
        return weights
    kinds = max(grams.kinds, 1)
    keys = grams.captions * kinds + grams.grams
    targets = captions * kinds + wanted
    places = np.minimum(np.searchsorted(keys, targets), len(keys) - 1)
    return np.where(keys[places] == targets, weights[places], 0.0)


def _length_penalty(captions: _Captions) -> Floats:
    """float64[R]: a Gaussian of how many bigrams reference and answer differ by."""
    bigrams = np.maximum(captions.lengths - 1, 0)
    difference = bigrams[: len(captions.answers)] - bigrams[captions.answers]
    return np.asarray(np.exp(-(difference**2) / (2 * _SIGMA**2)), np.float64)
