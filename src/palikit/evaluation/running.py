"""An exam and a model -> answers in a folder, as many as are still missing."""

from collections.abc import Callable
from contextlib import closing

from palikit.engine import BATCH_SIZE, MAX_BATCH_TOKENS, rows_with_room
from palikit.evaluation.answer_folder import AnswerFolder
from palikit.evaluation.answering import Answerer, Share, ask, batches_of, missing
from palikit.evaluation.exam import Exam
from palikit.evaluation.record import record_of


def default_batch_size(tokens_per_image: int, exam: Exam) -> int:
    """Questions that go through a model together where nobody says how many.

    As many as need no more memory than the largest single request, see `palikit.engine`.
    """
    pictures = max(
        len(item.example.images) if item.example.video is None else item.example.video.frames
        for item in exam.items
    )
    tokens = max(pictures, 1) * tokens_per_image
    with_room = rows_with_room(tokens, exam.generation)
    return max(1, min(BATCH_SIZE, MAX_BATCH_TOKENS // tokens, with_room))


def number_done(exam: Exam, folder: AnswerFolder, batch_size: int, share: Share) -> tuple[int, int]:
    """How many questions of a share there are, and how many of them are answered."""
    own = batches_of(exam.items, batch_size)[share.rank :: share.count]
    done = folder.answers()
    ids = [item.example.id for batch in own for item in batch.items]
    return len(ids), sum(name in done for name in ids)


def answer_missing(
    exam: Exam,
    predictor: Answerer,
    folder: AnswerFolder,
    *,
    batch_size: int,
    side: int,
    share: Share | None = None,
    on_answer: Callable[[], None] = lambda: None,
) -> None:
    """Ask what a folder has no answer to; each answer is kept as soon as it is there.

    Args:
        exam: what is asked.
        predictor: what answers.
        folder: begun.
        batch_size: questions that go through the model together.
        side: of the pictures that it takes, in pixels.
        share: of this process; None for all.
        on_answer: called after each answer that was missing.

    Raises:
        PaliKitError: a picture cannot be read, a question is too long, or the folder cannot be
            written.
    """
    share, done = share or Share(), folder.answers()
    todo = missing(batches_of(exam.items, batch_size), share, done)
    if not todo:
        return
    answers = ask(predictor, todo, exam.generation, batch_size=batch_size, side=side)
    with folder.journal(share.rank) as journal, closing(answers):
        for item, answer in answers:
            if item.example.id not in done:
                journal.add(record_of(item, answer))
                on_answer()
