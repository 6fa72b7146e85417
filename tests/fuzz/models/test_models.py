"""A short campaign over model folders; `make fuzz` runs long ones."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.models.campaign import FolderCampaign
from tests.fuzz.models.folder import Files, Known, ModelFolder
from tests.fuzz.models.generator import model_folder
from tests.fuzz.models.trial import text_faults
from tests.fuzz.models.trials import Trials

FOLDERS = 40


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with Trials(max_seconds=10) as made:
        yield made


def test_no_folder_keeps_the_engine_from_serving_it_or_saying_why_not(
    trials: Trials, tmp_path: Path
) -> None:
    said: list[str] = []
    campaign = FolderCampaign(trials, tmp_path, seed=1, say=said.append)
    campaign.run(cases=FOLDERS)
    assert campaign.tried == FOLDERS
    assert said == []


def test_a_folder_is_the_same_for_the_same_seed() -> None:
    for number in range(40):
        assert model_folder(7, number) == model_folder(7, number)
    assert model_folder(7, 1) != model_folder(8, 1)


def changed(code: str, known: Known) -> ModelFolder:
    """A sound folder with other code."""
    made = next(each for each in (model_folder(1, i) for i in range(100)) if each.known.sound)
    files: Files = dict(made.files)
    files["net.py"] = code.encode()
    return ModelFolder(known, files)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("while True: pass", "no end within 10 s"),
        ("import os; os.abort()", "ended the process"),
        ("import os; os._exit(0)", "ended the process"),
        ("raise BaseException", "does not say of which folder it is"),
        ("raise MemoryError", "asked for memory"),
        ("much = b'x' * 1100 * 2**20", "MiB; at most"),
    ],
)
def test_what_a_folder_must_not_do_is_noticed(
    trials: Trials, tmp_path: Path, code: str, words: str
) -> None:
    changed(code, Known("odd")).write(tmp_path)
    assert words in " ".join(trials.faults(tmp_path))


def test_a_sound_folder_that_is_refused_is_kept_and_replays(trials: Trials, tmp_path: Path) -> None:
    changed("import nothing_of_that_name", Known("sound", sound=True)).write(tmp_path)
    (found,) = trials.faults(tmp_path)
    assert found.startswith("refused, and is sound: ")
    assert "nothing_of_that_name" in found
    assert trials.faults(tmp_path) == [found]


def test_a_text_is_one_short_line_that_names_the_folder() -> None:
    folder = Path("/models/net")
    assert list(text_faults("/models/net/model.toml: [input] height: is missing", folder)) == []
    assert list(text_faults("model 'net': it puts out 3 classes", folder)) == []
    for text, words in (
        ("/models/net: two\nlines", "line break"),
        ("/models/net: " + "x" * 700, "characters"),
        ("/models/net: pass weights_only=False", "weights_only"),
        ("/models/net: \ud800", "cannot be written"),
        ("something is wrong", "of which folder"),
    ):
        (found,) = text_faults(text, folder)
        assert words in found
