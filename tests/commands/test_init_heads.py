"""``finetune --init_heads RUN``: neck and heads start from an earlier fine-tuning, the backbone from the bundle."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from avjepa.commands.study import StudyConfig
from avjepa.finetune.lightning_model import FinetuneModule
from tests.commands.small import small
from tests.commands.test_label_efficiency import FINETUNE, PRETRAIN, STUDY
from tests.commands.test_training import VERSION, avjepa

Weights = Mapping[str, Tensor]


@pytest.fixture(scope="module")
def bundle(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pre-trained backbone."""
    out = tmp_path_factory.mktemp("pretrained") / "run"
    assert small("pretrain", tiny, out, "--steps", 1) == 0
    return out / "backbone"


@pytest.fixture(scope="module")
def earlier(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fine-tuning of a backbone with random weights, and of its neck and head."""
    out = tmp_path_factory.mktemp("earlier") / "run"
    assert small("finetune", tiny, out, "--steps", 2) == 0
    return out


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Weights]:
    """The weights with which the first step of every training is taken."""
    seen: list[Weights] = []
    begin = FinetuneModule.on_train_start

    def on_train_start(module: FinetuneModule) -> None:
        seen.append({name: tensor.detach().clone() for name, tensor in module.state_dict().items()})
        begin(module)

    monkeypatch.setattr(FinetuneModule, "on_train_start", on_train_start)
    return seen


def weights(run: Path) -> Weights:
    """Of its last checkpoint."""
    state: Weights = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return state


def same(one: Weights, other: Weights, *parts: str) -> bool:
    names = [name for name in one if name.startswith(tuple(f"model.{part}." for part in parts))]
    assert names
    return all(torch.equal(one[name], other[name]) for name in names)


def test_neck_and_heads_start_as_they_ended_and_the_backbone_is_the_bundles(
    tiny: Path, tmp_path: Path, bundle: Path, earlier: Path, started: list[Weights]
) -> None:
    given = ("--steps", 1, "--bundle", bundle, "--model.mode", "frozen")
    assert small("finetune", tiny, tmp_path / "new", *given) == 0
    assert small("finetune", tiny, tmp_path / "run", *given, "--init_heads", earlier) == 0
    new, begun = started
    ended = weights(earlier)
    assert same(begun, ended, "neck", "heads") and not same(new, ended, "neck", "heads")
    assert same(begun, new, "backbone") and not same(begun, ended, "backbone")
    record = json.loads((tmp_path / "run" / "provenance.json").read_text())
    file = earlier / "checkpoints" / "last.ckpt"
    assert record["init_heads"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert record["configuration"]["model"]["init_heads"] == str(earlier)
    assert "init_heads" not in json.loads((tmp_path / "new" / "provenance.json").read_text())


def test_it_is_a_key_of_the_configuration_and_goes_with_kept_maps(
    tiny: Path, tmp_path: Path, bundle: Path, earlier: Path, started: list[Weights]
) -> None:
    model = {**FINETUNE["model"], "init_heads": str(earlier), "mode": "frozen"}  # type: ignore[dict-item]
    config = tmp_path / "own.yaml"
    config.write_text(yaml.safe_dump({**FINETUNE, "model": model}))
    source = ("--config", config, "--data", tiny, "--version", VERSION, "--bundle", bundle, "--evaluate", "false")
    kept = ("--out", tmp_path / "run", "--steps", 1, "--features", tmp_path / "maps")
    assert avjepa("finetune", *source, *kept) == 0
    assert same(started[0], weights(earlier), "neck", "heads")


def test_a_resumed_training_goes_on_from_its_own_weights(
    tiny: Path, tmp_path: Path, earlier: Path, started: list[Weights], capsys: pytest.CaptureFixture[str]
) -> None:
    heads = shutil.copytree(earlier, tmp_path / "heads")
    given = ("finetune", tiny, tmp_path / "run")
    assert small(*given, "--steps", 1, "--init_heads", heads) == 0
    before = weights(tmp_path / "run")
    shutil.rmtree(heads)
    assert small(*given, "--steps", 2, "--init_heads", heads, "--ckpt_path", "last") == 0
    assert same(started[1], before, "neck", "heads", "backbone")
    assert avjepa("evaluate", "--run", tmp_path / "run", "--fast") == 0, "nor does scoring need them"
    capsys.readouterr()
    assert small(*given, "--steps", 3, "--init_heads", earlier, "--ckpt_path", "last") == 2
    assert "model.init_heads" in capsys.readouterr().err


def test_a_study_says_which_labels_earlier_heads_had(earlier: Path, tmp_path: Path) -> None:
    """The labels of a run whose heads a detector starts from are labels that were used; so are those of its teacher."""
    heads, teacher = (shutil.copytree(earlier, tmp_path / name) for name in ("heads", "teacher"))
    for name, content in (("finetune", FINETUNE), ("pretrain", PRETRAIN)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
    means = {"started": {"methods": ["jepa"], "overrides": {"model": {"init_heads": str(heads)}}}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY | {"means": means}))

    def learned(scenes: object, pseudo_labels: object, init_heads: object = None) -> str:
        record = json.loads((earlier / "provenance.json").read_text())
        record["configuration"] |= {"pseudo_labels": pseudo_labels and str(pseudo_labels)}
        record["configuration"]["data"]["scenes"] = scenes
        record["configuration"]["model"]["init_heads"] = init_heads and str(init_heads)
        (heads / "provenance.json").write_text(json.dumps(record))
        return StudyConfig.read(tmp_path / "study.yaml").study(2).means[0].learned

    training = "a training of 2 steps with"
    assert learned(None, None) == f"neck and heads come from {training} all labels"
    assert learned(["synth-0000", "synth-0002"], None).endswith("with the labels of 2 scenes")
    assert learned(0, "elsewhere/objects.json").endswith(f"{training} no labels and the boxes of objects.json")
    taught = learned(0, teacher / "evaluation" / "train" / "predictions.json")
    assert taught.endswith(f"no labels and the boxes of a teacher, which comes from {training} all labels")
    assert learned(1, None, teacher).endswith(f"the labels of 1 scene, after {training} all labels")
    assert learned(0, None, heads).endswith("of which nothing is known"), "which names itself as its own start"
    for broken in ("{", "{}", '{"configuration": 3}'):
        (heads / "provenance.json").write_text(broken)
        assert StudyConfig.read(tmp_path / "study.yaml").study(2).means[0].learned.endswith("of which nothing is known")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model.neck.init_args.out_channels", 4), "misshapen"),
        (("--model.neck.init_args.layers", 2), "missing"),
        (("--init_heads", "nowhere"), "--init_heads nowhere: holds no checkpoints/last.ckpt"),
    ],
)
def test_what_does_not_fit_is_one_line(
    options: tuple[object, ...], message: str, tiny: Path, tmp_path: Path, earlier: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    given = ("--steps", 1, "--init_heads", earlier, *options)
    assert small("finetune", tiny, tmp_path / "run", *given) == 2
    error = capsys.readouterr().err
    assert message in error and "--init_heads" in error and len(error.strip().splitlines()) == 1, error
    assert not (tmp_path / "run").exists()
