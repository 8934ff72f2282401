"""The stages of nano's training on a few tiny batches: they learn, stop and go on."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from palikit.model.attention import attention_reference
from palikit.model.mask_codec import load_mask_codec
from palikit.model.paligemma import PaliGemma
from palikit.nano import codec_training, pretraining
from palikit.nano.architecture import (
    COPYING_LAYER,
    grid_waves,
    location_waves,
    nano_config,
    small_attention,
    start_copying_boxes,
    start_weights,
)
from palikit.nano.dense import CELLS, DenseReading, cell_targets
from palikit.nano.pretraining import PretrainingOptions, pretrain
from palikit.nano.scenes import COLORS, KINDS, SceneOptions, draw_scene
from palikit.nano.training import build
from palikit.nano.vocabulary import nano_tokenizer_json
from palikit.tokenizer import Tokenizer


def test_attention_for_small_models_is_attention() -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 4, 7, 8), torch.randn(2, 2, 9, 8), torch.randn(2, 2, 9, 8)
    limits = torch.randint(1, 10, (2, 7))
    for cap in (None, 5.0):
        for seen in (None, limits):
            ours = small_attention(q, k, v, seen, 0.3, cap)
            torch.testing.assert_close(ours, attention_reference(q, k, v, seen, 0.3, cap))


def test_cells_show_what_is_drawn_at_their_centre() -> None:
    scene = draw_scene(4, SceneOptions(160))
    targets = cell_targets(scene, 20)
    centre = 8 * np.arange(20) + 4
    for found in scene.objects:
        y, x = (
            np.flatnonzero((centre >= a) & (centre < b))
            for a, b in ((found.box.y1, found.box.y2), (found.box.x1, found.box.x2))
        )
        for row in y:
            for column in x:
                inside = found.visible[
                    int(centre[row] - found.box.y1), int(centre[column] - found.box.x1)
                ]
                if inside:
                    cell = 20 * row + column
                    assert KINDS[targets.names[cell, 0] - 1] == found.kind
                    assert tuple(COLORS)[targets.names[cell, 1] - 1] == found.color
                    assert targets.boxes[cell] * 160 == pytest.approx(found.box.to_list())


def test_readings_come_in_the_raster_order_of_the_cells() -> None:
    reading = DenseReading(16)
    tokens = torch.zeros(1, 9, 16)
    tokens[0, 4] = 1.0  # the patch in the middle of 3 x 3
    kind = reading(tokens)[0][0, :, 0] - reading(torch.zeros(1, 9, 16))[0][0, :, 0]
    changed = kind.reshape(3 * CELLS, 3 * CELLS).abs() > 1e-7
    assert changed[CELLS : 2 * CELLS, CELLS : 2 * CELLS].all()
    assert changed.sum() == CELLS**2


def test_patches_tell_of_their_smallest_object() -> None:
    torch.manual_seed(0)
    boxes = torch.zeros(1, 36, 4)
    shows = torch.zeros(1, 36, dtype=torch.bool)
    for cell, box in ((14, (0.0, 0.0, 1.0, 1.0)), (15, (0.4, 0.4, 0.6, 0.5))):  # both of patch 4
        boxes[0, cell], shows[0, cell] = torch.tensor(box), True
    reading = DenseReading(8)
    wanted = location_waves(torch.tensor([0.4, 0.4, 0.6, 0.5])).flatten()
    reading.read_waves.weight.data.zero_()
    reading.read_waves.bias.data.copy_(wanted)
    assert reading._wave_loss(torch.randn(1, 9, 8), boxes, shows).item() < 1e-10


def test_near_places_have_near_waves() -> None:
    table = location_waves(torch.linspace(0, 1, 1024))
    near, far = (table[500] @ table[500 + step] for step in (1, 300))
    assert near > far
    assert grid_waves(10, 64).shape == (100, 64)


def test_a_head_that_attends_to_an_object_says_one_edge_of_its_box(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(nano_tokenizer_json(), encoding="utf-8")
    vocabulary = Tokenizer.load(tmp_path / "tokenizer.json").vocabulary
    model = PaliGemma(nano_config(vocabulary))
    start_weights(model, vocabulary)
    start_copying_boxes(model, torch.eye(256)[:64], torch.zeros(64))
    box = torch.tensor([0.1, 0.25, 0.6, 0.9])
    token = torch.cat((location_waves(box).flatten(), torch.zeros(192)))  # as the tower tells it
    attention = model.language_model.layers[COPYING_LAYER].self_attn
    table = model.language_model.embed_tokens.weight
    with torch.no_grad():
        value = attention.v_proj(model.multi_modal_projector(token)).reshape(2, 64)
        for edge, place in enumerate(box.tolist()):
            heads = torch.zeros(4, 64)
            heads[edge] = value[edge // 2]
            said = attention.o_proj(heads.flatten())[:64] @ table[:, :64].T
            assert abs(int(said.argmax()) - vocabulary.loc_start - 1023 * place) < 16


@pytest.mark.e2e
def test_pretraining_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretraining, "SAVE_EVERY", 2)
    monkeypatch.setattr(pretraining, "REPORT_EVERY", 2)
    options = PretrainingOptions(steps=4, batch_size=2, workers=0)
    whole = load_file(pretrain(tmp_path / "whole", options))

    class StoppedError(Exception):
        pass

    def stop(*_: object) -> None:
        raise StoppedError

    with monkeypatch.context() as broken:
        save = pretraining._save
        broken.setattr(pretraining, "_save", lambda *a: (save(*a), stop()))
        with pytest.raises(StoppedError):
            pretrain(tmp_path / "parts", options)
    assert {path.name for path in (tmp_path / "parts").iterdir()} == {
        "pupil.safetensors",
        "metrics.jsonl",
    }
    with (tmp_path / "parts" / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"step": 4}\n{"step": ')  # of a process that was killed after its last save
    parts = load_file(pretrain(tmp_path / "parts", options))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    lines = (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2, 4]
    assert all("kind" in line for line in lines)


@pytest.mark.e2e
def test_the_codec_learns_and_loads(tmp_path: Path) -> None:
    path = tmp_path / "mask_codec.safetensors"
    codec_training.train_codec(path, steps=12, workers=0)
    codec = load_mask_codec(path)
    masks = torch.from_numpy(
        np.stack([codec_training.draw_mask(np.random.default_rng(i))[None] for i in range(8)])
    )
    assert codec.encode(masks).shape == (8, 16)
    assert codec.decode(codec.encode(masks)).shape == (8, 64, 64)


def test_a_new_model_always_begins_with_the_same_weights(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(nano_tokenizer_json(), encoding="utf-8")
    tokenizer = Tokenizer.load(file)
    first, second = (build(None, None, tokenizer).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
