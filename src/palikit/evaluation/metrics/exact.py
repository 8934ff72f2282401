"""Answers that must equal a right one letter for letter."""

from collections.abc import Sequence

from palikit.evaluation.metrics.questions import paired
from palikit.evaluation.metrics.score import Score, mean_score
from palikit.evaluation.metrics.text import Answers, is_exact


def exact_match(
    answers: Sequence[str],
    truths: Sequence[Answers],
    *,
    ignore_case: bool = False,
    ignore_space: bool = False,
) -> Score:
    """The share of answers that equal one of their truths, in [0, 1].

    As it stands the rule of google-research/big_vision
    `evaluators/proj/paligemma/transfers/vqa.py` for GQA and xGQA (whose own `eval.py` compares the
    same way), AI2D and multiple-choice A-OKVQA (the answer is the text of the option), NLVR2,
    MaRVL, VSR ("True", "False") and questions about videos, and the "full match" of molecules,
    where the published figure does not say whether SMILES are brought to a canonical form first:
    here they are not. With several truths it is that file's `acc_any`.

    Quirks kept: blanks at the ends count, "2" is not "two", "Yes" is not "yes".

    Args:
        answers: what was written.
        truths: for each the texts that are right.
        ignore_case: lower both sides: big_vision's `to_lower`, which its configuration sets for
            OCR-VQA.
        ignore_space: join words by one blank and drop those at the ends; no original does.

    Raises:
        InputError: there is nothing to score, or a question has no truth.
        ValueError: there are more answers than truths, or fewer.
    """
    return mean_score(
        [
            float(is_exact(answer, right, ignore_case=ignore_case, ignore_space=ignore_space))
            for answer, right in paired(answers, truths)
        ]
    )
