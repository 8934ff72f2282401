"""What a finished adapter brings for transformers: its tokenizer, and the way to its base."""

import json
from pathlib import Path

from palikit.adapters import adapter_of
from palikit.model_card import ModelCard, card_text
from palikit.training.export import export_adapter
from palikit.training.result import Origin
from tests import tiny
from tests.adapters.trained import trained


def test_a_finished_adapter_has_the_settings_of_its_tokenizer(tmp_path: Path) -> None:
    given = tmp_path / "tokenizer.json"
    given.write_text(tiny.tokenizer_json(), encoding="utf-8")
    export_adapter(adapter_of(trained()), tmp_path / "best", Origin("nano", given, None))
    settings = json.loads((tmp_path / "best" / "tokenizer_config.json").read_text())
    assert settings["eos_token"] == "<eos>"
    assert (tmp_path / "best" / "tokenizer.json").read_bytes() == given.read_bytes()


def card(base: str, *, is_adapter: bool = True) -> str:
    return card_text(ModelCard("Shapes", base, "scenes", "LoRA", is_adapter))


def test_the_card_of_an_adapter_of_the_built_in_model_tells_where_its_base_is() -> None:
    text = card("nano")
    assert "after `palikit convert nano nano-base` has written its base there" in text
    assert 'PaliGemmaForConditionalGeneration.from_pretrained("nano-base")' in text
    assert 'AutoProcessor.from_pretrained("nano-base")' in text
    for other in (card("owner/name"), card("nano", is_adapter=False)):
        assert "palikit convert" not in other
