"""A camera in the rain."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from avjepa.synth.weather.rain import Rain

_BRIGHT = 200


def rainy_image(image: NDArray[np.uint8], rain: Rain, rng: np.random.Generator) -> NDArray[np.uint8]:
    """An RGB image (height, width, 3) as it is in the rain: a veil, glare, drops on the lens, noise.

    A drop shows a blurred picture of its surroundings, upside down, as a lens does.
    """
    height, width = image.shape[:2]
    picture = Image.fromarray(image)
    blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(width / 60)), np.float32)
    wet = image.astype(np.float32)
    brightness = np.asarray(picture.convert("L"))
    bright = Image.fromarray(np.where(brightness > _BRIGHT, brightness, 0).astype(np.uint8))
    wet += rain.glare * np.asarray(bright.filter(ImageFilter.GaussianBlur(width / 25)), np.float32)[..., None]
    grey = float(image[: height // 3].mean())
    wet += rain.veil * (grey - wet)
    rows, columns = np.mgrid[:height, :width]
    for _ in range(int(rng.poisson(rain.drops))):
        radius = rng.uniform(0.008, 0.035) * width
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        top, bottom = max(0, int(y - radius)), min(height, int(y + radius) + 2)
        left, right = max(0, int(x - radius)), min(width, int(x + radius) + 2)
        here = (slice(top, bottom), slice(left, right))
        reach = np.hypot(rows[here] - y, columns[here] - x) / radius
        turned = (
            np.clip(2 * y - rows[here], 0, height - 1).astype(int),
            np.clip(2 * x - columns[here], 0, width - 1).astype(int),
        )
        share = np.clip(2.5 * (1 - reach), 0, 1)[..., None]  # the edge fades
        dark = (1 - 0.25 * reach**2)[..., None]
        wet[here] += share * (blurred[turned] * dark - wet[here])
    wet += rng.normal(0, rain.noise, wet.shape).astype(np.float32)
    return np.clip(np.round(wet), 0, 255).astype(np.uint8)
