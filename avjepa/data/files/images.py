"""Camera images: decoding, resizing and cropping, with the camera matrix kept exact."""

import os
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from avjepa.data.files.regular import size_of_file
from avjepa.errors import BadFileError, UserError

HORIZON = 0.3
"""Height of the horizon in a frame that is cut around it, from the top: as it is in nuScenes' images at 256 x 704."""
_FORMATS = ("JPEG", "PNG")
_LARGEST = 1 << 16  # pixels a side, the most that a JPEG holds
"""What is decoded. Pillow knows formats whose decoder starts another program (EPS: Ghostscript)."""
_MOST_PIXELS = 100_000_000
"""More than any camera on a vehicle has. Pillow's own limit does not count: the devkit lifts it when it is imported."""
_MOST_BYTES_PER_PIXEL = 8  # four channels of 16 bits
_LARGEST_HEADER = 1 << 20  # bytes
DECODING_ERRORS = (
    OSError, ValueError, SyntaxError, EOFError, ArithmeticError, LookupError, TypeError, MemoryError, struct.error,
    zlib.error,
)  # fmt: skip
"""What Pillow raises for files whose bytes were changed."""


@dataclass(frozen=True)
class ImageTransform:
    """Resize an image, keeping its aspect ratio, until it covers a frame; cut off what is left over.

    What is too high is cut from the top (sky), or where the camera's horizon is known so that it comes to lie at
    ``HORIZON`` of the frame; what is too wide from both sides equally. Pixel coordinates are continuous: pixel i covers
    [i, i + 1), so that resizing scales the camera matrix.

    Args:
        height: of the result, in pixels.
        width: of the result, in pixels.
    """

    height: int
    width: int

    def __post_init__(self) -> None:
        if not (1 <= self.height <= _LARGEST and 1 <= self.width <= _LARGEST):
            raise UserError(f"image_size: {self.height} x {self.width} is no image; give height and width in pixels")

    def read(
        self, path: str | os.PathLike[str], size: tuple[int, int], horizon: float | None = None
    ) -> tuple[UInt8[Tensor, "3 height width"], Float64[Tensor, "3 3"]]:
        """Read an image file.

        Args:
            path: the file.
            size: (height, width) that the file must have, because its camera matrix belongs to that size.
            horizon: where the horizon is, as a share of the file's height from its top; ``None`` where the lower part
                of the image is what is wanted.

        Returns:
            The RGB image, and ``here_from_file``: pixels of the result from homogeneous pixels of the file, to multiply
            a camera matrix with from the left.

        Raises:
            BadFileError: the file is missing, truncated, neither JPEG nor PNG, or of another size, or no camera has
                the size. Sizes are compared before a pixel is decoded: a file of megabytes may unpack to gigabytes.
        """
        wide, high = self._covering(path, size)
        size_of_file(path, at_most=_MOST_BYTES_PER_PIXEL * size[0] * size[1] + _LARGEST_HEADER)
        try:
            with Image.open(path, formats=_FORMATS) as image:
                if image.size != (size[1], size[0]):
                    problem = f"the image is {image.size[0]} x {image.size[1]}, the table says {size[1]} x {size[0]}"
                    raise BadFileError(path, problem)
                # JPEG decodes at 1/2, 1/4 or 1/8 of its size several times as fast. The reduced image is rounded up to
                # whole pixels; the box is where the full image really ends.
                image.draft("RGB", (wide, high))
                reduction = max(1, round(size[1] / image.size[0]))
                box = (0.0, 0.0, size[1] / reduction, size[0] / reduction)
                resized = image.convert("RGB").resize((wide, high), Image.Resampling.BILINEAR, box)
        except Image.DecompressionBombError:
            raise BadFileError(path, f"the image has more pixels than the {size[1]} x {size[0]} of the table") from None
        except UnidentifiedImageError:
            raise BadFileError(path, "the file is no image: neither JPEG nor PNG") from None
        except DECODING_ERRORS as error:
            raise BadFileError(path, f"the image cannot be decoded ({error})") from None
        left, top = (wide - self.width) // 2, high - self.height
        if horizon is not None:
            top = min(max(round(horizon * high - HORIZON * self.height), 0), top)
        pixels = np.array(resized)[top : top + self.height, left : left + self.width]
        here_from_file = torch.tensor(
            [[wide / size[1], 0.0, -left], [0.0, high / size[0], -top], [0.0, 0.0, 1.0]], dtype=torch.float64
        )
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))), here_from_file

    def _covering(self, path: str | os.PathLike[str], size: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the resized image before cutting. Raises ``BadFileError`` for the size of no camera."""
        height, width = size
        if height < 1 or width < 1 or height * width > _MOST_PIXELS:
            raise BadFileError(path, f"the table says {width} x {height} pixels, which no camera has")
        scale = max(self.width / width, self.height / height)
        wide, high = max(round(width * scale), self.width), max(round(height * scale), self.height)
        if wide * high > _MOST_PIXELS:
            problem = (
                f"{width} x {height} pixels, of which a frame of {self.width} x {self.height} would cut nearly all"
            )
            raise BadFileError(path, problem)
        return wide, high
