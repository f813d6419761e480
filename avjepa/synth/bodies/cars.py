"""Cars, trucks, buses and trailers: every instance has its own shape, size and paint.

Meshes look along +x, stand on z = 0 and are centred on their bounding box.
"""

import numpy as np

from avjepa.synth.bodies.bodywork import axle, glazed_cabin, lamps, paint
from avjepa.synth.bodies.materials import Material
from avjepa.synth.bodies.mesh import Colour, Mesh, box, extruded, merged
from avjepa.synth.bodies.palette import DARK

_CAR_STYLES = {
    # style: length, width, height ranges (m); bonnet and tail height, cabin base and roof ends as fractions
    "sedan": ((4.4, 5.0), (1.76, 1.90), (1.40, 1.50), 0.60, 0.64, (-0.38, 0.20), (-0.22, 0.03)),
    "hatchback": ((3.7, 4.35), (1.68, 1.82), (1.44, 1.56), 0.60, 0.66, (-0.485, 0.24), (-0.40, 0.06)),
    "estate": ((4.5, 4.9), (1.78, 1.88), (1.44, 1.52), 0.60, 0.66, (-0.485, 0.20), (-0.43, 0.04)),
    "suv": ((4.3, 5.0), (1.82, 2.02), (1.62, 1.86), 0.60, 0.64, (-0.485, 0.22), (-0.43, 0.07)),
    "van": ((4.6, 5.5), (1.86, 2.05), (1.84, 2.25), 0.52, 0.58, (-0.49, 0.40), (-0.47, 0.22)),
    "taxi": ((4.4, 4.8), (1.76, 1.86), (1.42, 1.50), 0.60, 0.64, (-0.38, 0.20), (-0.22, 0.03)),
}


def car(rng: np.random.Generator) -> Mesh:
    """A sedan, hatchback, estate, SUV, van or taxi."""
    style = str(rng.choice(list(_CAR_STYLES), p=[0.28, 0.24, 0.1, 0.22, 0.1, 0.06]))
    lengths, widths, heights, bonnet, tail, cabin_base, cabin_roof = _CAR_STYLES[style]
    length, width, height = rng.uniform(*lengths), rng.uniform(*widths), rng.uniform(*heights)
    bonnet, tail = bonnet * rng.uniform(0.95, 1.05), tail * rng.uniform(0.96, 1.05)
    colour: Colour = (0.72, 0.50, 0.03) if style == "taxi" else paint(rng)
    clearance = rng.uniform(0.13, 0.17) if style != "suv" else rng.uniform(0.18, 0.23)
    radius = rng.uniform(0.30, 0.34) if style != "suv" else rng.uniform(0.34, 0.39)
    z = clearance / height
    outline = [
        (-0.49, z),
        (-0.5, 0.4),
        (-0.495, tail - 0.04),
        (-0.46, tail),
        (-0.25, tail + 0.015),
        (0.15, bonnet + 0.04),
        (0.40, bonnet - 0.03),
        (0.475, bonnet - 0.11),
        (0.5, 0.36),
        (0.49, z),
    ]
    parts = [extruded([(x * length, y * height) for x, y in outline], width, colour, Material.PAINT, bevel=0.05)]
    shift = rng.uniform(-0.015, 0.015)
    parts += glazed_cabin(
        ((cabin_base[0] + shift) * length, cabin_base[1] * length, 0.47 * width, (tail - 0.02) * height),
        ((cabin_roof[0] + shift) * length, cabin_roof[1] * length, rng.uniform(0.36, 0.41) * width, height),
        colour,
        side_panes=2 if style != "van" else 3,
    )
    wheelbase = 0.30 * length
    parts += axle(-wheelbase, width + 0.01, radius) + axle(wheelbase + 0.02 * length, width + 0.01, radius)
    parts += lamps(length, width, (bonnet - 0.12) * height, 0.13)
    parts.append(box((0.06, 0.8 * width, 0.16), (length / 2 - 0.02, 0, clearance + 0.12), DARK, Material.PLASTIC))
    parts.append(box((0.06, 0.8 * width, 0.16), (-length / 2 + 0.02, 0, clearance + 0.12), DARK, Material.PLASTIC))
    if style == "taxi":
        parts.append(box((0.25, 0.5, 0.14), (-0.08 * length, 0, height + 0.05), (0.8, 0.8, 0.7), Material.LAMP))
    elif rng.random() < 0.15:
        parts.append(box((1.3, 0.8, 0.28), (-0.1 * length, 0, height + 0.14), DARK, Material.PLASTIC, top=(0.8, 0.8)))
    return merged(parts).on_ground()
