"""Several questions about each input: where their answers may go, and how they are told apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from palikit.batch import Found, Question
from palikit.cli.options import RunOptions
from palikit.errors import InputError
from palikit.options import RecordFormat
from palikit.prediction import Prediction
from palikit.records import Layout, text_lines


@dataclass(frozen=True)
class _SeveralQuestions(Layout):
    """Answers to several questions about each input; a line of text says which it answers.

    Attributes:
        names_inputs: whether a line of text says of which input it is, too.
    """

    names_inputs: bool = True

    def one(self, prediction: Prediction[Any]) -> str:
        """One answer in a streamed format: whole lines."""
        if self.format != "text":
            return super().one(prediction)
        _, _, question = prediction.prompt.split(" ", 2)  # "answer en QUESTION"
        start = f"{prediction.input}: {question}" if self.names_inputs else question
        return "".join(f"{start}  {line}\n" for line in text_lines(prediction.result))


def layout_of(file_format: RecordFormat, questions: Sequence[Question], found: Found) -> Layout:
    """How answers are written: several to one input are a list, too."""
    first, *more = questions
    if not more:
        return Layout(file_format, first.task, found.many, first.labels)
    return _SeveralQuestions(file_format, first.task, many=True, names_inputs=found.many)


def check_outputs(options: RunOptions, questions: Sequence[Question]) -> None:
    """A file of answers knows an input again by its name, and is of one question.

    Raises:
        InputError: there are several, and a place for the answers to one.
    """
    if len(questions) == 1:
        return
    if options.output_file is not None:
        raise InputError(
            f"--output {options.output} takes the answers to one question and there are "
            f"{len(questions)}: ask one at a time, or lead standard output there, as in "
            f"> {options.output}"
        )
    if options.save is not None:
        raise InputError(
            f"--save draws the answer to one question and there are {len(questions)}: ask one at a "
            "time"
        )
