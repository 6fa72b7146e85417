import re
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from core.errors import ModelUnusable
from core.models.folder import model_of_folder
from core.models.manifest import model_folders, read_manifest
from core.models.registry import standard_registry
from tests.folders import TOY_CODE, TOY_MANIFEST, TOY_WEIGHTS, toy_folder
from tests.tinycnn import TinyCNN

CPU = torch.device("cpu")


def refused(folder: Path) -> str:
    """The one sentence with which a folder is refused."""
    with pytest.raises(ModelUnusable) as caught:
        standard_registry(folder.parent).load(folder.name, CPU)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


def test_a_folder_is_a_model_under_its_own_name(tmp_path: Path) -> None:
    toy_folder(tmp_path, "my-net.v2")
    model = standard_registry(tmp_path).load("my-net.v2", CPU)
    assert model.spec.name == "my-net.v2"
    assert model.spec.labels == ("dark", "bright")
    assert model.spec.input_shape == (1, 4, 4)
    assert (model.features.layer, model.feature_dim) == ("fc", 4)
    picture = torch.arange(16.0).reshape(1, 1, 4, 4)
    sums = [0 + 1 + 4 + 5, 2 + 3 + 6 + 7, 8 + 9 + 12 + 13, 10 + 11 + 14 + 15]
    outputs = model.forward(picture)
    assert outputs.features[0].tolist() == sums
    assert outputs.logits[0].tolist() == [0, sum((i + 1) * s for i, s in enumerate(sums))]


def test_features_may_be_what_leaves_a_layer(tmp_path: Path) -> None:
    at_output = TOY_MANIFEST + '[features]\nlayer = "relu"\nat = "output"\n'
    toy_folder(tmp_path, manifest=at_output)
    model = standard_registry(tmp_path).load("toy", CPU)
    assert model.forward(torch.ones(1, 1, 4, 4)).features.tolist() == [[4]]  # (C,), pooled


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
        ('["dark", null]', "a list of texts"),
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


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_saved_state_dict_is_taken_bare_or_from_a_checkpoint(
    tmp_path: Path, wrapped: bool
) -> None:
    folder = toy_folder(tmp_path, manifest=TOY_MANIFEST.replace("weights.safetensors", "w.pt"))
    state = {"state_dict": TOY_WEIGHTS, "epoch": 3} if wrapped else TOY_WEIGHTS
    torch.save(state, folder / "w.pt")
    _, module = model_of_folder(folder)
    assert module.fc.weight.tolist() == TOY_WEIGHTS["fc.weight"].tolist()


def test_a_network_of_a_library_takes_arguments_and_own_weights(tmp_path: Path) -> None:
    manifest = """
        [model]
        source = "timm:resnet10t"
        weights = "w.pt"
        [model.args]
        num_classes = 3
        in_chans = 1
        [input]
        channels = 1
        height = 64
        width = 32
        resize = "stretch"
        mean = [0.5]
        std = [0.5]
        [classes]
        labels = ["a", "b", "c"]
    """
    folder = toy_folder(tmp_path, manifest=manifest)

    module = timm.create_model("resnet10t", num_classes=3, in_chans=1)
    torch.save(module.state_dict(), folder / "w.pt")
    spec, loaded = model_of_folder(folder)
    assert spec.input_shape == (1, 64, 32)
    assert torch.equal(loaded.fc.weight, module.fc.weight)


def test_a_library_says_what_a_manifest_leaves_out(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path, manifest='[model]\nsource = "torchvision:resnet18"\n')
    spec, _ = model_of_folder(folder, pretrained=False)
    assert spec.name == "toy"
    assert spec.input_shape == (3, 224, 224)
    assert len(spec.labels) == 1000


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[model]", "[model", ["model.toml", "is not TOML"]),
        ('source = "net.py:Toy"', "", ["[model] source", "is missing"]),
        ('"net.py:Toy"', '"net.py"', ["[model] source", "'net.py' is not allowed", "FILE.py:NAME"]),
        ('"net.py:Toy"', '"../net.py:Toy"', ["[model] source", "is not allowed"]),
        ('"net.py:Toy"', '"other.py:Toy"', ["[model] source", "no file 'other.py'"]),
        ('"net.py:Toy"', '"net.py:Toi"', ["[model] source", "no callable 'Toi'"]),
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
        ("std = [1.0]", "std = [0.0]", ["[input]", "std"]),
        ('["dark", "bright"]', '["dark"]', ["[classes] labels", "1 labels", "2 classes"]),
        ('["dark", "bright"]', "[1.5, 2]", ["[classes] labels", "a list of texts"]),
        ('["dark", "bright"]', '"l.txt"', ["[classes] labels", "no file 'l.txt'"]),
        ("[classes]", "[clases]", ["classes", "is missing"]),
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
    message = refused(toy_folder(tmp_path, manifest=manifest))
    for each in words:
        assert each in message


def test_an_unknown_feature_layer_is_named_with_those_there_are(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path, manifest=TOY_MANIFEST + '[features]\nlayer = "fc9"\n')
    message = refused(folder)
    assert "[features] layer" in message
    assert "fc9" in message
    assert "conv" in message


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named"),
        ("def Toy(n_classes):\n    raise OSError('disk\\non fire')", "OSError: disk"),
        ("def Toy(n_classes):\n    return 3", "gave int, not a torch.nn.Module"),
        ("class Toy(:", "SyntaxError"),
        (
            TOY_CODE.replace("torch.flatten(", "(lambda b, d: b)("),
            "does not run on 2 pictures of 1 x 4 x 4",
        ),
        (TOY_CODE + "\n    def eval(self):\n        return self\n", None),
    ],
)
def test_code_that_fails_is_one_sentence(tmp_path: Path, code: str, words: str | None) -> None:
    folder = toy_folder(tmp_path, code=code)
    if words is None:
        model_of_folder(folder)
    else:
        assert words in refused(folder)


def test_code_that_gives_no_logits_is_refused(tmp_path: Path) -> None:
    code = TOY_CODE.replace(
        "return self.fc(", "return self.relu(self.conv(batch))\n        self.fc("
    )
    assert "it gave (2, 1, 2, 2)" in refused(toy_folder(tmp_path, code=code))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fc.bias": None}, "lacks 'fc.bias'"),
        ({"fc.extra": torch.zeros(1)}, "has more than the network: 'fc.extra'"),
        ({"fc.weight": torch.zeros(3, 4)}, "shape (3, 4), the network's is (2, 4)"),
        ({"fc.bias": torch.tensor([0.0, float("nan")])}, "NaN or infinity in 'fc.bias'"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    tmp_path: Path, change: dict[str, torch.Tensor | None], words: str
) -> None:
    weights = {k: v for k, v in {**TOY_WEIGHTS, **change}.items() if v is not None}
    message = refused(toy_folder(tmp_path, weights=weights))
    assert "[model] weights: weights.safetensors" in message
    assert words in message


def test_a_pickled_module_is_refused_and_never_run(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path, manifest=TOY_MANIFEST.replace("weights.safetensors", "w.pt"))
    torch.save(TinyCNN(), folder / "w.pt")
    message = refused(folder)
    assert "pickled objects" in message
    assert "state_dict" in message


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\x80\x02]."])
def test_a_damaged_weights_file_is_refused(tmp_path: Path, content: bytes) -> None:
    for name in ("w.safetensors", "w.pt"):
        folder = toy_folder(
            tmp_path, name[2:], manifest=TOY_MANIFEST.replace("weights.safetensors", name)
        )
        (folder / name).write_bytes(content)
        assert "[model] weights" in refused(folder)


def test_a_folder_whose_name_is_taken_or_strange_is_refused(tmp_path: Path) -> None:
    toy_folder(tmp_path / "a", "efficientnet-lite0")
    with pytest.raises(ModelUnusable, match="taken"):
        standard_registry(tmp_path / "a")
    toy_folder(tmp_path / "b", "my net")
    with pytest.raises(ModelUnusable, match="letters, digits"):
        model_folders(tmp_path / "b")
    with pytest.raises(ModelUnusable, match="is no directory"):
        standard_registry(tmp_path / "nowhere")


def test_folders_without_a_manifest_are_no_models(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    folder = toy_folder(tmp_path)
    assert model_folders(tmp_path) == [folder]
    assert read_manifest(folder).arguments == {"n_classes": 2}


def test_two_folders_may_both_have_a_net_py(tmp_path: Path) -> None:
    toy_folder(tmp_path, "one")
    other = re.sub(r"class Toy.*", "", TOY_CODE, flags=re.DOTALL) + (
        "class Toy(nn.Module):\n"
        "    def __init__(self, n_classes):\n"
        "        super().__init__()\n"
        "        self.fc = nn.Linear(16, n_classes)\n"
        "    def forward(self, batch):\n"
        "        return self.fc(batch.flatten(1))\n"
    )
    weights = {"fc.weight": torch.zeros(2, 16), "fc.bias": torch.zeros(2)}
    toy_folder(tmp_path, "two", code=other, weights=weights)
    registry = standard_registry(tmp_path)
    assert registry.load("one", CPU).feature_dim == 4
    assert registry.load("two", CPU).feature_dim == 16


def test_colour_pictures_reach_a_grey_network_by_their_luminance(tmp_path: Path) -> None:

    toy_folder(tmp_path)
    grey = standard_registry(tmp_path).load("toy", CPU)
    colour = np.zeros((4, 4, 3), np.uint8)
    colour[..., 0] = 255  # red: luminance 0.299
    assert grey.spec.preprocess(colour)[0, 0, 0] == pytest.approx(76 / 255)
