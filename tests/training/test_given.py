"""What `finetune` is given from Python: paths, rows, examples, options that exclude each other."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import palikit
from palikit.data.rows import Row, Rows
from palikit.errors import InputError
from palikit.processor import Query
from palikit.tokenizer import Tokenizer
from palikit.train_options import LoraOptions
from palikit.training import Mixture, RowExamples
from tests import tiny
from tests.training.toy import Toy, cat_rows, train, with_options

ONE = with_options(steps=1)


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    return cat_rows(tmp_path, 4)


def test_a_folder_may_be_named_by_a_text(tmp_path: Path) -> None:
    assert train(str(tmp_path / "run"), ONE).best == tmp_path / "run" / "best"


@pytest.mark.parametrize("form", [list, tuple, lambda rows: Rows(tuple(rows)), RowExamples])
def test_rows_are_examples(tmp_path: Path, rows: list[Row], form) -> None:
    assert train(tmp_path / "run", ONE, examples=form(rows)).step == 1


def test_rows_in_a_list_are_turned_as_the_options_say(tmp_path: Path, rows: list[Row]) -> None:
    options = with_options(steps=1, augment="mirror")
    assert train(tmp_path / "run", options, examples=rows).step == 1


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ([Query((tiny.picture(),), "cat", "dog")], "a list of Query"),
        ({"image": "a.png"}, "a dict"),
        ("cells/", "a str"),
    ],
)
def test_what_is_no_examples_is_told_with_what_would_be(
    tmp_path: Path, wrong: object, named: str
) -> None:
    with pytest.raises(InputError, match=f"the examples are {named}: give rows"):
        train(tmp_path / "run", ONE, examples=wrong)
    with pytest.raises(InputError, match=f"the examples are {named}: give rows"):
        Mixture(((wrong, 1.0),))


def test_an_empty_list_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no rows to train on"):
        train(tmp_path / "run", ONE, examples=Rows(()))


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_tokenizer_is_saved_though_nobody_named_its_file(tmp_path: Path, method: str) -> None:
    result = train(tmp_path / "run", with_options(steps=1, method=method))
    file = result.best / "tokenizer.json"
    again, first = Tokenizer.load(file), tiny.tokenizer()
    assert again.vocabulary == first.vocabulary
    text = "detect cat ; dog\n<loc0100><seg007> cat <eos>"
    for special in (True, False):
        ids = first.encode(text, allow_special=special)
        assert again.encode(text, allow_special=special) == ids
        assert again.decode(ids) == first.decode(ids)


def test_the_saved_tokenizer_splits_text_for_others_as_the_original(tmp_path: Path) -> None:
    from tokenizers import Tokenizer as TokenizerFile

    result = train(tmp_path / "run", ONE)
    ours = TokenizerFile.from_file(str(result.best / "tokenizer.json"))
    original = TokenizerFile.from_str(tiny.tokenizer_json())
    text = "<image><bos>detect cat\n<loc0100><loc1023><seg127> cat<eos>"
    assert ours.encode(text).ids == original.encode(text).ids


def test_adapters_are_given_for_methods_that_have_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lora is given and method is full"):
        train(tmp_path / "run", ONE, lora=LoraOptions())


@pytest.mark.parametrize("changes", [{"patience": 3}, {"metric": "ap"}])
def test_what_a_validation_decides_needs_one(tmp_path: Path, changes: dict) -> None:
    with pytest.raises(InputError, match="and there is no validation: give evaluate"):
        train(tmp_path / "run", with_options(**changes))


@pytest.mark.parametrize(
    ("frozen", "lora"),
    [
        ("freeze_image_tower", LoraOptions(lora_image_tower="q")),
        ("freeze_projector", LoraOptions(lora_projector="full")),
        ("freeze_decoder", LoraOptions(lora_image_tower="q")),
    ],
)
def test_what_is_frozen_gets_no_adapter(tmp_path: Path, frozen: str, lora: LoraOptions) -> None:
    options = with_options(method="lora", **{frozen: True})
    with pytest.raises(InputError, match=f"and {frozen} is set, so that it could not learn"):
        train(tmp_path / "run", options, lora=lora)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"optimizer": "sgd", "beta2": 0.95}, "beta2 is given and optimizer is sgd"),
        ({"optimizer": "adafactor", "eps": 1e-6}, "eps is given and optimizer is adafactor"),
        ({"weight_decay_on": "lora"}, "weight_decay_on is given and weight_decay is 0"),
    ],
)
def test_options_that_do_nothing_are_told(tmp_path: Path, changes: dict, told: str) -> None:
    with pytest.raises(InputError, match=told):
        train(tmp_path / "run", with_options(**changes))
    assert not (tmp_path / "run").exists()


def test_an_expression_that_freezes_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"freeze is 'visoin', which is found .* no weight"):
        train(tmp_path / "run", with_options(freeze="visoin"))


def test_the_examples_of_the_documentation_can_be_trained(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "fine-tuning.md"
    text = page.read_text(encoding="utf-8").partition("**Examples of your own**")[2]
    code = text[text.index("    import palikit") : text.index("\n## ")]
    names: dict[str, Any] = {}
    exec(compile(textwrap.dedent(code), str(page), "exec"), names)
    discs = names["Discs"]()
    query = discs.query(0, np.random.default_rng(0))
    assert isinstance(query, palikit.Query)
    assert query.suffix in ("a large disc", "a small disc")
    assert train(tmp_path / "run", ONE, examples=discs).step == 1


def test_examples_of_ones_own_need_no_more_than_the_protocol(tmp_path: Path) -> None:
    mixed = palikit.Mixture(((Toy(), 1.0), (Toy(), 2.0)))
    assert train(tmp_path / "run", ONE, examples=mixed).step == 1
