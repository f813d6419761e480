"""Spoilt sensor files: LiDAR and radar clouds, pictures."""

import io
import struct
import zlib
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from fuzzing.files import ALWAYS_HARMFUL, spoil_file
from fuzzing.trial import Trial
from fuzzing.world import World


def clouds(random: Random, world: World) -> Trial:
    """A LiDAR or a radar file is damaged, or holds numbers that no sensor measures."""
    if random.random() < 0.5:
        path = random.choice(world.files("samples/LIDAR_TOP/*0000__*"))
        change, harmful = _spoil_lidar(random, path)
    else:
        path = random.choice(world.files("samples/RADAR_*/*0000__*"))
        change, harmful = _spoil_radar(random, path)
    command = world.pretrain() if "LIDAR" in path.name and random.random() < 0.4 else world.view()
    commands = (world.inspect(), command) if random.random() < 0.5 else (world.inspect(),)
    return Trial(f"{path.name}: {change}", commands, (path.name,), harmful, ("inspect",))


def _spoil_lidar(random: Random, path: Path) -> tuple[str, bool]:
    change = random.choice(("file", "NaN", "infinity", "1e30", "not whole points", "ring", "intensity"))
    if change == "file":
        change = spoil_file(random, path)
        return change, change in ALWAYS_HARMFUL
    if change == "not whole points":
        path.write_bytes(path.read_bytes()[:-7])
        return change, True
    points = np.fromfile(path, np.float32).reshape(-1, 5)
    column = {"ring": 4, "intensity": 3}.get(change, random.randrange(5))
    value = {"NaN": np.nan, "infinity": np.inf, "1e30": 1e30}.get(change, -7.5)
    points[random.randrange(len(points)), column] = value
    points.tofile(path)
    return f"{change} in column {column}", change in ("NaN", "infinity")


def _spoil_radar(random: Random, path: Path) -> tuple[str, bool]:
    if random.random() < 0.3:
        change = spoil_file(random, path)
        return change, change in ALWAYS_HARMFUL
    content = path.read_bytes()
    lines = content.split(b"\n")
    header = next(number for number, line in enumerate(lines) if line.startswith(b"DATA")) + 1
    number = random.randrange(header)
    word = lines[number].split(b" ")[0]
    values = (b"", b"-1", b"0", b"1e9", b"x y z", b"999999999999", b"\xff\xfe", b"ascii", b"binary_compressed", b"nan")
    change = random.choice(("value", "gone", "twice", "NaN in the data"))
    match change:
        case "value":
            value = random.choice(values)
            lines[number] = word + b" " + value
            change = f"{word.decode(errors='replace')} {value!r}"
        case "gone":
            del lines[number]
        case "twice":
            lines.insert(number, lines[number])
        case "NaN in the data":
            body = b"\n".join(lines[header:])
            path.write_bytes(b"\n".join(lines[:header]) + b"\n" + struct.pack("<f", np.nan) + body[4:])
            return change, False  # in the first point it means that there is none
    path.write_bytes(b"\n".join(lines))
    return f"header line {number}: {change}", False


def images(random: Random, world: World) -> Trial:
    """A picture is damaged, of another kind or size, or larger than any memory."""
    path = random.choice(world.files("samples/CAM_*/*0000__*"))
    pictures = {
        "an EPS": _EPS,
        "a bomb": _png_header(30_000, 30_000),
        "a PNG of no pixels": _png_header(0, 0),
        "another size": _encoded("JPEG", "RGB", (33, 21)),
        "a GIF": _encoded("GIF", "P", (64, 36)),
        "a TIFF": _encoded("TIFF", "RGB", (64, 36)),
        "a grey JPEG": _encoded("JPEG", "L", (64, 36)),
        "a CMYK JPEG": _encoded("JPEG", "CMYK", (64, 36)),
        "a PNG with alpha": _encoded("PNG", "RGBA", (64, 36)),
        "a PNG of 16 bits": _encoded("PNG", "I;16", (64, 36)),
    }
    change = random.choice([*pictures, *["file"] * len(pictures)])
    if change == "file":
        change = spoil_file(random, path)
        harmful = change in ALWAYS_HARMFUL and change != "200 GB of nothing"  # behind the end of a picture
    else:
        path.write_bytes(pictures[change])
        harmful = change in ("an EPS", "a bomb", "a PNG of no pixels", "another size", "a GIF", "a TIFF")
    commands = (world.inspect(), world.view()) if random.random() < 0.4 else (world.inspect(),)
    return Trial(f"{path.name}: {change}", commands, (path.name,), harmful, ("inspect",))


_EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 36\n%%EndComments\nshowpage\n"


def _encoded(format_: str, mode: str, size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, format_)
    return buffer.getvalue()


def _png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is and holds next to nothing."""

    def chunk(name: bytes, content: bytes) -> bytes:
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
