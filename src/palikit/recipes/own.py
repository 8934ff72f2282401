"""Our own recipes: to be copied and changed, for a data set of some hundred to ten thousand rows.

They are starting points by reasoning, not by a search: a low-rank adapter because few examples do
not carry three billion weights, a rate ten times that of full training because the adapter begins
at zero, one rate for all sizes of the model, one example of a batch at a time so that a GPU of
16 GB carries the 3B at 448 px, validation each epoch and an early stop because small sets are
learned by heart. What each line is for stands beside it.
"""

from palikit.recipes.row import Recipe, Setting
from palikit.train_options import LoraOptions, TrainOptions

_LORA = LoraOptions(
    lora_rank=16,  # 8 carries a change of style, 32 a new domain
    lora_alpha=16.0,  # a scale of 1 whatever the rank
    lora_dropout=0.05,
    lora_projector="lora",
)

_LORA_EVERYWHERE = LoraOptions(
    lora_rank=16,
    lora_alpha=16.0,
    lora_dropout=0.05,
    lora_image_tower="q,k,v,out,fc1,fc2",  # where boxes are wanted, seeing itself has to adapt
    lora_projector="lora",
)

_SOURCE = "PaliKit, docs/fine-tuning.md; a starting point, without a published result"

_OBJECTS = (
    "Convert the data with --object-order raster: where the next object stands is then no guess. "
    "With fewer than a hundred pictures lower the epochs only if validation says so."
)

OWN: tuple[Recipe, ...] = (
    Recipe(
        "own",
        "captions, answers or text of your own",
        "vqa",
        "your rows; some tens to some hundreds of them kept for validation",
        "answer en {question}",
        "{answer}",
        128,
        "the task's own",
        # The same at each resolution: it changes what is seen, not how fast to learn.
        tuple(Setting(side, 10, 16, 1e-4) for side in (224, 448, 896)),
        _SOURCE,
        train=TrainOptions(method="lora", accumulation=16, max_text_tokens=128, patience=3),
        lora=_LORA,
    ),
    Recipe(
        "own-detect",
        "boxes of your own classes",
        "detect",
        "your pictures with boxes; a tenth of them kept for validation",
        "detect {class} ; {class}",
        "boxes with their classes",
        512,
        "AP at IoU .5 to .95",
        tuple(Setting(side, 30, 16, 1e-4) for side in (224, 448, 896)),
        _SOURCE,
        train=TrainOptions(method="lora", accumulation=16, max_text_tokens=512, patience=5),
        lora=_LORA_EVERYWHERE,
        note=_OBJECTS,
    ),
    Recipe(
        "own-segment",
        "outlines of your own classes",
        "segment",
        "your pictures with outlines; a tenth of them kept for validation",
        "segment {class} ; {class}",
        "boxes, 16 seg tokens and class of each object",
        1024,  # an object takes 22 tokens and more; some forty fit
        "quality: matched mask IoU over hits, misses and false finds",
        tuple(Setting(side, 50, 16, 1e-4, label_smoothing=0.1) for side in (224, 448, 896)),
        _SOURCE,
        train=TrainOptions(method="lora", accumulation=16, max_text_tokens=1024, patience=5),
        lora=_LORA_EVERYWHERE,
        note=f"{_OBJECTS} Crop crowded pictures: an answer holds some forty outlines. Codes are "
        "smoothed, as in refcoco-seg: neighbouring codes draw nearly the same outline.",
    ),
)
