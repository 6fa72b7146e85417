"""Grad-CAM against Captum's, alone and in a batch."""

import captum.attr
import numpy as np
import pytest
from torch.nn.functional import interpolate

from core.errors import MethodUnsupported
from core.explain.cam import grad_cam
from core.models.structure.ports import Port
from tests.core.explain.networks import loaded, network, rows, tiny
from tests.tinycnn import TinyCNN


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("lite0", "conv_head"),
        ("resnet18", "layer4"),
        ("vgg11", "features.18"),
        ("densenet", "features.denseblock3"),
    ],
)
def test_grad_cam_equals_captums(name: str, layer: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue("lite0") if name == "lite0" else network(name)
    batch = rows(model, 1)
    (found,) = grad_cam(model, batch, [7], (Port(layer),))
    oracle = captum.attr.LayerGradCam(model.module, model.module.get_submodule(layer))
    raw = oracle.attribute(batch.clone().requires_grad_(), target=7, relu_attributions=True)
    theirs = interpolate(raw, size=batch.shape[2:], mode="bilinear")[0, 0].detach().numpy()
    assert np.abs(found.values - theirs).max() <= 1e-4 * np.abs(theirs).max() + 1e-9


def test_grad_cam_in_a_batch_equals_each_alone() -> None:
    model = network("resnet18")
    batch = rows(model, 3)
    together = grad_cam(model, batch, [1, None, 8], (Port("layer3"),))
    for i, target in enumerate([1, None, 8]):
        (alone,) = grad_cam(model, batch[i : i + 1], [target], (Port("layer3"),))
        np.testing.assert_allclose(together[i].values, alone.values, rtol=1e-3, atol=1e-6)
        assert together[i].target == alone.target


def test_grad_cam_survives_an_in_place_relu_behind_its_layer() -> None:
    model = tiny()
    (found,) = grad_cam(model, rows(model, 1), [0], (Port("conv1"),))
    assert found.values.shape == (32, 32)
    assert not model.module.conv1._forward_hooks  # type: ignore[union-attr]


def test_randomized_weights_change_grad_cam() -> None:
    # Adebayo et al. 2018, arXiv:1810.03292: a map that ignores the weights explains nothing.
    model, other = tiny(), loaded(TinyCNN(seed=1))
    batch = rows(model, 1)
    ours, theirs = (
        grad_cam(each, batch, [0], (Port("conv2"),))[0].values for each in (model, other)
    )
    assert np.abs(ours - theirs).max() > 0.1 * max(ours.max(), theirs.max())


def test_grad_cam_needs_feature_maps() -> None:
    model = tiny()
    with pytest.raises(MethodUnsupported, match="feature maps"):
        grad_cam(model, rows(model, 1), [0], (Port("hidden"),))
