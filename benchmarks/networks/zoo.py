"""Which library networks are examined, which of their layers, and with what weights."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import torch
from torch import nn

from benchmarks.photos import arrays
from core.models.preprocess import Preprocessing
from core.models.registry import standard_registry
from core.models.spec import ModelSpec

Axes = Literal["chw", "hwc", "tokens", "vector"]
_SEED: Final = 0
_SPREAD: Final = 4.0
"""Standard deviation of the logits of a photo, at most."""
# Of the input of large networks that take any size: a third of the time, and the same arithmetic.
_SMALLER_PX: Final = 128


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer, and what the axes of its output are, after that of the batch.

    Attributes:
        name: dotted.
        axes: where its channels are; tokens are (T, C), row by row.
        prefix: tokens of a class or a register, before those of the picture.
    """

    name: str
    axes: Axes
    prefix: int = 0

    @classmethod
    def read(cls, text: str) -> "Layer":
        """`NAME`, `NAME hwc`, `NAME tokens` or `NAME tokens+2`; without axes it is chw."""
        name, _, rest = text.partition(" ")
        axes, _, prefix = rest.partition("+")
        return cls(name, axes or "chw", int(prefix or 0))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Network:
    """A network of a library.

    Attributes:
        name: as the service spells it.
        cam: the layer that the literature takes for Grad-CAM in this family.
        inner: a layer in the middle.
        head: torchvision: the layer before which its features are; timm says that itself.
        head_layer: timm: the one of several heads, or the layer of a head, whose input is compared
            instead of what timm says, which is the mean of several, or before a norm.
        arguments: for what makes the network.
        side_px: of its input, where it is not what the library says.
    """

    name: str
    cam: Layer
    inner: Layer
    head: str = ""
    head_layer: str = ""
    arguments: tuple[tuple[str, Any], ...] = ()
    side_px: int | None = None


def _torchvision(name: str, cam: str, inner: str, head: str, **more: Any) -> Network:
    return Network(f"torchvision:{name}", Layer.read(cam), Layer.read(inner), head, **more)


def _timm(name: str, cam: str, inner: str, **more: Any) -> Network:
    return Network(f"timm:{name}", Layer.read(cam), Layer.read(inner), **more)


# Of ResNet, VGG, DenseNet, MNASNet, ViT and Swin, Grad-CAM's layer is what the README of
# https://github.com/jacobgil/pytorch-grad-cam names; of the others its like: the last feature maps
# before the pooling, or where a class token reads what the picture's tokens say, the norm before.
_TORCHVISION: Final = (
    _torchvision("alexnet", "features.12", "features.5", "classifier.6"),
    _torchvision("vgg11_bn", "features.28", "features.14", "classifier.6", side_px=_SMALLER_PX),
    _torchvision("resnet18", "layer4.1", "layer2", "fc"),
    _torchvision("resnext50_32x4d", "layer4.2", "layer2", "fc", side_px=_SMALLER_PX),
    _torchvision(
        "densenet121", "features.norm5", "features.denseblock2", "classifier", side_px=_SMALLER_PX
    ),
    _torchvision("googlenet", "inception5b", "inception4a", "fc"),
    _torchvision("inception_v3", "Mixed_7c", "Mixed_6a", "fc"),
    _torchvision("mobilenet_v2", "features.18", "features.10", "classifier.1"),
    _torchvision("mobilenet_v3_small", "features.12", "features.6", "classifier.3"),
    _torchvision("mnasnet0_5", "layers.16", "layers.10", "classifier.1"),
    _torchvision("shufflenet_v2_x0_5", "conv5", "stage3", "fc"),
    _torchvision("squeezenet1_1", "features.12", "features.7", "classifier.1"),
    _torchvision("efficientnet_b0", "features.8", "features.4", "classifier.1"),
    _torchvision(
        "efficientnet_v2_s", "features.7", "features.4", "classifier.1", side_px=_SMALLER_PX
    ),
    _torchvision("regnet_y_400mf", "trunk_output.block4", "trunk_output.block2", "fc"),
    _torchvision("convnext_tiny", "features.7", "features.5.0.block.2 hwc", "classifier.2"),
    _torchvision(
        "vit_b_32",
        "encoder.layers.encoder_layer_11.ln_1 tokens+1",
        "encoder.layers.encoder_layer_5 tokens+1",
        "heads.head",
    ),
    _torchvision("swin_t", "features.7.1.norm1 hwc", "features.3 hwc", "head"),
    _torchvision("swin_v2_t", "features.7.1.norm1 hwc", "features.3 hwc", "head"),
    _torchvision("maxvit_t", "blocks.3", "blocks.1", "classifier.5"),
)
_TIMM: Final = (
    _timm("mobilenetv4_conv_small", "blocks.4", "blocks.2"),
    _timm("mobilenetv3_small_100", "blocks.5", "blocks.3"),
    _timm("ghostnet_100", "blocks.9", "blocks.5"),
    _timm("repghostnet_050", "blocks.9", "blocks.5"),
    _timm("hardcorenas_a", "blocks.6", "blocks.3"),
    _timm("tinynet_e", "bn2", "blocks.3"),
    _timm("fastvit_t8", "final_conv", "stages.2"),
    _timm("vovnet39a", "stages.3", "stages.1", side_px=_SMALLER_PX),
    _timm("ese_vovnet19b_dw", "stages.3", "stages.1"),
    _timm("dla46_c", "level5", "level3"),
    _timm("resnetv2_50", "norm", "stages.1", side_px=_SMALLER_PX),
    _timm("res2net50_26w_4s", "layer4.2", "layer2", side_px=_SMALLER_PX),
    _timm("skresnet18", "layer4.1", "layer2"),
    _timm("selecsls42", "head", "from_seq", side_px=_SMALLER_PX),
    _timm("hrnet_w18_small", "final_layer", "stage3", side_px=_SMALLER_PX),
    _timm("repvgg_a0", "stages.3", "stages.1"),
    _timm("gernet_s", "final_conv", "stages.2"),
    _timm("nf_regnet_b0", "final_act", "stages.2"),
    _timm("starnet_s1", "norm", "stages.2"),
    _timm("convnext_atto", "stages.3", "stages.1"),
    _timm("inception_next_atto", "stages.3", "stages.1"),
    _timm("mambaout_femto", "stages.3 hwc", "stages.1 hwc"),
    _timm("poolformer_s12", "stages.3", "stages.1"),
    _timm("efficientformer_l1", "norm tokens", "stages.1"),
    _timm("edgenext_xx_small", "stages.3", "stages.2"),
    _timm("mobilevit_xxs", "final_conv", "stages.3"),
    _timm("mobilevitv2_050", "stages.4", "stages.3"),
    _timm("levit_128s", "stages.2 tokens", "stages.1 tokens", head_layer="head.linear"),
    _timm("visformer_tiny", "norm", "stage2"),
    _timm("vit_tiny_patch16_224", "blocks.11.norm1 tokens+1", "blocks.5 tokens+1"),
    _timm(
        "deit_tiny_distilled_patch16_224",
        "blocks.11.norm1 tokens+2",
        "blocks.5 tokens+2",
        head_layer="head",
    ),
    _timm(
        "vit_small_patch14_reg4_dinov2",
        "blocks.11.norm1 tokens+5",
        "blocks.5 tokens+5",
        arguments=(("num_classes", 10), ("img_size", 224)),
        side_px=224,
    ),
    _timm(
        "vit_small_patch16_dinov3",
        "blocks.11.norm1 tokens+5",
        "blocks.5 tokens+5",
        arguments=(("num_classes", 10),),
    ),
    _timm("swin_tiny_patch4_window7_224", "layers.3.blocks.1.norm1 hwc", "layers.1 hwc"),
    _timm("nest_tiny", "levels.2", "norm hwc"),
    _timm("twins_pcpvt_small", "norm tokens", "pos_block.1 tokens"),
    _timm("pvt_v2_b0", "stages.3", "stages.1"),
    _timm("davit_tiny", "stages.3", "stages.1"),
    _timm("focalnet_tiny_srf", "norm", "layers.1"),
    _timm("volo_d1_224", "network.4 hwc", "network.0 hwc"),
    _timm("mixer_s32_224", "norm tokens", "blocks.3 tokens"),
    _timm("resmlp_12_224", "norm tokens", "blocks.5 tokens"),
    _timm("coat_lite_tiny", "serial_blocks4.1.norm1 tokens+1", "serial_blocks3.1 tokens+1"),
    _timm("pit_ti_224", "transformers.2.blocks.3.norm1 tokens+1", "transformers.1"),
    _timm("cait_xxs24_224", "blocks.23.norm1 tokens", "blocks.11 tokens"),
    _timm("xcit_nano_12_p16_224", "blocks.11.norm1 tokens", "blocks.5 tokens"),
    _timm("tnt_s_patch16_224", "blocks.11.norm_out tokens+1", "norm1_proj tokens"),
    _timm(
        "crossvit_tiny_240",
        "blocks.2.blocks.1 tokens+1",
        "patch_embed.1 tokens",
        head_layer="head.0",
    ),
)
# Not in the table: small enough for a test.
_TINY: Final = (
    _timm("test_resnet", "layer4.0", "layer2"),
    _timm("test_vit", "blocks.5.norm1 tokens+1", "blocks.2 tokens+1"),
)
NETWORKS: Final = {each.name: each for each in (*_TORCHVISION, *_TIMM)}
ALL: Final = NETWORKS | {each.name: each for each in _TINY}


def made(network: Network) -> tuple[ModelSpec, nn.Module]:
    """What the service makes of a network's name, with random weights instead of trained ones.

    Args:
        network: also one that no registry knows by its arguments.
    """
    family, _, member = network.name.partition(":")
    make: Any = standard_registry().sources[f"{family}:"]  # takes arguments, too
    torch.manual_seed(_SEED)
    spec, module = make(member, False, **dict(network.arguments))
    if network.arguments:
        spec = replace(spec, labels=tuple(map(str, range(module.num_classes))))
    if network.side_px is not None:
        spec = replace(spec, preprocess=_resized(spec.preprocess, network.side_px))
    randomize(module, spec.preprocess)
    return spec, module


def randomize(module: nn.Module, preprocess: Preprocessing) -> None:
    """Make constant weights random, and give batch norms the statistics of real photos.

    Libraries start many weights at a constant that switches a branch off: LayerScale at 1e-6, the
    last norm of a residual branch or the head at 0. A mistake inside such a branch would not show.
    """
    generator = torch.Generator().manual_seed(_SEED)
    for name, weight in module.named_parameters():
        if weight.min() != weight.max():
            continue
        with torch.no_grad():
            if name.endswith("bias"):
                weight.normal_(0, 0.1, generator=generator)
            elif weight.squeeze().ndim < 2:
                weight.uniform_(0.5, 1.5, generator=generator)
            else:
                weight.normal_(0, weight[0].numel() ** -0.5, generator=generator)
    module.eval()
    norms = [each for each in module.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
    for each in norms:
        each.train()
        each.reset_running_stats()
        each.momentum = None  # the mean of what is seen
    with torch.no_grad():
        rows = torch.stack([preprocess(pixels) for pixels in _crops()])
        module(rows)
        module.eval()
        _soften(module, module(rows))


def _soften(module: nn.Module, logits: torch.Tensor) -> None:
    """Heads whose logits are so far apart that one class has all probability say it more softly."""
    spread = float(logits.std(1).max())
    if spread <= _SPREAD:
        return
    for each in module.modules():
        if isinstance(each, nn.Linear) and each.out_features == logits.shape[1]:
            each.weight.mul_(_SPREAD / spread)
            if each.bias is not None:
                each.bias.mul_(_SPREAD / spread)


def _crops() -> Iterator[np.ndarray]:
    """The photos, and the middle of each."""
    for whole in arrays():
        height, width = (side // 4 for side in whole.shape[:2])
        yield whole
        yield np.ascontiguousarray(whole[height : 3 * height, width : 3 * width])


def _resized(preprocess: Preprocessing, side_px: int) -> Preprocessing:
    return replace(preprocess, height=side_px, width=side_px, resize=side_px)
