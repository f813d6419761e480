"""Camera images that are not what their names say."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avjepa.data.files import images
from avjepa.data.files.images import ImageTransform
from avjepa.errors import BadFileError

SMALL = ImageTransform(8, 16)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 16\nshowpage\n%%EOF\n"


def png_that_unpacks_to(path: Path, width: int, height: int) -> Path:
    """A black PNG, written row by row: 30,000² pixels take 2.6 MB."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    row = bytes(1 + 3 * width)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", packed) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("limit", [None, Image.MAX_IMAGE_PIXELS], ids=["lifted by the devkit", "of Pillow"])
def test_picture_that_unpacks_to_gigabytes_is_refused_by_the_tables_size_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("the picture was decoded"))
    bomb = png_that_unpacks_to(tmp_path / "bomb.png", 20_000, 500)
    content = bytearray(bomb.read_bytes())
    content[16:24] = struct.pack(">II", 30_000, 30_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    bomb.write_bytes(content)
    with pytest.raises(BadFileError, match="1600 x 900"):
        SMALL.read(bomb, (900, 1600))
    with pytest.raises(BadFileError, match="which no camera has"):
        SMALL.read(bomb, (30_000, 30_000))


def test_sliver_that_would_be_blown_up_to_cover_the_frame_is_refused(tmp_path: Path) -> None:
    png_that_unpacks_to(tmp_path / "sliver.png", 1, 300_000)
    with pytest.raises(BadFileError, match=r"sliver\.png.*1 x 300000"):
        ImageTransform(256, 704).read(tmp_path / "sliver.png", (300_000, 1))


def test_size_of_zero_in_the_table_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (32, 16)).save(tmp_path / "a.jpg")
    with pytest.raises(BadFileError, match="0 x 0"):
        SMALL.read(tmp_path / "a.jpg", (0, 0))


@pytest.mark.parametrize("kind", ["EPS", "GIF", "BMP", "TIFF", "WEBP"])
def test_only_jpeg_and_png_are_decoded_whatever_the_name_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """An EPS would start Ghostscript."""
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("another program was started"))
    path = tmp_path / "CAM_FRONT.jpg"
    if kind == "EPS":
        path.write_bytes(EPS)
    else:
        Image.new("RGB", (32, 16)).save(path, format=kind)
    with pytest.raises(BadFileError, match="neither JPEG nor PNG"):
        SMALL.read(path, (16, 32))


@pytest.mark.parametrize("what", ["pipe", "folder", "missing", "dangling link"])
def test_only_regular_files_are_opened(tmp_path: Path, what: str) -> None:
    path = tmp_path / "CAM_FRONT.jpg"
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "dangling link":
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(BadFileError, match="missing" if what in ("missing", "dangling link") else "no regular file"):
        SMALL.read(path, (16, 32))


def test_file_larger_than_any_picture_of_its_size_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (32, 16)).save(tmp_path / "a.jpg")
    os.truncate(tmp_path / "a.jpg", 200 * 10**9)
    with pytest.raises(BadFileError, match="200,000,000,000 bytes"):
        SMALL.read(tmp_path / "a.jpg", (16, 32))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_changed_bytes_give_an_image_or_a_bad_file_and_nothing_else(tmp_path: Path, kind: str) -> None:
    random = np.random.default_rng(0)
    path = tmp_path / "image"
    Image.fromarray(random.integers(0, 255, (16, 32, 3), np.uint8)).save(path, format=kind)
    whole = path.read_bytes()
    for _ in range(150):
        content = bytearray(whole[: random.integers(1, len(whole) + 1)])
        for position in random.integers(0, len(content), random.integers(0, 4)):
            content[position] = random.integers(0, 256)
        path.write_bytes(content)
        try:
            pixels, _ = SMALL.read(path, (16, 32))
        except BadFileError:
            continue
        assert tuple(pixels.shape) == (3, 8, 16)


def test_both_formats_of_a_camera_are_read(tmp_path: Path) -> None:
    for kind in images._FORMATS:
        Image.new("RGB", (32, 16), (10, 200, 30)).save(tmp_path / "image", format=kind)
        pixels, matrix = SMALL.read(tmp_path / "image", (16, 32))
        assert np.abs(pixels.numpy().reshape(3, -1).T - np.array([10, 200, 30])).max() <= 2
        assert matrix.tolist() == [[0.5, 0, 0], [0, 0.5, 0], [0, 0, 1]]


@pytest.mark.parametrize("size", [(256, 704), (128, 224)])
def test_reduced_decoding_differs_little_from_a_whole_one_on_real_images(realdata: Path, size: tuple[int, int]) -> None:
    """A JPEG is decoded at a half or a quarter: by .6 grey values of 255 in the mean, and nowhere by more than 16."""
    paths = sorted((realdata / "nuscenes_keyframe" / "samples").glob("CAM_*/*.jpg"))
    assert len(paths) == 6
    scale = max(size[0] / 900, size[1] / 1600)
    wide, high = max(round(1600 * scale), size[1]), max(round(900 * scale), size[0])
    left, top = (wide - size[1]) // 2, high - size[0]
    for path in paths:
        ours, _ = ImageTransform(*size).read(path, (900, 1600))
        with Image.open(path) as image:
            whole = np.array(image.convert("RGB").resize((wide, high), Image.Resampling.BILINEAR))
        expected = whole[top:, left : left + size[1]].transpose(2, 0, 1).astype(int)
        difference = ours.numpy() - expected
        assert np.abs(difference).mean() < 0.8
        assert np.abs(difference).max() <= 16
        assert abs(difference.mean()) < 0.05  # neither brighter nor darker
