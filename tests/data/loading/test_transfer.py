"""Batches reach the training through a shared memory of any size."""

import ctypes
import multiprocessing
import os
from pathlib import Path

import pytest
import torch

from avjepa.data.loading.pretrain_datamodule import PretrainDataModule
from avjepa.data.sample import PretrainBatch
from tests.data.conftest import VERSION

NOT_ALLOWED = 77


def batches(root: Path, workers: int) -> list[PretrainBatch]:
    module = PretrainDataModule(
        dataroot=str(root),
        version=VERSION,
        sensors=["lidar", "camera"],
        batch_size=2,
        workers=workers,
        steps=4,
        image_size=(180, 320),
    )
    module.setup()
    return list(module.train_dataloader())


def require_equal(found: list[PretrainBatch], expected: list[PretrainBatch]) -> None:
    assert len(found) == len(expected) == 4
    for one, other in zip(found, expected, strict=True):
        assert one.context.tokens == other.context.tokens
        assert one.context.cameras is not None and other.context.cameras is not None
        assert torch.equal(one.context.cameras.images, other.context.cameras.images)
        assert one.target is one.context, "one object in two roles stays one object"


def with_little_shared_memory(root: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    new_mounts, private = 0x20000, 0x44000
    if libc.unshare(new_mounts) or libc.mount(b"none", b"/", None, private, None):
        os._exit(NOT_ALLOWED)
    if libc.mount(b"tmpfs", b"/dev/shm", b"tmpfs", 0, b"size=600k"):
        os._exit(NOT_ALLOWED)
    expected = batches(root, 0)
    assert expected[0].context.cameras is not None and expected[0].context.cameras.images.nbytes > 600 * 2**10
    require_equal(batches(root, 2), expected)


def test_a_shared_memory_smaller_than_a_batch_does_not_stop_the_training(tiny: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=with_little_shared_memory, args=(tiny,))
    process.start()
    process.join(60)
    process.kill()
    process.join()
    if process.exitcode == NOT_ALLOWED:
        pytest.skip("this user may not mount a small /dev/shm")
    assert process.exitcode == 0


def test_a_batch_that_cannot_be_shared_arrives_by_value(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")

    expected = batches(tiny, 0)
    monkeypatch.setattr(torch.Tensor, "share_memory_", full)  # workers are forked
    found = batches(tiny, 2)
    assert found[0].context.cameras is not None and not found[0].context.cameras.images.is_shared()
    require_equal(found, expected)


@pytest.mark.parametrize(("device", "waits"), [("cuda:0", False), ("cpu", True)])
def test_the_copy_to_a_gpu_alone_is_not_waited_for(tiny: Path, device: str, waits: bool) -> None:
    asked = []

    class Recorder:
        def to(self, device: torch.device, non_blocking: bool) -> None:
            asked.append((device, non_blocking))

    module = PretrainDataModule(dataroot=str(tiny), version=VERSION)
    module.transfer_batch_to_device(Recorder(), torch.device(device), 0)
    assert asked == [(torch.device(device), not waits)]
