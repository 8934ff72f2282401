"""`palikit finetune`: what it refuses before it loads anything, and how a run goes on."""

import json
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from palikit.cli import main
from palikit.errors import HubError
from palikit.training import disk
from tests import tiny
from tests.e2e.test_finetune import write_rows
from tests.parity.oracle import save_tiny


class Place:
    """A folder with a tiny model and data, and a person who types commands there."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch

    def run(self, *arguments: object) -> Result:
        words = ["finetune", *map(str, arguments)]
        self.monkeypatch.setattr(sys, "argv", ["palikit", *words])
        return CliRunner().invoke(main, words, prog_name="palikit")

    def begun(self, *arguments: object) -> Result:
        return self.run("-m", "model", "--data", "data", "--output", "run", *arguments)

    def refused(self, *arguments: object) -> str:
        result = self.run(*arguments)
        assert result.exit_code == 2, result.output
        return result.stderr.splitlines()[-1].removeprefix("palikit: error: ")

    def refused_to_begin(self, *arguments: object) -> str:
        told = self.refused("-m", "model", "--data", "data", "--output", "run", *arguments)
        assert not Path("run").exists()
        return told


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finetune")
    save_tiny(folder / "model", tiny.model())
    (folder / "data").mkdir()
    write_rows(folder / "data" / "train.jsonl", range(8))
    write_rows(folder / "data" / "val.jsonl", range(8, 10))
    return folder


@pytest.fixture
def place(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    folder = shutil.copytree(prepared, tmp_path / "place")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PALIKIT_MODEL", raising=False)
    return Place(folder, monkeypatch)


SHORT = ("--batch-size", 4, "--steps", 2, "--num-workers", 0)
UNMEASURED = (*SHORT, "--val", "none")

CONTRADICTIONS = (
    (("--val", "none", "--patience", 3), "--patience is given and --val is none"),
    (("--val", "none", "--metric", "ap"), "--metric is given and --val is none"),
    (("--val", "none", "--evaluate-every", 3), "--evaluate-every is given and --val is none"),
    (
        ("--data", "data/train.jsonl", "--patience", 3),
        "--patience is given and there is no validation set",
    ),
    (
        ("--method", "lora", "--lora-image-tower", "q", "--freeze-image-tower"),
        "--lora-image-tower is q and --freeze-image-tower is set",
    ),
    (
        ("--method", "lora", "--freeze-decoder"),
        "--lora-decoder is q,k,v,o,gate,up,down and --freeze-decoder is set",
    ),
    (("--steps", 3, "--epochs", 2), "--steps and --epochs are both given"),
    (("--optimizer", "sgd", "--beta2", 0.9), "beta2 is given and --optimizer is sgd"),
    (("--weight-decay-on", "x"), "weight_decay_on is given and --weight-decay is 0"),
    (("--worker-processes", "--num-workers", 0), "--num-workers is 0 and --worker-processes"),
    (("--freeze", "visoin"), "--freeze is 'visoin'"),
)


@pytest.mark.parametrize(("words", "told"), CONTRADICTIONS)
def test_options_that_contradict_each_other_are_refused(
    place: Place, words: tuple[object, ...], told: str
) -> None:
    data = () if "--data" in words else ("--data", "data")
    sentence = place.refused("-m", "model", *data, "--output", "run", *words)
    assert told.replace("_", "-") in sentence.replace("_", "-"), sentence
    assert not Path("run").exists()


def test_turning_pictures_of_captions_is_refused(place: Place) -> None:
    write_rows(Path("data/train.jsonl"), range(4), prefix="caption en", suffix="a dog")
    told = place.refused(
        "-m", "model", "--data", "data/train.jsonl", "--output", "run", "--augment", "mirror"
    )
    assert "no row is of these: leave it out" in told


METRICS = (
    ("map", "--metric is 'map', which a validation of "),
    ("cer", "--metric is 'cer', and less of it is better: give -cer"),
    ("-ap", "--metric is '-ap', and more of it is better: give ap"),
    ("similarity", "which a validation of detect does not measure: its figures are ap, ap50"),
    ("ap/unicorn", "no row of the validation is about 'unicorn': its classes are cat, dog"),
)


@pytest.mark.parametrize("extra", [(), ("--dry-run",)])
@pytest.mark.parametrize(("metric", "told"), METRICS)
def test_a_metric_that_is_not_measured_is_refused_before_the_model_is_loaded(
    place: Place, metric: str, told: str, extra: tuple[str, ...]
) -> None:
    place.monkeypatch.setattr("palikit.loading.load_with", None)
    assert told in place.refused_to_begin("--metric", metric, *extra)


def test_a_metric_of_one_class_is_taken(place: Place) -> None:
    assert place.begun("--metric", "ap/dog", "--dry-run").exit_code == 0


def test_figures_that_decide_are_those_that_are_measured(place: Place, tmp_path: Path) -> None:
    from palikit.scores import figures_of
    from tests.evaluation.test_validation import boxes, detect_row, run, scripted

    tiny.picture(0, (40, 30)).save(tmp_path / "0.png")
    row = detect_row(tmp_path / "0.png")
    measured = run([row], "detect", scripted(boxes()), tmp_path)
    names = {name for name, _ in measured.figures if "/" not in name}
    assert names <= set(figures_of("detect"))
    assert measured.main == figures_of("detect")[0]


def test_missing_data_are_refused_at_once_and_leave_nothing(tmp_path: Path) -> None:
    """In a process of its own: no PyTorch is imported."""
    code = (
        "import sys; from palikit.cli import main\n"
        "try: main(['finetune', '--data', 'missing', '--output', 'runs/a'])\n"
        "finally: sys.exit('torch' in sys.modules)"
    )
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "there is no missing: give a folder or file of a data set" in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert time.monotonic() - begun < 10  # a machine may be busy


def test_a_command_without_data_says_so(place: Place) -> None:
    assert place.refused("--output", "run") == (
        "data is missing: give --data, a folder or file of labelled pictures"
    )


def test_rows_that_are_too_long_name_the_option_that_was_typed(place: Place) -> None:
    assert "raise --max-text-tokens" in place.refused_to_begin("--max-text-tokens", 8)


def test_the_folder_of_a_run_is_no_model(place: Place) -> None:
    assert place.begun(*UNMEASURED).exit_code == 0
    told = place.refused("-m", "run/", "--data", "data", "--output", "other")
    assert told == "run/ is the folder of a run, and its model is run/best: give that as the model"
    assert not Path("other").exists()


def test_a_run_is_not_overwritten_by_one_that_needs_what_is_in_it(place: Place) -> None:
    assert place.begun(*UNMEASURED).exit_code == 0
    shutil.copytree("data", "run/data")
    inside = (
        ("run/best", "-m", "run/best", "--data", "data"),
        ("run/data", "-m", "model", "--data", "run/data=2"),
        ("run/data/val.jsonl", "-m", "model", "--data", "data", "--val", "run/data/val.jsonl"),
        (
            "run/best/tokenizer.json",
            *("-m", "model", "--data", "data", "--tokenizer", "run/best/tokenizer.json"),
        ),
    )
    place.monkeypatch.setattr("palikit.loading.load_with", None)  # known before a model is loaded
    for named, *words in inside:
        told = place.refused(*words, "--output", "run", "--overwrite", *SHORT)
        assert told.startswith(f"{named} is in run, which --overwrite removes first"), told
    assert place.run("--resume", "--output", "run", "--dry-run").exit_code == 0


def test_what_a_recipe_says_and_nobody_typed_is_left_out_where_it_means_nothing(
    place: Place,
) -> None:
    place.monkeypatch.setattr("palikit.loading.load_with", None)
    decayed = ("--recipe", "post-lora", "--weight-decay", 0, "--dry-run")
    assert place.begun(*UNMEASURED, *decayed).exit_code == 0
    told = place.refused_to_begin(*UNMEASURED, *decayed, "--weight-decay-on", "x")
    assert "--weight-decay-on is given and --weight-decay is 0" in told


@pytest.mark.parametrize("split", ["train", "val"])
def test_damaged_pictures_are_named_before_a_run_begins(place: Place, split: str) -> None:
    rows = Path(f"data/{split}.jsonl")
    name = json.loads(rows.read_text().splitlines()[1])["image"]
    picture = rows.parent / name
    picture.write_bytes(picture.read_bytes()[:40])
    told = place.refused_to_begin(*SHORT)
    assert f"{split}.jsonl" in told
    assert f"{name} is not a picture, or its beginning is damaged" in told


def test_a_run_goes_on_as_it_was_begun_from_any_folder(place: Place) -> None:
    lora = ("--method", "lora", "--lora-rank", 4, "--schedule", "constant", "--warmup", 0)
    assert place.begun(*UNMEASURED, *lora, "--checkpoint-every", 1).exit_code == 0
    first = json.loads(Path("run/run.json").read_text())
    elsewhere = place.folder / "elsewhere"
    elsewhere.mkdir()
    place.monkeypatch.chdir(elsewhere)
    place.monkeypatch.setenv("PALIKIT_MODEL", "of-other-commands")
    done = place.run("--resume", "--output", "../run")
    assert done.exit_code == 0, done.output
    assert "all 2 steps of the run are done already" in done.stderr
    done = place.run("--resume", "--output", "../run", "--steps", 4, "--keep", 5)
    assert done.exit_code == 0, done.output
    assert "the run had 2 steps and has 4 from now on" in done.stderr
    assert "going on from step 2 of 4" in done.stderr
    record = json.loads((place.folder / "run" / "run.json").read_text())
    assert record["options"] == first["options"] | {"steps": 4, "keep": 5}
    assert place.run("--resume", "--output", "../run").exit_code == 0


def test_options_that_would_end_in_other_weights_are_refused(place: Place) -> None:
    assert place.begun(*UNMEASURED).exit_code == 0
    told = place.refused("--resume", "--output", "run", "--learning-rate", "1e-3")
    assert (
        "cannot be resumed: learning_rate was 1e-05 and is 0.001. It would end with other" in told
    )


def test_a_run_that_this_command_did_not_begin_needs_its_data_named(place: Place) -> None:
    assert place.begun(*UNMEASURED).exit_code == 0
    record = json.loads(Path("run/run.json").read_text())
    Path("run/run.json").write_text(json.dumps(record | {"command": ["train.py"]}))
    assert place.refused("--resume", "--output", "run").startswith("data is missing")
    done = place.run("--resume", "--output", "run", "--data", "data", "--val", "none")
    assert done.exit_code == 0, done.output


def test_the_data_set_may_have_moved(place: Place) -> None:
    assert place.begun(*UNMEASURED).exit_code == 0
    Path("data").rename("moved")
    assert "there is no data" in place.refused("--resume", "--output", "run")
    assert place.run("--resume", "--output", "run", "--data", "moved").exit_code == 0


def test_a_recipe_that_stops_early_trains_without_a_validation(place: Place) -> None:
    recipe = ("--recipe", "own-detect", "--accumulation", 1)
    done = place.begun(*UNMEASURED, *recipe, "--dry-run")
    assert done.exit_code == 0, done.output


def test_empty_answers_that_would_silence_the_others_are_told(place: Place) -> None:
    told = "1 of 5 rows show nothing"
    write_rows(Path("data/val.jsonl"), range(4))
    rows = [json.loads(line) for line in Path("data/val.jsonl").read_text().splitlines()]
    for row in rows:  # four answers of twelve boxes, and one of none
        row["suffix"] = " ; ".join([row["suffix"]] * 12)
    rows.append({**rows[0], "image": "5.png", "suffix": "", "objects": []})
    Path("data/train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    short = (*UNMEASURED, "--dry-run")
    assert told in place.begun(*short).stderr
    assert told not in place.begun(*short, "--mean", "token").stderr
    Path("data/train.jsonl").write_text("\n".join(map(json.dumps, rows[:4])))
    assert told.partition(" ")[2] not in place.begun(*short).stderr


def test_a_dry_run_tells_the_room_on_the_disk_and_refuses_without(place: Place) -> None:
    done = place.begun(*SHORT, "--dry-run")
    assert "checkpoint x1" in done.stdout
    assert "model x2" in done.stdout
    usage = namedtuple("usage", "free")
    place.monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage(2**20))
    told = place.refused_to_begin(*SHORT, "--dry-run")
    assert "and its disk has 1.0 MiB free: make room" in told


PUSH = ("--push-to-hub", "me/cells")


def test_nobody_trains_for_a_push_that_cannot_be(place: Place) -> None:
    def refuse(repository: str) -> None:
        raise HubError(f"{repository} could not be pushed, for nobody is logged in")

    place.monkeypatch.setattr("palikit.publishing.check_access", refuse)
    assert "me/cells could not be pushed" in place.refused_to_begin(*PUSH)


def test_a_push_that_fails_can_be_done_later_by_the_command_that_is_printed(place: Place) -> None:
    pushed: list[tuple[Path, str]] = []

    def fail(folder: Path, repository: str) -> str:
        raise HubError(f"{repository} could not be pushed (no network)")

    def publish(folder: Path, repository: str) -> str:
        pushed.append((folder, repository))
        return "https://huggingface.co/me/cells"

    place.monkeypatch.setattr("palikit.publishing.check_access", lambda _: None)
    place.monkeypatch.setattr("palikit.publishing.publish", fail)
    done = place.begun(*UNMEASURED, *PUSH)
    assert done.exit_code == 2
    assert "use it: palikit" in done.stdout
    again = done.stderr.strip().rpartition("push it later with: palikit finetune ")[2]
    assert again == "--resume --output run --push-to-hub me/cells"
    place.monkeypatch.setattr("palikit.publishing.publish", publish)
    place.monkeypatch.setattr("palikit.loading.load_with", None)  # nothing is loaded for it
    done = place.run(*again.split())
    assert done.exit_code == 0, done.output
    assert done.stdout == "pushed: https://huggingface.co/me/cells\n"
    assert pushed == [(Path("run/best"), "me/cells")]
