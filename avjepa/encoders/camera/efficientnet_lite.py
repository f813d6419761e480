"""EfficientNet-Lite0: an image network that is quick on a CPU, and whose ImageNet weights a package carries."""

import re
from contextlib import nullcontext

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from avjepa.bundle.weights import load_strictly
from avjepa.encoders.camera.packaged_weights import packaged_tensors
from avjepa.encoders.camera.trunk import Trunk
from avjepa.errors import UserError

_STEM_CHANNELS = 32
_STAGES = (
    ((3, 1, 1, 16, 1),),
    ((3, 2, 6, 24, 2),),
    ((5, 2, 6, 40, 2),),
    ((3, 2, 6, 80, 3), (5, 1, 6, 112, 3)),
    ((5, 2, 6, 192, 4), (3, 1, 6, 320, 1)),
)
"""Kernel, stride of the first block, expansion, channels and number of the blocks, by the stride of their maps."""

_CLASSIFIER_TENSORS = ("_conv_head.", "_bn1.", "_fc.")
_PUBLISHED_NAMES = (
    (r"^_conv_stem\b", "stem.convolution"), (r"^_bn0\b", "stem.norm"), (r"^_blocks\b", "blocks"),
    (r"\b_expand_conv\b", "expand.convolution"), (r"\b_bn0\b", "expand.norm"),
    (r"\b_depthwise_conv\b", "depthwise.convolution"), (r"\b_bn1\b", "depthwise.norm"),
    (r"\b_project_conv\b", "project.convolution"), (r"\b_bn2\b", "project.norm"),
)  # fmt: skip


class EfficientNetLite0Trunk(Trunk):
    """EfficientNet (1905.11946, table 1) as its authors made it for small processors: rectifiers that end at 6, no
    squeeze-and-excitation. Its five stages end at strides 2, 4, 8, 16 and 32. No connection is dropped in training.

    Convolutions with a stride pad as TensorFlow does, less above and left than below and right: the maps are those that
    the weights were trained with, and every halving moves the centres of the cells by half a cell of its input.

    Args:
        out_indices: stages that are wanted, ascending, from 1 to 5.
        package: the package that carries the weights to start from; random weights without it.
    """

    stem_stride = 2
    mean = (127 / 255, 127 / 255, 127 / 255)
    deviation = (128 / 255, 128 / 255, 128 / 255)

    def __init__(self, out_indices: tuple[int, ...], package: str | None) -> None:
        super().__init__()
        if not out_indices or list(out_indices) != sorted(set(out_indices) & set(range(1, len(_STAGES) + 1))):
            raise UserError(
                f"backbone.out_indices: {list(out_indices)} must be ascending stage numbers from 1 to {len(_STAGES)}"
            )
        self.stem = ConvNormReLU6(3, _STEM_CHANNELS, 3, stride=2)
        blocks: list[nn.Module] = []
        ends, width = [], _STEM_CHANNELS
        for stage in _STAGES:
            for kernel, stride, expansion, channels, count in stage:
                for number in range(count):
                    blocks.append(_InvertedResidual(width, channels, kernel, 1 if number else stride, expansion))
                    width = channels
            ends.append(len(blocks))
        self.blocks = nn.ModuleList(blocks)
        if package is not None:
            load_strictly(self, _renamed(packaged_tensors(package)), package)
        self.blocks = self.blocks[: ends[out_indices[-1] - 1]]
        self.ends = tuple(ends[index - 1] for index in out_indices)
        self.channels = tuple(_STAGES[index - 1][-1][3] for index in out_indices)
        self.strides = tuple(2**index for index in out_indices)
        self.add_token(_STEM_CHANNELS)

    def origin_of(self, stride: int) -> float:
        """Image coordinate of the centre of the first cell of a map."""
        return stride - 0.5

    def forward(self, pixels: Tensor, masked: Bool[Tensor, "image row column"] | None) -> tuple[Tensor, ...]:
        """Maps of normalised pixels; ``masked`` at the stem's stride. Height and width are multiples of all strides."""
        values = self.stem(pixels.contiguous(memory_format=torch.channels_last))
        values = self.with_token(values, None if masked is None else masked[:, None], (-1, 1, 1))
        maps = []
        for number, block in enumerate(self.blocks, start=1):
            values = block(values)
            if number in self.ends:
                maps.append(values)
        return tuple(maps)


class ConvNormReLU6(nn.Module):
    """Convolution, batch norm and, by default, a rectifier that ends at 6.

    In evaluation without gradients the norm is folded into the convolution's weights. With gradients, 5×5 convolutions
    within a channel stay in float32 on a CPU: in bfloat16 the gradient of their weights takes three times as long.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel: odd kernel size.
        stride: 1, or 2 for inputs of even height and width.
        groups: of the convolution.
        rectified: whether the rectifier follows.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1, rectified: bool = True
    ) -> None:
        super().__init__()
        before = (kernel - stride) // 2
        self.padding = (before, kernel - stride - before) * 2
        self.convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, groups=groups, bias=False)
        nn.init.kaiming_normal_(self.convolution.weight, mode="fan_out")
        self.norm = nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.01)
        self.rectified = rectified
        self.is_slow_in_bfloat16 = groups > 1 and kernel > 3

    def forward(self, x: Float[Tensor, "image input row column"]) -> Float[Tensor, "image output _ _"]:
        """A map of the input's size, or of half of it with stride 2."""
        convolution, norm, padding = self.convolution, self.norm, 0
        if convolution.stride[0] == 1:
            padding = self.padding[0]
        else:
            x = functional.pad(x, self.padding)
        stride, groups = convolution.stride, convolution.groups
        if self.training or torch.is_grad_enabled():
            in_float32 = self.is_slow_in_bfloat16 and x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
            with torch.autocast("cpu", enabled=False) if in_float32 else nullcontext():
                x = x.float() if in_float32 else x
                x = functional.conv2d(x, convolution.weight, None, stride, padding, groups=groups)
            x = norm(x)
        else:
            assert norm.running_mean is not None and norm.running_var is not None
            scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
            weight = convolution.weight * scale[:, None, None, None]
            x = functional.conv2d(x, weight, norm.bias - norm.running_mean * scale, stride, padding, groups=groups)
        return functional.relu6(x, inplace=True) if self.rectified else x


class _InvertedResidual(nn.Module):
    """Few channels, widened for a convolution of each by itself, and back (MobileNetV2, 1801.04381)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = in_channels * expansion
        self.expand = ConvNormReLU6(in_channels, width, 1) if expansion > 1 else nn.Identity()
        self.depthwise = ConvNormReLU6(width, width, kernel, stride, groups=width)
        self.project = ConvNormReLU6(width, out_channels, 1, rectified=False)
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: Float[Tensor, "image input row column"]) -> Float[Tensor, "image output _ _"]:
        """The block's map, on top of its input where both have one shape."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.has_shortcut else y


def _renamed(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of the published network under the names that they have here, without its classifier."""
    tensors = {}
    for name, tensor in published.items():
        if not name.startswith(_CLASSIFIER_TENSORS):
            for pattern, ours in _PUBLISHED_NAMES:
                name = re.sub(pattern, ours, name)
            tensors[name] = tensor
    return tensors
