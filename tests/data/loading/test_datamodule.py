import contextlib
import itertools
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import nn

from avjepa.data.augmentation.augment import BEVAugmentation
from avjepa.data.files.pointfiles import write_lidar
from avjepa.data.loading.detection_datamodule import DetectionDataModule
from avjepa.data.loading.pretrain_datamodule import PretrainDataModule
from avjepa.data.sample import Batch, PretrainBatch
from avjepa.errors import BadFileError, UserError

from ..conftest import VERSION, build


def pretrain(root: Path, **options: Any) -> PretrainDataModule:
    defaults = {"version": VERSION, "split": None, "workers": 0, "batch_size": 3, "image_size": (45, 80)}
    module = PretrainDataModule(dataroot=str(root), **(defaults | options))
    module.setup()
    return module


def detection(root: Path, **options: Any) -> DetectionDataModule:
    module = DetectionDataModule(dataroot=str(root), **({"version": VERSION, "workers": 0, "batch_size": 3} | options))
    module.setup()
    return module


def edit_boxes(root: Path, change: Callable[[Any], Any]) -> None:
    """Change annotations, or drop those that become ``None``."""
    table = root / VERSION / "sample_annotation.json"
    kept = [new for row in json.loads(table.read_text()) if (new := change(row)) is not None]
    tokens = {row["token"] for row in kept}
    for row in kept:
        row |= {link: row[link] if row[link] in tokens else "" for link in ("prev", "next")}
    table.write_text(json.dumps(kept))


def same(one: Batch, other: Batch) -> bool:
    assert one.lidar is not None and other.lidar is not None
    return (
        one.tokens == other.tokens
        and torch.equal(one.seeds, other.seeds)
        and torch.equal(one.lidar.features, other.lidar.features)
    )


# -- pre-training


def test_pre_training_needs_no_annotation_table(copy: Path) -> None:
    for table in ("sample_annotation", "instance", "category", "attribute", "visibility"):
        (copy / VERSION / f"{table}.json").unlink()
    batches = list(pretrain(copy, sensors=["lidar", "radar"], steps=4).train_dataloader())
    assert len(batches) == 4
    assert all(batch.context.labels is None and batch.target.labels is None for batch in batches)


def test_contexts_alone_are_those_of_training(tiny: Path) -> None:
    data = pretrain(tiny, sensors=["lidar"], target_sweeps_before=1, augmentation=BEVAugmentation(), steps=3)
    contexts = list(data.context_loader(2))
    assert len(contexts) == 2
    for context, pair in zip(contexts, data.train_dataloader(), strict=False):
        assert same(context, pair.context) and not same(context, pair.target)
    assert data.dataset is not None
    assert sum(len(batch) for batch in data.context_loader(1000)) - len(data.dataset) in range(3), "one pass at most"


def test_pre_training_opens_no_annotation_table_that_is_there(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    original = Path.open

    def watched(self: Path, *arguments: Any, **options: Any) -> Any:
        opened.append(self.name)
        return original(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", watched)
    next(iter(pretrain(copy).train_dataloader()))
    assert "sample_data.json" in opened
    assert not {"sample_annotation.json", "instance.json"} & set(opened)


def test_keyframes_and_the_sweeps_between_them(tiny: Path) -> None:
    assert len(pretrain(tiny).dataset or ()) == 36
    assert len(pretrain(tiny, keyframes_only=True).dataset or ()) == 8
    assert len(pretrain(tiny, split="val").dataset or ()) == 18
    assert len(pretrain(tiny, scenes=1).dataset or ()) == 18
    # of the moments between keyframes only those that a camera has recorded: +100 ms and, before a keyframe, -100 ms
    module = pretrain(tiny, sensors=["lidar", "camera"], split="train")
    batch = next(iter(module.train_dataloader()))
    assert len(module.dataset or ()) == 4 + 4 + 3
    assert batch.context.cameras is not None and batch.context.cameras.present.any(1).all()


def test_context_and_target_are_one_object_by_default(tiny: Path) -> None:
    for workers in (0, 1):
        batch = next(iter(pretrain(tiny, workers=workers, augmentation=BEVAugmentation()).train_dataloader()))
        assert batch.target is batch.context


def test_privileged_target_holds_the_context_and_more(tiny: Path) -> None:
    module = pretrain(tiny, target_sweeps_before=2, target_sweeps_after=2, augmentation=BEVAugmentation(), batch_size=8)
    batch = next(iter(module.train_dataloader()))
    context, target = batch.context.lidar, batch.target.lidar
    assert context is not None and target is not None
    assert torch.equal(batch.context.bev_from_level, batch.target.bev_from_level)
    now = target.features[:, 4] == 0
    torch.testing.assert_close(target.features[now], context.features)
    assert target.features[:, 4].min() < -0.05 and target.features[:, 4].max() > 0.05


def test_independent_views_differ_by_their_augmentation_only(tiny: Path) -> None:
    module = pretrain(tiny, independent_views=True, augmentation=BEVAugmentation(rotation=1.0))
    batch = next(iter(module.train_dataloader()))
    assert not torch.allclose(batch.context.bev_from_level, batch.target.bev_from_level)
    for view in (batch.context, batch.target):
        assert view.lidar is not None
    points = [
        torch.cat((view.lidar.xyz, torch.ones(len(view.lidar.xyz), 1)), 1)[:, None]
        @ torch.linalg.inv(view.bev_from_level).mT[view.lidar.batch_index]
        for view in (batch.context, batch.target)
        if view.lidar is not None
    ]
    torch.testing.assert_close(points[0], points[1], atol=1e-3, rtol=1e-4)


def test_target_of_another_sensor(tiny: Path) -> None:
    batch = next(iter(pretrain(tiny, sensors=["radar"], target_sensors=["lidar"]).train_dataloader()))
    assert batch.context.lidar is None and batch.context.radar is not None
    assert batch.target.radar is None and batch.target.lidar is not None
    assert batch.context.tokens == batch.target.tokens


def test_sensor_that_the_dataset_lacks(tmp_path: Path) -> None:
    root = build(tmp_path / "data", ("LIDAR_TOP",))
    with pytest.raises(UserError, match="CAM_FRONT"):
        pretrain(root, sensors=["lidar", "camera"])


@pytest.mark.parametrize(
    "options",
    [
        {"sensors": []}, {"batch_size": 0}, {"workers": -1}, {"seed": -1}, {"steps": 0}, {"lidar_sweeps": 0},
        {"radar_sweeps": 0}, {"image_size": (0, 80)}, {"scenes": 0}, {"scenes": 3}, {"scenes": ["scene-7"]},
        {"split": "nowhere"},
    ],
)  # fmt: skip
def test_bad_options(tiny: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        pretrain(tiny, **options)


# -- order and workers


def test_workers_give_the_same_batches(tiny: Path) -> None:
    alone = list(pretrain(tiny, steps=5, augmentation=BEVAugmentation()).train_dataloader())
    helped = list(pretrain(tiny, steps=5, workers=2, augmentation=BEVAugmentation()).train_dataloader())
    assert all(same(a.context, b.context) for a, b in zip(alone, helped, strict=True))


def test_loading_leaves_the_global_random_generators_alone(tiny: Path) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    list(pretrain(tiny, steps=2, augmentation=BEVAugmentation()).train_dataloader())
    assert torch.equal(torch.rand(3), expected)


def test_going_on_after_an_interruption(tiny: Path) -> None:
    whole = list(pretrain(tiny, steps=7).train_dataloader())
    interrupted = pretrain(tiny, steps=7)
    head = list(itertools.islice(interrupted.train_dataloader(), 3))
    resumed = pretrain(tiny, steps=7)
    resumed.load_state_dict(interrupted.state_dict())
    loader = resumed.train_dataloader()
    assert len(loader) == 7  # Lightning counts the batches before the interruption, too
    tail = list(loader)
    assert all(same(a.context, b.context) for a, b in zip(whole, head + tail, strict=True))


class TokenRecorder(pl.LightningModule):
    """Learns nothing and writes down what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[str, ...]] = []

    def training_step(self, batch: PretrainBatch) -> torch.Tensor:
        self.seen.append(batch.context.tokens)
        return self.weight

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Killed(Exception):
    pass


def fit(root: Path, folder: Path, resume: Path | None = None, killed_after: int | None = None) -> TokenRecorder:
    class Kill(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.global_step == killed_after:
                trainer.save_checkpoint(folder / "last.ckpt")
                raise Killed

    model = TokenRecorder()
    trainer = pl.Trainer(
        max_steps=5, accumulate_grad_batches=2, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False, callbacks=[Kill()],
        default_root_dir=folder,
    )  # fmt: skip
    data = PretrainDataModule(dataroot=str(root), version=VERSION, workers=0, batch_size=2)
    with contextlib.suppress(Killed):
        trainer.fit(model, datamodule=data, ckpt_path=resume, weights_only=True)
    return model


def test_lightning_resumes_at_the_next_batch(tiny: Path, tmp_path: Path) -> None:
    whole = fit(tiny, tmp_path)
    assert len(whole.seen) == 10  # max_steps optimiser steps of two batches each
    head = fit(tiny, tmp_path, killed_after=2)
    tail = fit(tiny, tmp_path, resume=tmp_path / "last.ckpt")
    assert head.seen == whole.seen[:4]
    assert tail.seen == whole.seen[4:]


# -- bad files


def damage(root: Path, kind: str) -> Path:
    path = root / "samples/LIDAR_TOP/data-0-LIDAR_TOP-5.pcd.bin"
    if kind == "missing":
        path.unlink()
    elif kind == "nan":
        write_lidar(path, np.full((4, 5), np.nan, np.float32))
    else:
        path.write_bytes(path.read_bytes()[:-7])
    return path


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["missing", "truncated", "nan"])
def test_stop_says_in_one_line_which_file_is_bad(copy: Path, workers: int, kind: str) -> None:
    path = damage(copy, kind)
    with pytest.raises(BadFileError) as caught:
        list(pretrain(copy, workers=workers, steps=20).train_dataloader())
    assert caught.value.path == str(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 2])
def test_skip_takes_other_moments_and_lists_the_file(
    copy: Path, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = damage(copy, "truncated")
    module = pretrain(copy, workers=workers, steps=24, on_bad_file="skip")  # two epochs
    batches = list(module.train_dataloader())
    assert len(batches) == 24
    assert all(len(batch) == 3 for batch in batches)
    assert not any("sample-0-1" in batch.context.tokens for batch in batches)
    assert list(module.bad_files.files()) == [str(path)]
    assert module.bad_files.replaced_draws() == 2
    with caplog.at_level(logging.WARNING, "avjepa"):
        module.teardown("fit")
    assert str(path) in caplog.text and "1 bad file" in caplog.text
    again = list(pretrain(copy, steps=24, on_bad_file="skip").train_dataloader())
    assert all(same(a.context, b.context) for a, b in zip(batches, again, strict=True))


def test_skip_ends_when_nothing_is_left(copy: Path) -> None:
    for path in copy.glob("s*/LIDAR_TOP/*"):
        path.write_bytes(b"123")
    with pytest.raises(UserError, match="every other moment"):
        next(iter(pretrain(copy, on_bad_file="skip").train_dataloader()))


def test_real_recordings_of_which_most_files_are_missing(real_metadata: Path) -> None:
    options = {"version": "v1.0-mini", "split": "mini_val", "steps": 3, "batch_size": 1}
    module = pretrain(real_metadata, **options, on_bad_file="skip")
    batches = list(module.train_dataloader())
    tokens = {token for batch in batches for token in batch.context.tokens}
    assert tokens <= {"9d64a4b6538e42d7b7f6a7273a631638", "fdc39b23ab4242eda6ec5e1e6574fe33"}
    assert all(batch.context.lidar is not None and len(batch.context.lidar.features) > 20_000 for batch in batches)
    with pytest.raises(BadFileError, match="the file is missing"):
        list(pretrain(real_metadata, **options).train_dataloader())


def test_real_cameras_of_which_most_files_are_missing(real_metadata: Path) -> None:
    """Images of keyframes 0 to 3 of scene-0103 are there."""
    module = pretrain(
        real_metadata,
        version="v1.0-mini",
        split=None,
        sensors=["camera"],
        steps=3,
        on_bad_file="skip",
        image_size=(90, 160),
    )
    for batch in module.train_dataloader():
        assert batch.context.cameras is not None
        assert batch.context.cameras.present.all() and batch.context.cameras.present.shape == (3, 6)
        assert set(batch.context.scenes) == {"scene-0103"}


# -- detection


def test_training_sees_the_labels_of_its_scenes_only(tiny: Path) -> None:
    module = detection(tiny, steps=4, lidar_sweeps=2, augmentation=BEVAugmentation())
    for batch in module.train_dataloader():
        assert set(batch.scenes) == {"scene-0000"}
        assert batch.labels is not None
        assert all((labels.track_ids < 4).all() for labels in batch.labels)  # the other scene has 4 to 7


def test_evaluation_sees_every_keyframe_once_each_time(tiny: Path) -> None:
    module = detection(tiny, lidar_sweeps=2, eval_split="train", validation_split="val")
    for _ in range(2):
        batches = list(module.val_dataloader())
        tokens = [token for batch in batches for token in batch.tokens]
        assert tokens == [f"sample-1-{k}" for k in range(4)]
        assert all(batch.labels is not None for batch in batches)


def test_prediction_needs_no_annotation_table(copy: Path) -> None:
    (copy / VERSION / "sample_annotation.json").unlink()
    module = detection(copy)
    assert [len(batch) for batch in module.predict_dataloader()] == [3, 1]
    assert all(batch.labels is None for batch in module.predict_dataloader())
    with pytest.raises(UserError, match=r"sample_annotation.json"):
        module.train_dataloader()


def test_evaluation_keeps_a_keyframe_with_a_bad_file(copy: Path) -> None:
    path = copy / "samples/LIDAR_TOP/data-1-LIDAR_TOP-5.pcd.bin"
    path.unlink()
    module = detection(copy, lidar_sweeps=1, batch_size=4, on_bad_file="skip")
    (batch,) = module.predict_dataloader()
    assert batch.tokens == tuple(f"sample-1-{k}" for k in range(4))
    assert batch.lidar is not None
    assert torch.bincount(batch.lidar.batch_index, minlength=4).tolist() == [42, 0, 42, 42]
    assert list(module.bad_files.files()) == [str(path)]
    with pytest.raises(BadFileError):
        list(detection(copy, lidar_sweeps=1).predict_dataloader())


def test_keyframe_without_boxes_has_empty_labels(copy: Path) -> None:
    edit_boxes(copy, lambda row: None if row["sample_token"] == "sample-0-1" else row)
    (batch,) = detection(copy, batch_size=4, steps=1).train_dataloader()
    assert batch.labels is not None
    boxes = {token: len(labels) for token, labels in zip(batch.tokens, batch.labels, strict=True)}
    assert boxes == {"sample-0-0": 2, "sample-0-1": 0, "sample-0-2": 2, "sample-0-3": 2}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda row: None, "no keyframe has an annotated box"),
        (
            lambda row: None if row["sample_token"].startswith("sample-0") else row,
            "none of its [0-9]+ annotated boxes is in the chosen scenes",
        ),
        (lambda row: row | {"num_lidar_pts": 0, "num_radar_pts": 0}, "no LiDAR or radar point lies in any box"),
        (lambda row: row if "-3-" in row["token"] else None, "there are animal .2.; map them to classes"),
    ],
    ids=["no box at all", "none in the scenes", "no point on any", "of no class"],
)
def test_training_that_would_learn_nothing_is_refused(copy: Path, change: Callable[[Any], Any], reason: str) -> None:
    edit_boxes(copy, change)
    with pytest.raises(UserError, match=rf"v1\.0-tiny: .*{reason}") as error:
        detection(copy).train_dataloader()
    assert "\n" not in str(error.value)
