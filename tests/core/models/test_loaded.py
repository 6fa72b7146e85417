import gc
import logging
import weakref

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.errors import InvalidValue, ModelUnusable, UnknownLayer
from core.models import loaded as loaded_module
from core.models.loaded import LoadedModel
from core.models.runtimes.runtime import Compiled, OpenVinoRuntime, Outputs, TorchRuntime
from core.models.structure.layers import classifier_layer, executed_layers
from core.models.structure.ports import Port
from tests.tinycnn import SIZE, TinyCNN, tiny_model, tiny_spec

CPU = torch.device("cpu")


def batch(rows: int, seed: int = 1) -> Tensor:
    return torch.randn(rows, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def test_compiled_forward_equals_the_torch_module_at_every_batch_size() -> None:
    model = tiny_model()
    assert model.runtime.name == "openvino"
    for rows in (1, 2, 5):
        expected = model.module(batch(rows)).numpy()
        np.testing.assert_allclose(model.runtime(batch(rows)).logits, expected, atol=1e-5)


def test_a_row_in_a_batch_equals_the_row_alone() -> None:
    model = tiny_model()
    together = model.runtime(batch(5))
    for i in range(5):
        alone = model.runtime(batch(5)[i : i + 1])
        np.testing.assert_allclose(together.logits[i], alone.logits[0], atol=1e-5)
        np.testing.assert_allclose(together.features[i], alone.features[0], atol=1e-5)


@pytest.mark.parametrize("rows", [1, 5])
def test_a_compiled_network_that_nobody_holds_goes_with_its_memory_and_threads(rows: int) -> None:
    runtime = tiny_model().runtime
    assert isinstance(runtime, OpenVinoRuntime)
    compiled = Compiled(runtime.converted, threads=1)
    compiled(batch(rows).numpy())
    held = weakref.ref(compiled)
    del compiled
    gc.collect()
    assert held() is None


def test_features_are_the_input_of_the_last_linear_layer() -> None:
    model = tiny_model()
    outputs = model.runtime(batch(3))
    assert model.features == Port("classifier", "input")
    assert outputs.features.shape == (3, 24)
    with torch.no_grad():
        logits = model.module.classifier(torch.from_numpy(outputs.features))  # type: ignore[operator]
    np.testing.assert_allclose(logits.numpy(), outputs.logits, atol=1e-5)


def test_the_last_linear_layer_is_found_by_running_not_by_registration() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(4, 2)
            self.first = nn.Linear(3 * SIZE * SIZE, 4)

        def forward(self, rows: Tensor) -> Tensor:
            return self.last(self.first(rows.flatten(1)))

    assert classifier_layer(Backwards(), batch(1)) == "last"


def test_a_layer_that_runs_twice_is_named_twice() -> None:
    order = executed_layers(TinyCNN(), batch(1), (nn.ReLU,))
    assert order == ["inplace", "reused", "reused"]


def test_weights_are_frozen_and_the_module_is_in_eval_mode() -> None:
    model = tiny_model()
    assert not model.module.training
    assert not any(each.requires_grad for each in model.module.parameters())


def test_no_hook_remains_on_any_layer() -> None:
    model = tiny_model()
    model.layer_vectors(batch(1), Port("conv1"), "avg")
    with pytest.raises(UnknownLayer):
        model.layer_vectors(batch(1), Port("nope"), "avg")
    for layer in model.module.modules():
        assert not layer._forward_hooks
        assert not layer._forward_pre_hooks


@pytest.mark.parametrize(
    ("pool", "dim"), [("avg", 16), ("max", 16), ("flatten", 16 * (SIZE // 2) ** 2)]
)
def test_layer_vectors_pool_the_layers_output(pool: str, dim: int) -> None:
    model = tiny_model()
    vectors = model.layer_vectors(batch(2), Port("conv2"), pool)  # type: ignore[arg-type]
    rows = nn.functional.max_pool2d(model.module.conv1(batch(2)).relu(), 2)  # type: ignore[operator]
    activation = model.module.conv2(rows).numpy()  # type: ignore[operator]
    expected = {
        "avg": activation.mean((2, 3)),
        "max": activation.max((2, 3)),
        "flatten": activation.reshape(2, -1),
    }[pool]
    assert vectors.shape == (2, dim)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_a_captured_activation_is_not_overwritten_by_an_in_place_relu() -> None:
    vectors = tiny_model().layer_vectors(batch(1), Port("conv1"), "flatten")
    assert vectors.min() < 0


def test_an_unknown_pooling_names_the_known_ones() -> None:
    with pytest.raises(InvalidValue, match="avg, max, flatten"):
        tiny_model().layer_vectors(batch(1), Port("conv1"), "median")  # type: ignore[arg-type]


def test_an_unknown_layer_names_the_known_ones() -> None:
    with pytest.raises(UnknownLayer, match="conv1"):
        tiny_model().layer_vectors(batch(1), Port("conv9"), "avg")


def test_digest_follows_the_weights() -> None:
    assert tiny_model(seed=0).digest == tiny_model(seed=0).digest
    assert tiny_model(seed=0).digest != tiny_model(seed=1).digest


def test_labels_must_match_the_networks_outputs() -> None:
    with pytest.raises(ModelUnusable, match="10 classes and has 3"):
        LoadedModel(tiny_spec(n_classes=3), TinyCNN(), CPU)


def test_a_disagreeing_compiled_forward_is_dropped_and_said_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Wrong(TorchRuntime):
        name = "openvino"

        def __init__(self, network: object, example: object, threads: int) -> None:
            super().__init__(network, CPU)  # type: ignore[arg-type]

        def __call__(self, rows: Tensor) -> Outputs:
            logits, features = super().__call__(rows)
            return Outputs(logits * 1.01, features)

    monkeypatch.setattr(loaded_module, "OpenVinoRuntime", Wrong)
    with caplog.at_level(logging.WARNING):
        model = tiny_model()
    assert model.runtime.name == "torch"
    assert "differs by" in model.runtime_note
    assert "differs by" in caplog.text


def test_a_network_that_cannot_be_compiled_runs_in_torch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("no such operation")

    monkeypatch.setattr(loaded_module, "OpenVinoRuntime", refuse)
    model = tiny_model()
    assert model.runtime.name == "torch"
    assert "RuntimeError" in model.runtime_note
    assert model.runtime(batch(2)).logits.shape == (2, 10)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_model_on_cuda_equals_the_one_on_the_cpu() -> None:
    on_gpu = LoadedModel(tiny_spec(), TinyCNN(), torch.device("cuda"))
    ours, theirs = on_gpu.runtime(batch(4)), tiny_model().runtime(batch(4))
    np.testing.assert_allclose(ours.logits, theirs.logits, atol=1e-3)
