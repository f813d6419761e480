"""Camera images: decoding, resizing and cropping, with the camera matrix kept exact."""

import os
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from avjepa.errors import BadFileError, UserError


@dataclass(frozen=True)
class ImageTransform:
    """Resize an image, keeping its aspect ratio, until it covers a frame; cut off what is left over.

    What is too high is cut from the top (sky), what is too wide from both sides equally. Pixel coordinates are
    continuous: pixel i covers [i, i + 1), so that resizing scales the camera matrix.

    Args:
        height: of the result, in pixels.
        width: of the result, in pixels.
    """

    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise UserError(f"image_size: {self.height} x {self.width} is no image; give height and width in pixels")

    def read(
        self, path: str | os.PathLike[str], size: tuple[int, int]
    ) -> tuple[UInt8[Tensor, "3 height width"], Float64[Tensor, "3 3"]]:
        """Read an image file.

        Args:
            path: the file.
            size: (height, width) that the file must have, because its camera matrix belongs to that size.

        Returns:
            The RGB image, and ``here_from_file``: pixels of the result from homogeneous pixels of the file, to multiply
            a camera matrix with from the left.

        Raises:
            BadFileError: the file is missing, truncated, no image, or of another size.
        """
        try:
            with Image.open(path) as image:
                full_width, full_height = image.size
                if (full_height, full_width) != size:
                    problem = f"the image is {full_width} x {full_height}, the table says {size[1]} x {size[0]}"
                    raise BadFileError(path, problem)
                scale = max(self.width / full_width, self.height / full_height)
                wide, high = max(round(full_width * scale), self.width), max(round(full_height * scale), self.height)
                # JPEG decodes at 1/2, 1/4 or 1/8 of its size several times as fast. The reduced image is rounded up to
                # whole pixels; the box is where the full image really ends.
                image.draft("RGB", (wide, high))
                reduction = max(1, round(full_width / image.size[0]))
                box = (0.0, 0.0, full_width / reduction, full_height / reduction)
                resized = image.convert("RGB").resize((wide, high), Image.Resampling.BILINEAR, box)
        except FileNotFoundError:
            raise BadFileError(path, "the file is missing") from None
        except UnidentifiedImageError:
            raise BadFileError(path, "the file is no image") from None
        except (OSError, ValueError, SyntaxError) as error:
            raise BadFileError(path, f"the image cannot be decoded ({error})") from None
        left, top = (wide - self.width) // 2, high - self.height
        pixels = np.array(resized)[top:, left : left + self.width]
        here_from_file = torch.tensor(
            [[wide / full_width, 0.0, -left], [0.0, high / full_height, -top], [0.0, 0.0, 1.0]], dtype=torch.float64
        )
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))), here_from_file
