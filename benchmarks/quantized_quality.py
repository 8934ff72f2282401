"""What weights in fewer bits cost: errors of layers and logits, greedy agreement, nano's scores.

    python benchmarks/quantized_quality.py
    python benchmarks/quantized_quality.py --model google/paligemma2-3b-mix-448 --no-scores

Writes benchmarks/results/quantized_quality.json, and the tables of docs/quantization.md between
their markers. Scenes are drawn anew and none was seen in a training; of each, captions, boxes and
two questions are asked. With --no-scores any model will do, but what it is asked about is drawn.

    layers     every product of the quantised model gets what the float one has before that layer:
               norm of the difference over norm of the float output
    logits     the same of all text positions of prompts and of the float model's own answers
    tokens     at how many places of these answers the likeliest token is the same
    answers    how many answers, generated freely, are the same to the letter
    scores     `palikit.nano.evaluation`, with --scenes
    random     logits of normal weights at the widths of PaliGemma 2 3B, two layers in each tower,
               where nothing but noise adds up
"""

import argparse
import json
import platform
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch

import torch
from torch import Tensor, nn

import palikit
from palikit import tasks
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from palikit.model.towers import tower_of
from palikit.nano import evaluation
from palikit.nano.scenes import KINDS, SceneOptions, draw_scene
from palikit.options import GenerationOptions, QuantizedForm
from palikit.predictor import Predictor
from palikit.processor import Query
from palikit.published import config_for
from palikit.quantization import int8, quantize
from palikit.quantization.layers import Site, sites
from palikit.request import Request

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "quantized_quality.json"
PAGE = ROOT / "docs" / "quantization.md"
FIRST_SCENE = 2**19
"""Behind those that scores are measured on."""

OPTIONS = GenerationOptions(max_new_tokens=96)
SCORES = {
    "detect_ap50": "mAP at IoU .5",
    "detect_ap": "mAP .5 to .95",
    "segment_mean_iou": "mask IoU",
    "count_exact": "counts",
    "color_exact": "colours",
    "word_exact": "words read",
    "caption_exact": "captions",
}
"""Those of `NanoScores` that the table shows."""


@dataclass(eq=False)
class Error:
    """Squared norms of a difference and of what is right, added up."""

    off: float = 0.0
    whole: float = 0.0

    def add(self, got: Tensor, expected: Tensor) -> None:
        self.off += float((got.double() - expected.double()).square().sum())
        self.whole += float(expected.double().square().sum())

    @property
    def relative(self) -> float:
        return (self.off / self.whole) ** 0.5 if self.whole else 0.0


@dataclass(frozen=True, eq=False)
class Quality:
    """Of one form.

    Attributes:
        layers: by kind of layer, the relative errors of all such layers.
        logits: relative error.
        tokens, answers: shares that are the same.
        scores: of `NanoScores`; None where they were not asked for.
    """

    layers: dict[str, list[float]]
    logits: float
    tokens: float
    answers: float
    scores: dict[str, Any] | None = field(default=None)


def requests(number: int) -> list[Request]:
    """Questions on scenes that nothing else is measured on."""
    made: list[Request] = []
    for seed in range(FIRST_SCENE, FIRST_SCENE + (number + 3) // 4):
        picture = (draw_scene(seed, SceneOptions(320, "test")).picture,)
        asked = (
            tasks.caption("en"),
            tasks.detect(KINDS),
            tasks.answer("what is in the picture?"),
            tasks.ocr(),
        )
        made += [Request(picture, task, "scene") for task in asked]
    return made[:number]


def batches(predictor: Predictor, asked: Sequence[Request], texts: Sequence[str]) -> Iterator[Any]:
    """Prompts with answers as the model reads them, a few at a time."""
    for start in range(0, len(asked), 4):
        yield predictor.processor(
            [
                Query(request.pictures, request.task.prompt, text, request.task.allow_special)
                for request, text in zip(
                    asked[start : start + 4], texts[start : start + 4], strict=True
                )
            ]
        ).to(predictor.model.device)


def kind_of(name: str) -> str:
    tower = tower_of(f"{name}.").replace("_", " ")
    own = name.rpartition(".")[2].removesuffix("_proj")
    return tower if tower == "projector" else f"{tower} {own}"


@contextmanager
def comparing(floats: PaliGemma, held: PaliGemma, errors: dict[str, Error]) -> Iterator[None]:
    """While the float model runs, its layers' inputs go through the quantised ones too."""

    def compare(site: Site, member: str, rows: slice) -> Any:
        alone = held.get_submodule(member) if has(held, member) else None
        layer = alone or held.get_submodule(site.name)

        def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            got = layer(inputs[0].to(held.dtype))
            errors[member].add(got if alone is not None else got[..., rows], output)

        return hook

    hooks = []
    for site in sites(floats):
        start = 0
        for member in site.members:
            layer = floats.get_submodule(member)
            if isinstance(layer, nn.Linear):
                rows = slice(start, start := start + layer.out_features)
                hooks.append(layer.register_forward_hook(compare(site, member, rows)))
    try:
        yield
    finally:
        for each in hooks:
            each.remove()


def has(model: PaliGemma, name: str) -> bool:
    parent, _, own = name.rpartition(".")
    return getattr(model.get_submodule(parent), own, None) is not None


@torch.inference_mode()
def layers_and_logits(
    floats: Predictor, held: Predictor, inputs: Iterator[ModelInputs]
) -> tuple[dict[str, list[float]], float, float]:
    """Errors of layers by kind, error of logits, share of answers' tokens that stay the same."""
    errors: dict[str, Error] = defaultdict(Error)
    logits, same, told = Error(), 0, 0
    for batch in inputs:
        with comparing(floats.model, held.model, errors):
            expected = floats.model(batch)
        got = held.model(batch)
        place = torch.arange(batch.input_ids.shape[1], device=got.device)
        logits.add(*(each[place < batch.lengths[:, None]] for each in (got, expected)))
        is_answer = (place >= batch.prefix_lengths[:, None] - 1) & (
            place < batch.lengths[:, None] - 1
        )
        equal = got.argmax(-1) == expected.argmax(-1)
        same, told = same + int(equal[is_answer].sum()), told + int(is_answer.sum())
    kinds: dict[str, list[float]] = defaultdict(list)
    for name, error in errors.items():
        kinds[kind_of(name)].append(error.relative)
    return dict(kinds), logits.relative, same / max(1, told)


@torch.inference_mode()
def random_error(form: QuantizedForm, *, rounds_activations: bool = True) -> float:
    """Of the logits of a few tokens about four patches."""
    real = config_for("PaliGemma 2", "3B", 224)
    config = replace(
        real,
        text_config=replace(real.text_config, num_hidden_layers=2, vocab_size=2048),
        vision_config=replace(real.vision_config, num_hidden_layers=2, image_size=28),
        image_token_index=2000,
    )
    with torch.device("meta"):
        model = PaliGemma(config)
    model = model.to_empty(device="cpu").eval()
    random = torch.Generator().manual_seed(0)
    for name, weight in model.named_parameters():
        is_scale = "vision" in name and "norm" in name and name.endswith("weight")
        weight.normal_(1 if is_scale else 0, 0.02, generator=random)
    lengths = torch.full((4,), 12)
    batch = ModelInputs(
        pixel_values=torch.rand((4, 3, 28, 28), generator=random) * 2 - 1,
        image_index=torch.arange(4)[:, None],
        input_ids=torch.randint(3, 2000, (4, 12), generator=random),
        prefix_lengths=lengths,
        lengths=lengths,
        has_padding=False,
        has_suffix=False,
    )
    error, expected = Error(), model(batch)
    quantize(model, form)
    has = int8.has_integer_products() and rounds_activations
    with patch.object(int8, "has_integer_products", lambda: has):
        error.add(model(batch), expected)
    return error.relative


def random_errors(forms: Sequence[QuantizedForm]) -> dict[str, float]:
    found = {form: random_error(form) for form in forms}
    if "int8" in forms and int8.has_integer_products():
        found["int8, activations not rounded"] = random_error("int8", rounds_activations=False)
    return found


def quality(
    floats: Predictor, held: Predictor, asked: Sequence[Request], texts: Sequence[str]
) -> Quality:
    layers, logits, tokens = layers_and_logits(floats, held, batches(floats, asked, texts))
    given = [answer.text for answer in held.predict(asked, OPTIONS)]
    equal = sum(ours == theirs for ours, theirs in zip(given, texts, strict=True))
    return Quality(layers, logits, tokens, equal / len(asked))


def scores_of(predictor: Predictor, scenes: int) -> dict[str, Any]:
    """Of one form; the same scenes, which take as long to draw as to ask about, serve all forms."""
    with patch.object(evaluation, "draw_scene", kept_scene):
        return asdict(evaluation.measure(predictor, scenes))


kept_scene = cache(draw_scene)


def run(given: argparse.Namespace) -> dict[str, Any]:
    floats = palikit.load(given.model, dtype="float32", device=given.device)
    asked = requests(given.prompts)
    texts = [answer.text for answer in floats.predict(asked, OPTIONS)]
    scores = None if given.no_scores else scores_of(floats, given.scenes)
    forms: dict[str, Any] = {"float32": {"scores": scores}}
    for form in given.forms:
        held = palikit.load(given.model, quantize=form, device=given.device)
        found = asdict(quality(floats, held, asked, texts))
        if not given.no_scores:
            found["scores"] = scores_of(held, given.scenes)
        forms[form] = found
        print(form, f"logits {found['logits']:.4f}, answers {found['answers']:.3f}", flush=True)
    return {
        "model": given.model,
        "prompts": given.prompts,
        "scenes": None if given.no_scores else given.scenes,
        "date": datetime.now(UTC).date().isoformat(),
        "device": given.device,
        "processor": platform.machine(),
        "torch": version("torch"),
        "command": command(given),
        "random": random_errors(given.forms),
        "forms": forms,
    }


def command(given: argparse.Namespace) -> str:
    """What measures the same again."""
    extent = "--no-scores" if given.no_scores else f"--scenes {given.scenes}"
    options = f"--model {given.model} --prompts {given.prompts} {extent}"
    return f"python benchmarks/quantized_quality.py {options}"


def tables(record: dict[str, Any]) -> str:
    """What stands in the page: costs as a whole, then layers by kind."""
    forms = record["forms"]
    shown = [name for name in SCORES if forms["float32"]["scores"] is not None]
    head = ["form", "logits", "same next token", "same answer", *(SCORES[n] for n in shown)]
    rows = []
    for form, found in forms.items():
        scores = found["scores"]
        whole = (
            [f"{found['logits']:.1%}", f"{found['tokens']:.1%}", f"{found['answers']:.1%}"]
            if form != "float32"
            else ["", "", ""]
        )
        rows.append([form, *whole, *(_share(scores[name]) for name in shown)])
    of_forms = [form for form in forms if form != "float32"]
    kinds = list(dict.fromkeys(kind for form in of_forms for kind in forms[form]["layers"]))
    layers = [
        [kind, *(_spread(forms[form]["layers"].get(kind)) for form in of_forms)] for kind in kinds
    ]
    scenes = f", scores on {record['scenes']:,} scenes" if record["scenes"] else ""
    return (
        f"{record['model']}, {record['prompts']:,} prompts{scenes}; {record['date']}, "
        f"{record['processor']}, torch {record['torch']}: `{record['command']}`\n\n"
        f"{_table(head, rows)}\n\n"
        "Relative error of a layer's output, its input being the float model's: median and worst "
        "of all such layers.\n\n"
        f"{_table(['layer', *of_forms], layers)}\n\n"
        "Logits of random normal weights at the widths of PaliGemma 2 3B, two layers in each "
        "tower:\n\n"
        f"{_table(list(record['random']), [[f'{e:.1%}' for e in record['random'].values()]])}\n"
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _spread(errors: list[float] | None) -> str:
    return f"{statistics.median(errors):.2%}, {max(errors):.2%}" if errors else "floats"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_page(record: dict[str, Any], page: Path) -> None:
    """Put the tables between the markers of the page."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition("<!-- quality: begin -->\n")
    _, end, after = rest.partition("<!-- quality: end -->")
    if not (begin and end):
        raise SystemExit(f"{page} has no markers, quality: begin and quality: end")
    page.write_text(f"{before}{begin}{tables(record)}{end}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--forms", nargs="+", default=get_args(QuantizedForm))
    parser.add_argument("--prompts", type=int, default=400)
    parser.add_argument("--scenes", type=int, default=500, help="that scores are measured on")
    parser.add_argument("--no-scores", action="store_true", help="for models that are not nano")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    record = run(given)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    write_page(record, given.page)


if __name__ == "__main__":
    main()
