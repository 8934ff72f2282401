"""The options of LoRA: which layers get it, and of what rank."""

from dataclasses import dataclass
from typing import Literal, get_args

from palikit.errors import InputError
from palikit.options import option
from palikit.train_options.run import TrainOptions

ProjectorTraining = Literal["frozen", "lora", "full"]

_DECODER_LAYERS = ("q", "k", "v", "o", "gate", "up", "down")
_IMAGE_TOWER_LAYERS = {
    "q": "q_proj",
    "k": "k_proj",
    "v": "v_proj",
    "out": "out_proj",
    "fc1": "fc1",
    "fc2": "fc2",
}


@dataclass(frozen=True)
class LoraOptions:
    """Which layers get LoRA, tower by tower, and of what rank.

    The recipe of the release post is LoraOptions(lora_image_tower="q,k,v").
    """

    lora_rank: int = option(8, "Rank of the LoRA layers, 1 or more.")
    lora_alpha: float = option(8.0, "What LoRA layers add is scaled by alpha / rank; above 0.")
    lora_dropout: float = option(0.0, "Share of a LoRA layer's input that is dropped, below 1.")
    use_rslora: bool = option(
        default=False, doc="Scale by alpha / sqrt(rank), which keeps high ranks learning."
    )
    lora_decoder: str = option(
        "q,k,v,o,gate,up,down",
        "Layers of the decoder that get LoRA, separated by commas, or none.",
    )
    lora_image_tower: str = option(
        "none", "Layers of the image tower that get LoRA: of q,k,v,out,fc1,fc2, or none."
    )
    lora_projector: ProjectorTraining = option(
        "frozen", "The projection between the towers: frozen, with LoRA, or trained in full."
    )

    def __post_init__(self) -> None:
        if type(self.lora_rank) is not int or self.lora_rank < 1:
            raise InputError(
                f"lora_rank is {self.lora_rank!r}: it must be a whole number, 1 or more"
            )
        alpha, dropout = self.lora_alpha, self.lora_dropout
        if not isinstance(alpha, int | float) or not 0 < alpha < float("inf"):
            raise InputError(f"lora_alpha is {alpha!r}: it must be a number above 0")
        if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
            raise InputError(f"lora_dropout is {dropout!r}: it must be at least 0 and below 1")
        if self.lora_projector not in get_args(ProjectorTraining):
            raise InputError(
                f"lora_projector is {self.lora_projector!r}: it must be 'frozen', 'lora' or 'full'"
            )
        _ = self.decoder_layers, self.image_tower_layers

    @property
    def decoder_layers(self) -> tuple[str, ...]:
        """Names of the decoder's layers that get LoRA, such as `gate_proj`."""
        known = {name: f"{name}_proj" for name in _DECODER_LAYERS}
        return _layer_names("lora_decoder", self.lora_decoder, known)

    @property
    def image_tower_layers(self) -> tuple[str, ...]:
        """Names of the image tower's layers that get LoRA, such as `out_proj` and `fc1`."""
        return _layer_names("lora_image_tower", self.lora_image_tower, _IMAGE_TOWER_LAYERS)

    def check(self, train: TrainOptions) -> None:
        """Refuse to put layers where nothing may learn.

        Args:
            train: of the same run.

        Raises:
            InputError: a tower is frozen and gets LoRA.
        """
        for switch, name, is_adapted in (
            ("freeze_image_tower", "lora_image_tower", bool(self.image_tower_layers)),
            ("freeze_decoder", "lora_decoder", bool(self.decoder_layers)),
            ("freeze_projector", "lora_projector", self.lora_projector != "frozen"),
        ):
            if getattr(train, switch) and is_adapted:
                nothing = "frozen" if name == "lora_projector" else "none"
                raise InputError(
                    f"{name} is {getattr(self, name)} and {switch} is set, so that it could not "
                    f"learn: set {name} to {nothing}, or leave {switch} out"
                )

    @property
    def is_empty(self) -> bool:
        """Whether no layer gets LoRA."""
        has_projector = self.lora_projector == "lora"
        return not (self.decoder_layers or self.image_tower_layers or has_projector)


def _layer_names(option_name: str, text: str, known: dict[str, str]) -> tuple[str, ...]:
    """Names separated by commas, each short (`q`) or whole (`q_proj`), in the order of `known`."""
    given = [name.strip() for name in text.split(",") if name.strip()]
    if given == ["none"]:
        given = []
    chosen = {short for short, whole in known.items() if short in given or whole in given}
    for name in given:
        if name not in known and name not in known.values():
            raise InputError(
                f"{option_name} is {text!r}: {name!r} is no layer there; choose of "
                f"{','.join(known)}, or none"
            )
    return tuple(whole for short, whole in known.items() if short in chosen)
