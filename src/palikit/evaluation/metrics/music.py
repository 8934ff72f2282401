"""Error rates of sheet music written as **kern (GrandStaff): by character, symbol and line."""

from collections.abc import Callable, Sequence

from palikit.evaluation.metrics.edits import edit_counter
from palikit.evaluation.metrics.score import Score, ratio_score

_BREAK, _TAB = "<b>", "<t>"


def kern_character_error_rate(answers: Sequence[str], truths: Sequence[str]) -> Score:
    """CER in percent: 100 x edits over characters of all truths, see `kern_characters`.

    antoniorv6/SMT, `eval_functions.py`. Sums run over the whole corpus, so a long score weighs
    more than a short one; it is above 100 where much was added. `per_example` is each example's
    own rate; of an empty truth, 100 x the characters added. (The authors' earlier
    ijdar-e2e-pianoform leaves tokens whole and cuts only the separators: its CER is another, and
    so is that of an early version of SMT, which left blanks out.)

    Raises:
        InputError: there is nothing to score, or every truth is empty.
        MissingExtraError: rapidfuzz is not installed.
    """
    return _rate(answers, truths, kern_characters)


def kern_symbol_error_rate(answers: Sequence[str], truths: Sequence[str]) -> Score:
    """SER in percent: as the above by symbols, see `kern_symbols`."""
    return _rate(answers, truths, kern_symbols)


def kern_line_error_rate(answers: Sequence[str], truths: Sequence[str]) -> Score:
    """LER in percent: as the above by whole lines."""
    return _rate(answers, truths, kern_lines)


def kern_characters(text: str) -> list[str]:
    """Every character: blanks, tabs and new lines too."""
    return list(text)


def kern_symbols(text: str) -> list[str]:
    """What stands between single blanks; a new line and a tab are symbols of their own.

    Kept from the original: two separators in a row have an empty symbol between them, so has a
    separator at an end beside it, and the empty text is one empty symbol.
    """
    return text.replace("\n", f" {_BREAK} ").replace("\t", f" {_TAB} ").split(" ")


def kern_lines(text: str) -> list[str]:
    """Lines, of which only equal ones match."""
    return text.split("\n")


def _rate(
    answers: Sequence[str], truths: Sequence[str], symbols: Callable[[str], list[str]]
) -> Score:
    count = edit_counter("score sheet music")
    pairs = [(symbols(a), symbols(b)) for a, b in zip(answers, truths, strict=True)]
    edits = [100.0 * count(found, right) for found, right in pairs]
    lengths = [len(right) for _, right in pairs]
    alone = [each / max(length, 1) for each, length in zip(edits, lengths, strict=True)]
    return ratio_score(edits, lengths, per_example=alone)
