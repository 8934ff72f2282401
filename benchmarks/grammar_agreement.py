"""What the grammar changes: boxes with it and without, where the plain text needs no help.

    python benchmarks/grammar_agreement.py --scenes 500

nano is asked for all kinds of fresh scenes at once, in float32, with its grammar and without. Where
the plain text follows the grammar to its end and names nothing twice, both must find the same boxes
of the same labels, edge for edge; anywhere else only the grammar's text can be read as a whole.
"""

import argparse
from collections import Counter
from collections.abc import Iterator

from palikit import tasks
from palikit.loading import load
from palikit.nano.evaluation import SIDE
from palikit.nano.scenes import KINDS, SceneOptions, draw_scene
from palikit.options import GenerationOptions
from palikit.prediction import Prediction
from palikit.predictor import Predictor
from palikit.request import Request
from palikit.results import Detections


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=500)
    scenes = parser.parse_args().scenes
    predictor = load("nano", dtype="float32")
    counts: Counter[str] = Counter()
    with_grammar = answers(predictor, scenes, GenerationOptions(grammar=True))
    plain = answers(predictor, scenes, GenerationOptions(grammar=False))
    for steered, free in zip(with_grammar, plain, strict=True):
        state = state_of(free)
        counts[state] += 1
        counts[f"{state}, same boxes"] += found(steered) == found(free)
    print(f"{scenes} scenes, plain greedy text:")
    for state in ("well formed", "names an object twice", "malformed or cut off"):
        same = counts[f"{state}, same boxes"]
        print(f"  {state}: {counts[state]} ({counts[state] / scenes:.1%}), same boxes: {same}")
    if counts["well formed, same boxes"] < counts["well formed"]:
        raise SystemExit("the grammar changed boxes of texts that follow it by themselves")


def answers(
    predictor: Predictor, scenes: int, options: GenerationOptions
) -> Iterator[Prediction[Detections]]:
    """Of one scene after another."""
    pictures = (draw_scene(number, SceneOptions(SIDE, "test")).picture for number in range(scenes))
    requests = (Request((picture,), tasks.detect(KINDS), "-") for picture in pictures)
    return predictor.predict_each(requests, options)


def state_of(free: Prediction[Detections]) -> str:
    """What is wrong with a plain text, if anything."""
    if free.finish_reason != "stop" or free.score_basis != "grammar" or free.result.problems:
        return "malformed or cut off"
    named = found(free)
    return "well formed" if len(set(named)) == len(named) else "names an object twice"


def found(prediction: Prediction[Detections]) -> list[tuple[object, str]]:
    """Boxes and labels in the order in which they are named."""
    return [(each.box, each.label) for each in prediction.result]


if __name__ == "__main__":
    main()
