"""From generated ids to a typed prediction: text, scores, boxes, outlines."""

from dataclasses import dataclass
from typing import Any

from palikit.generation import Generation
from palikit.model.mask_codec import MaskCodec
from palikit.model.mask_coding import with_masks
from palikit.prediction import Prediction
from palikit.request import Request
from palikit.results import ScoreBasis, Segments, TokenScore, mean_probability
from palikit.tasks import parse
from palikit.tokenizer import Tokenizer
from palikit.vocab import Coordinates, MaskEdges


@dataclass(frozen=True)
class AnswerReader:
    """Reads what a model wrote.

    Attributes:
        tokenizer: of the model.
        coordinates: the grid its location tokens are read on.
        mask_codec: decoder of segmentation codes; without one segments have no mask.
        model: the model's name, for the record.
        mask_edges: how the edges of a box become pixels for its mask.
    """

    tokenizer: Tokenizer
    coordinates: Coordinates
    mask_codec: MaskCodec | None
    model: str
    mask_edges: MaskEdges = "round"

    def __call__(self, request: Request, generation: Generation) -> Prediction[Any]:
        """The prediction of one request; never raises, whatever the model wrote."""
        text, scores, basis = self.read_tokens(generation)
        width, height = request.pictures[0].size
        result = parse(
            request.task,
            text,
            width,
            height,
            coordinates=self.coordinates,
            token_scores=scores,
        )
        if isinstance(result, Segments):
            result = self._with_masks(result)
        return Prediction(
            input=request.input,
            task=request.task.name,
            prompt=request.task.prompt,
            text=text,
            result=result,
            score=mean_probability(scores),
            score_basis=basis,
            finish_reason=generation.finish_reason,
            width=width,
            height=height,
            model=self.model,
            token_scores=scores,
            image=request.pictures[0],
        )

    def read_tokens(self, generation: Generation) -> tuple[str, tuple[TokenScore, ...], ScoreBasis]:
        """The text, and for each token its characters and its log-probability.

        All log-probabilities of one text stand on one basis: the grammar's where the whole text
        follows it, else the vocabulary's.
        """
        within = generation.follows_grammar
        decoder = self.tokenizer.decoder()
        text, scores = "", []
        for token in generation.tokens:
            start = len(text)
            text += decoder.push(token.id)
            log_prob = token.grammar_log_prob if within else token.vocabulary_log_prob
            if log_prob is None:
                raise AssertionError("a token has a log-probability under neither basis")
            raw = token.vocabulary_log_prob
            scores.append(TokenScore(start, len(text), log_prob, within and token.forced, raw))
        return text + decoder.flush(), tuple(scores), "grammar" if within else "vocabulary"

    def _with_masks(self, segments: Segments) -> Segments:
        codec = self.mask_codec
        return segments if codec is None else with_masks(codec, segments, self.mask_edges)
