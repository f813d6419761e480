"""Checkpoints are whole, hold data only, and a failed write spares the one before."""

import multiprocessing
import os
import pickle
import resource
import zipfile
from pathlib import Path

import pytest
import torch

from avjepa.errors import UserError
from avjepa.training.checkpoints import AtomicCheckpointIO, last_checkpoint, load_checkpoint


def checkpoint(value: float, numbers: int = 1000) -> dict[str, object]:
    return {"state_dict": {"weight": torch.full((numbers,), value)}, "global_step": 3}


class Bomb:
    """Unpickling it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (os.mkdir, (str(self.path),))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    AtomicCheckpointIO().save_checkpoint(checkpoint(2.0), tmp_path / "sub" / "a.ckpt")
    content = AtomicCheckpointIO().load_checkpoint(tmp_path / "sub" / "a.ckpt")
    assert torch.equal(content["state_dict"]["weight"], torch.full((1000,), 2.0)) and content["global_step"] == 3
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["a.ckpt"]


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_bomb_is_refused_and_not_executed(tmp_path: Path, zipped: bool) -> None:
    path, exploded = tmp_path / "bomb.ckpt", tmp_path / "exploded"
    if zipped:
        torch.save({"state_dict": {}, "callbacks": Bomb(exploded)}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(exploded)))
    with pytest.raises(UserError, match=r"bomb\.ckpt: refused") as error:
        # the caller's wish to unpickle is not granted
        AtomicCheckpointIO().load_checkpoint(path, weights_only=False)
    assert not exploded.exists()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 not a zip either", b"\x80\x02."])
def test_a_damaged_checkpoint_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.ckpt").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.ckpt") as error:
        load_checkpoint(tmp_path / "x.ckpt")
    assert "\n" not in str(error.value)


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    AtomicCheckpointIO().save_checkpoint(checkpoint(1.0), path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match="damaged"):
        load_checkpoint(path)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(2)}, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match="state_dict"):
        load_checkpoint(tmp_path / "x.ckpt")
    with zipfile.ZipFile(tmp_path / "y.ckpt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(UserError, match=r"y\.ckpt"):
        load_checkpoint(tmp_path / "y.ckpt")


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.ckpt: no such file"):
        load_checkpoint(tmp_path / "none.ckpt")


def write_with_little_space(path: Path, limit: int, said: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # the kernel refuses bytes beyond, as a full disk does
    try:
        AtomicCheckpointIO().save_checkpoint(checkpoint(2.0, 100_000), path)
    except UserError as error:
        said.write_text(str(error))


def test_a_full_disk_before_the_first_checkpoint_promises_none(tmp_path: Path) -> None:
    said = tmp_path / "said"
    process = multiprocessing.get_context("fork").Process(
        target=write_with_little_space, args=(tmp_path / "run" / "last.ckpt", 4096, said)
    )
    process.start()
    process.join(60)
    assert "last.ckpt" in said.read_text() and "there is no earlier one" in said.read_text()
    assert "intact" not in said.read_text()
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("limit", [4096, 200_000])
def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "run" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(checkpoint(1.0, 100_000), path)
    before = path.read_bytes()
    said = tmp_path / "said"
    process = multiprocessing.get_context("fork").Process(target=write_with_little_space, args=(path, limit, said))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    message = said.read_text()
    assert "last.ckpt" in message and "previous checkpoint is intact" in message and "\n" not in message
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["last.ckpt"], "nothing half-written is left"


def test_no_checkpoint_is_a_notice_and_a_fresh_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert last_checkpoint(tmp_path) is None
    assert "starts from the beginning" in capsys.readouterr().err
    (tmp_path / "last.ckpt").touch()
    assert last_checkpoint(tmp_path) == tmp_path / "last.ckpt"
    assert capsys.readouterr().err == ""
