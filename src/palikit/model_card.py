"""The README.md of a fine-tuned model: what it was made of, how, and how good it is."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from palikit.published import BUILT_IN

_BASE_FOLDER = f"{BUILT_IN}-base"

_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]*")
_HEADER = re.compile(r"---\r?\n(.*?)\n---", re.DOTALL)
_LICENSE = re.compile(r"""^license:[ ]*["']?([A-Za-z0-9][A-Za-z0-9._-]*)""", re.MULTILINE)


@dataclass(frozen=True)
class ModelCard:
    """What a model card says. Nothing of it is made up: what is not known is left out.

    Attributes:
        name: of the model, its title.
        base_model: what it was tuned from, a name on the Hub or a path.
        data: what it was tuned on, in words: name, number of examples, source.
        method: such as "LoRA" or "full fine-tuning".
        is_adapter: whether the folder holds an adapter and not a whole model.
        prompt: one the model was tuned for, such as "detect cat ; dog".
        options: the run's options by name, those worth reading.
        scores: figures on the data held back, by name.
        scored_on: what the scores were taken on, in words.
        license_id: identifier of the licence on the Hub; a tuned model keeps that of its base.
    """

    name: str
    base_model: str
    data: str
    method: str
    is_adapter: bool
    prompt: str = "caption en"
    options: tuple[tuple[str, str], ...] = ()
    scores: tuple[tuple[str, float], ...] = ()
    scored_on: str = ""
    license_id: str = "gemma"


def card_text(card: ModelCard) -> str:
    """The card as Markdown with the Hub's header of metadata."""
    parts = [
        _header(card),
        f"# {_line(card.name)}",
        _introduction(card),
        f"## Data\n\n{_paragraph(card.data)}",
        _scores(card),
        _options(card),
        _usage(card),
        _licence(card),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def stated_license(file: Path) -> str | None:
    """The identifier of the licence in the header of a card; None where it states none."""
    header = _HEADER.match(file.read_text(encoding="utf-8", errors="replace"))
    found = header and _LICENSE.search(header[1])
    return found[1] if found else None


def _header(card: ModelCard) -> str:
    """YAML takes JSON's strings, which no value can break out of."""
    lines = [
        f"license: {json.dumps(card.license_id)}",
        f"library_name: {'peft' if card.is_adapter else 'transformers'}",
        "pipeline_tag: image-text-to-text",
    ]
    if _is_hub_name(card.base_model):
        lines.append(f"base_model: {json.dumps(card.base_model)}")
        lines.append(f"base_model_relation: {'adapter' if card.is_adapter else 'finetune'}")
    tags = ["paligemma", "palikit", *(["lora"] if card.is_adapter else [])]
    return "\n".join(["---", *lines, "tags:", *(f"- {tag}" for tag in tags), "---"])


def _introduction(card: ModelCard) -> str:
    kind = "A LoRA adapter for" if card.is_adapter else "A model tuned from"
    return (
        f"{kind} `{_line(card.base_model)}`, made by {_line(card.method)} with "
        "PaliKit. PaliGemma takes pictures and a prompt and "
        "writes text, boxes and masks."
    )


def _scores(card: ModelCard) -> str:
    if not card.scores:
        return "## Scores\n\nNone were measured."
    rows = [f"| {_cell(name)} | {value:.4g} |" for name, value in card.scores]
    where = f"On {_line(card.scored_on)}, by real generation.\n\n" if card.scored_on else ""
    return "\n".join([f"## Scores\n\n{where}| figure | value |", "|---|---|", *rows])


def _options(card: ModelCard) -> str:
    if not card.options:
        return ""
    rows = [f"| `{_cell(name)}` | {_cell(value)} |" for name, value in card.options]
    return "\n".join(["## Training\n\n| option | value |", "|---|---|", *rows])


def _usage(card: ModelCard) -> str:
    model = "THIS_FOLDER_OR_NAME"
    prompt = json.dumps(_line(card.prompt))
    ours = f'```python\nimport palikit\n\npredictor = palikit.load("{model}")\n```'
    theirs = [
        "from PIL import Image",
        "from transformers import AutoProcessor, PaliGemmaForConditionalGeneration",
        "",
    ]
    if card.is_adapter:
        base = json.dumps(_BASE_FOLDER if _is_built_in_adapter(card) else _line(card.base_model))
        theirs.insert(1, "from peft import PeftModel")
        theirs += [
            f"processor = AutoProcessor.from_pretrained({base})",
            f"model = PaliGemmaForConditionalGeneration.from_pretrained({base})",
            f'model = PeftModel.from_pretrained(model, "{model}")',
        ]
    else:
        theirs += [
            f'processor = AutoProcessor.from_pretrained("{model}")',
            f'model = PaliGemmaForConditionalGeneration.from_pretrained("{model}")',
        ]
    theirs += [
        'image = Image.open("photo.jpg").convert("RGB")',
        f'inputs = processor(text="<image>" + {prompt}, images=image, return_tensors="pt")',
        "ids = model.generate(**inputs, max_new_tokens=256)",
        'print(processor.decode(ids[0, inputs["input_ids"].shape[1] :]))',
    ]
    code = "\n".join(theirs)
    title = "transformers and PEFT" if card.is_adapter else "transformers"
    if _is_built_in_adapter(card):
        title += f", after `palikit convert {BUILT_IN} {_BASE_FOLDER}` has written its base there"
    return (
        f"## Use\n\nThe prompt it was tuned for: `{_line(card.prompt)}`\n\n"
        f"With PaliKit:\n\n{ours}\n\nWith {title}:\n\n```python\n{code}\n```"
    )


def _is_built_in_adapter(card: ModelCard) -> bool:
    """Whether the base has to be written out first: it is in the package and nowhere else."""
    return card.is_adapter and card.base_model == BUILT_IN


def _licence(card: ModelCard) -> str:
    if card.license_id != "gemma":
        return f"## Licence\n\n{_line(card.license_id)}, the licence of its base model."
    return (
        "## Licence\n\nThe weights are derived from Gemma and come under the "
        "[Gemma terms of use](https://ai.google.dev/gemma/terms), prohibited uses included. The "
        "data may have terms of their own."
    )


def _is_hub_name(name: str) -> bool:
    owner, _, model = name.partition("/")
    return all(_SLUG.fullmatch(part.casefold()) for part in (owner, model))


def _line(text: str) -> str:
    """A text of the user's that stays within its line and its code quotes."""
    return " ".join(text.split()).replace("`", "'")


def _paragraph(text: str) -> str:
    return "\n\n".join(_line(part) for part in text.split("\n\n") if part.strip())


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")
