"""What a `model.toml` may say; a mistake is one sentence that names the file and the field."""

from pathlib import Path

import pytest

from core.errors import ModelUnusable
from core.models.folder import model_of_folder
from core.models.manifest import model_folders, read_manifest
from tests.core.models.folders import refused
from tests.folders import TOY_MANIFEST, toy_folder


def test_labels_may_come_from_a_file(tmp_path: Path) -> None:
    manifest = TOY_MANIFEST.replace('["dark", "bright"]', '"labels.txt"')
    folder = toy_folder(tmp_path, manifest=manifest)
    (folder / "labels.txt").write_text("dark\nbright, très\n\n", encoding="utf-8")
    assert model_of_folder(folder)[0].labels == ("dark", "bright, très")


def test_a_byte_order_mark_of_an_editor_is_no_part_of_a_label(tmp_path: Path) -> None:
    manifest = "\ufeff" + TOY_MANIFEST.replace('["dark", "bright"]', '"labels.txt"')
    folder = toy_folder(tmp_path, manifest=manifest)
    (folder / "labels.txt").write_text("\ufeffdark\r\nbright\r\n", encoding="utf-8")
    assert model_of_folder(folder)[0].labels == ("dark", "bright")


@pytest.mark.parametrize(
    "text",
    [
        '["dark", "bright"]',
        '{"1": "bright", "0": "dark"}',
        '{"bright": 1, "dark": 0}',
        '{"0": ["n01", "dark"], "1": ["n02", "bright"]}',
    ],
)
def test_labels_may_be_json(tmp_path: Path, text: str) -> None:
    manifest = TOY_MANIFEST.replace('["dark", "bright"]', '"labels.json"')
    folder = toy_folder(tmp_path, manifest=manifest)
    (folder / "labels.json").write_text(text, encoding="utf-8")
    assert model_of_folder(folder)[0].labels == ("dark", "bright")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('["dark",', "is not JSON"),
        ('"dark"', "holds no list of labels"),
        ('{"0": "dark", "2": "bright"}', "each class index, 0 to 1"),
        ('{"dark": 0, "bright": 0}', "each class index"),
        ('["dark", null]', "not None"),
        ('["dark", ""]', "not ''"),
        ("[]", "there are none"),
        ("[" * 100_000, "is not JSON: maximum recursion depth"),
        ("[" + "9" * 6000 + "]", "is not JSON"),
        ('["dark", "half of \\ud83d"]', "not 'half of \\ud83d'"),
        (f'["dark", "{"x" * 1001}"]', "not 'xxx"),
    ],
)
def test_labels_that_are_none_are_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    manifest = TOY_MANIFEST.replace('["dark", "bright"]', '"labels.json"')
    folder = toy_folder(tmp_path, manifest=manifest)
    (folder / "labels.json").write_text(text, encoding="utf-8")
    message = refused(folder)
    assert "[classes] labels" in message
    assert words in message


def test_labels_may_be_numbers(tmp_path: Path) -> None:
    manifest = TOY_MANIFEST.replace('["dark", "bright"]', "[0, 1]")
    assert model_of_folder(toy_folder(tmp_path, manifest=manifest))[0].labels == ("0", "1")


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_manifest_in_another_encoding_is_one_sentence(tmp_path: Path, encoding: str) -> None:
    folder = toy_folder(tmp_path)
    text = TOY_MANIFEST.replace("bright", "très")
    (folder / "model.toml").write_bytes(text.encode(encoding))
    with pytest.raises(ModelUnusable, match=r"model\.toml: is not UTF-8 text: save it as UTF-8"):
        model_of_folder(folder)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[model]", "[model", ["model.toml", "is not TOML", "line 2, column 7): '[model'"]),
        ('"net.py:Toy"', "net.py:Toy", ["is not TOML", "line 3", "'source = net.py:Toy'"]),
        ('"weights.safetensors"', '"C:\\w.pt"', ["is not TOML", "line 4", "C:"]),
        ('source = "net.py:Toy"', "", ["[model] source", "is missing"]),
        ('"net.py:Toy"', '"net.py"', ["[model] source", "'net.py' is not allowed", "FILE.py:NAME"]),
        ('"net.py:Toy"', '"../net.py:Toy"', ["[model] source", "is not allowed"]),
        ('"net.py:Toy"', '"other.py:Toy"', ["[model] source", "no file 'other.py'"]),
        ('"net.py:Toy"', '"net.py:Toi"', ["[model] source", "no callable 'Toi'; is 'Toy' meant?"]),
        ('"net.py:Toy"', '"net.py:torch"', ["[model] source", "no callable 'torch'"]),
        ('"net.py:Toy"', '"timm:nope"', ["[model] source", "timm:nope"]),
        ("n_classes = 2", "classes = 2", ["[model.args]", "unexpected keyword"]),
        ("weights =", "weigths =", ["[model] weigths", "is not a field", "weights"]),
        ("weights.safetensors", "w.safetensors", ["[model] weights", "no file 'w.safetensors'"]),
        ("weights.safetensors", "/etc/passwd", ["[model] weights", "outside the folder"]),
        ("weights.safetensors", "net.py", ["[model] weights", "net.py"]),
        ("channels = 1", "channels = 2", ["[input]", "channels=2 is not allowed: 1 or 3"]),
        ("channels = 1", 'channels = "1"', ["[input] channels", "a whole number"]),
        ("channels = 1", "channels = true", ["[input] channels", "a whole number"]),
        ("height = 4", "", ["[input] height", "is missing"]),
        ("height = 4", "hieght = 4\nheight = 4", ["[input] hieght", "is not a field", "height"]),
        ("height = 4", "hieght = 4", ["[input] height", "is missing", "'hieght'"]),
        ("resize = 4", "resize = 3", ["[input]", "resize=3 is not allowed"]),
        ("resize = 4", 'resize = "crop"', ["[input] resize", "'crop'", "'stretch'"]),
        ('"nearest"', '"lanczos"', ["[input] interpolation", "nearest, bilinear, bicubic"]),
        ("mean = [0.0]", "mean = [0.0, 1.0]", ["[input]", "2 means"]),
        ("mean = [0.0]", 'mean = ["a"]', ["[input] mean", "numbers"]),
        ("mean = [0.0]", "mean = [true]", ["[input] mean", "[True]", "numbers"]),
        ("mean = [0.0]", "mean = [nan]", ["[input]", "mean=(nan,)"]),
        ("mean = [0.0]", "mean = [-inf]", ["[input]", "mean=(-inf,)"]),
        ("mean = [0.0]", f"mean = [{'9' * 400}]", ["[input] mean", "999…", "numbers"]),
        ("std = [1.0]", "std = [0.0]", ["[input]", "std"]),
        ("std = [1.0]", "std = [nan]", ["[input]", "std=(nan,)"]),
        ("std = [1.0]", "std = [inf]", ["[input]", "std=(inf,)"]),
        ("std = [1.0]", "std = [1e-320]", ["[input]", "std=(1e-320,)"]),
        ("height = 4", "height = 100000", ["[input]", "100000 x 4", "1 to 4096"]),
        ("height = 4", f"height = {'9' * 5000}", ["is not TOML", "4300 digits"]),
        ("height = 4", f"height = 0x{'f' * 5000}", ["[input]", "int x 4", "1 to 4096"]),
        ("resize = 4", "resize = 1000000000", ["[input]", "resize=1000000000", "4096"]),
        ("height = 4", 'height = 4\n"a\\nb" = 1', ["[input] 'a\\nb'", "is not a field"]),
        ("height = 4", f"height = 4\n{'k' * 5000} = 1", ["[input] 'kkk", "kk…: is not a field"]),
        ("height = 4", f"height = {'[' * 30_000}", ["is not TOML", "recursion"]),
        ("weights.safetensors", "a\\u0000b", ["[model] weights", "'a\\x00b' is no file"]),
        ("weights.safetensors", "x" * 300, ["[model] weights", "is no file", "too long"]),
        ("weights.safetensors", "loop", ["[model] weights", "'loop' is no file"]),
        ('["dark", "bright"]', '["dark"]', ["[classes] labels", "1 labels", "2 classes"]),
        ('["dark", "bright"]', "[1.5, 2]", ["[classes] labels", "a list of texts"]),
        ('["dark", "bright"]', '"l.txt"', ["[classes] labels", "no file 'l.txt'"]),
        ("[classes]", "[clases]", ["model.toml [classes]: is missing; is 'clases' meant?"]),
        ("height = 4", "height = 6", ["[input]", "does not run on 2 pictures of 1 x 6 x 4"]),
    ],
)
def test_a_wrong_manifest_is_one_sentence_naming_file_and_field(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    assert old in TOY_MANIFEST
    manifest = TOY_MANIFEST.replace(old, new, 1)
    if "height = 6" in new:
        manifest = manifest.replace("resize = 4", "resize = 6")
    folder = toy_folder(tmp_path, manifest=manifest)
    (folder / "loop").symlink_to("loop")
    message = refused(folder)
    assert len(message.replace(str(tmp_path), "")) < 500
    for each in words:
        assert each in message


def test_an_unknown_feature_layer_is_named_with_those_there_are(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path, manifest=TOY_MANIFEST + '[features]\nlayer = "fc9"\n')
    message = refused(folder)
    assert "[features] layer" in message
    assert "fc9" in message
    assert "conv" in message


@pytest.mark.parametrize("link", ["model.toml", "/dev/zero", "nowhere", None])
def test_a_manifest_that_is_no_file_is_one_sentence(tmp_path: Path, link: str | None) -> None:
    if link is None:
        (tmp_path / "model.toml").mkdir()
    else:
        (tmp_path / "model.toml").symlink_to(link)
    with pytest.raises(ModelUnusable, match=r"model\.toml: there is no such file$"):
        read_manifest(tmp_path)


def test_folders_without_a_manifest_are_no_models(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    folder = toy_folder(tmp_path)
    assert model_folders(tmp_path) == [folder]
    assert read_manifest(folder).arguments == {"n_classes": 2}
