"""Every command of the documentation runs, on a world and for steps that take seconds; so do its examples."""

import json
import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from avjepa import cli
from avjepa.bundle import TRUSTED
from avjepa.commands.shipped import CONFIGS
from avjepa.commands.study import StudyConfig
from tests.commands.test_label_efficiency import FINETUNE, PRETRAIN
from tests.commands.test_release_walk import ENCODER

DOCS = Path(__file__).resolve().parents[2] / "docs"
FENCED = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SMALLER = {
    r"--scenes \d+": "--scenes 3",
    r"--keyframes \d+": "--keyframes 2",
    r"--image_width \d+": "--image_width 64",
    r"--val_fraction \S+": "--val_fraction 0.34",
    r"(?<!max_)--steps (\d+)": "--steps 2",
    r"--checkpoint_every \d+": "--checkpoint_every 1",
    r"--data.scenes [1-9]\d*": "--data.scenes 2",
    r"(jepa_on_one_page.py \S+) \d+": r"\1 2",
}
QUICK = ("--data.workers=0", "--data.batch_size=2", "--trainer.accelerator=cpu")
PAGES = sorted(path for path in DOCS.rglob("*.md") if "```bash\n" in path.read_text())


def commands(page: Path) -> list[str]:
    """The lines of a page's blocks that are marked as bash, which is to say: these run."""
    blocks = [text.replace("\\\n", " ") for kind, text in FENCED.findall(page.read_text()) if kind == "bash"]
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


def smaller(line: str) -> list[str]:
    """The words of a command that does the same in seconds."""
    longer = [steps for steps in re.findall(r"--steps (\d+)", line) if steps == "400"]  # a run that is lengthened
    for pattern, replacement in SMALLER.items():
        line = re.sub(pattern, replacement, line)
    words = shlex.split(line, comments=True)
    if words[:2] == ["avjepa", "synth"] and "--val_fraction" not in words:
        words += ["--val_fraction", "0.34"]  # so that pages share a world
    if words[:2] in (["avjepa", "pretrain"], ["avjepa", "finetune"]):
        words += QUICK
        if words[1] == "pretrain" and "lidar_tiny" in words and not any(".encoder" in word for word in words):
            words += ["--model.objective.init_args.encoder=small_encoder.yaml"]
        if longer:
            words[words.index("--steps") + 1] = "3"
    return words


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Worlds that pages have made: an equal one is copied."""
    return tmp_path_factory.mktemp("worlds")


def made(arguments: list[str], worlds: Path) -> int:
    """``avjepa synth``, or a copy of what it made before; its exit code."""
    place = arguments.index("--out") + 1
    kept = worlds / "_".join(arguments[:place] + arguments[place + 1 :]).replace("/", "_")
    code = 0 if kept.is_dir() else cli.main([*arguments[:place], str(kept), *arguments[place + 1 :], "--workers=1"])
    if code == 0:
        shutil.copytree(kept, arguments[place])
    return code


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a reader stands who has the examples."""
    for path in (DOCS / "examples").iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    (tmp_path / "small_encoder.yaml").write_text(yaml.safe_dump(ENCODER))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(TRUSTED, "")  # --trust sets it for the rest of the process
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_the_commands_of_a_page_run(
    page: Path, folder: Path, worlds: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in commands(page):
        program, *arguments = smaller(line)
        monkeypatch.setenv(TRUSTED, "")
        if program == "python":
            monkeypatch.setattr(sys, "argv", arguments)
            runpy.run_path(arguments[0], run_name="__main__")
        else:
            assert program == "avjepa", f"{page.name}: {line}: mark what does not run as console, not as bash"
            code = made(arguments, worlds) if arguments[0] == "synth" else cli.main(arguments)
            assert code == 0, (line, capsys.readouterr().err)


def quick(code: str) -> str:
    """The code of an example with a network, a world and steps that take a second."""
    for longer, shorter in {
        'pretrain("lidar_tiny"': 'pretrain("small_pretrain.yaml"',
        'finetune("lidar_tiny"': 'finetune("small_finetune.yaml"',
        "keyframes=4, image_width=224": "keyframes=2, image_width=64, workers=1",
        "SCENES, STEPS = 30, 200": "SCENES, STEPS = 3, 1",
        "scenes: int = 30, steps: int = 200": "scenes: int = 3, steps: int = 1",
    }.items():
        code = code.replace(longer, shorter)
    assert "lidar_tiny" not in code and " 200" not in code
    return code


@pytest.fixture
def small_networks(folder: Path) -> None:
    (folder / "small_pretrain.yaml").write_text(yaml.safe_dump(PRETRAIN))
    (folder / "small_finetune.yaml").write_text(yaml.safe_dump(FINETUNE))


def test_the_script_runs(folder: Path, small_networks: None) -> None:
    Path("quick.py").write_text(quick(Path("laptop.py").read_text()))
    assert runpy.run_path("quick.py")["main"]() >= 0
    assert (folder / "found.png").stat().st_size > 10_000


def test_the_notebook_runs(folder: Path, small_networks: None) -> None:
    notebook = json.loads(Path("laptop.ipynb").read_text())
    assert not any(cell.get("outputs") for cell in notebook["cells"]), "no output of one machine"
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    exec(compile(quick("\n".join(cells)), "laptop.ipynb", "exec"), {})
    assert (folder / "found.png").stat().st_size > 10_000


def test_the_page_of_the_method_learns(folder: Path, worlds: Path) -> None:
    assert made(smaller("avjepa synth --out world --scenes 30 --keyframes 8 --image_width 64")[1:], worlds) == 0
    page = runpy.run_path("jepa_on_one_page.py")
    assert len(Path("jepa_on_one_page.py").read_text().splitlines()) <= 100
    assert page["main"]("world/samples/LIDAR_TOP", 30) < page["main"]("world/samples/LIDAR_TOP", 3)


def test_the_study_of_the_page_is_one(tmp_path: Path) -> None:
    page = (DOCS / "how-to" / "labels.md").read_text()
    content = next(code for kind, code in FENCED.findall(page) if kind == "yaml")
    for mine, shipped in (("my_detector.yaml", "lidar_coarse"), ("my_reconstruction.yaml", "lidar_tiny")):
        assert mine in content
        content = content.replace(mine, shipped)
    (tmp_path / "study.yaml").write_text(content)
    study = StudyConfig.read(tmp_path / "study.yaml").study(195)
    assert {run.method for run in study.runs()} == {
        "scratch", "jepa", "generative", "jepa+self_training", "scratch+pasted", "jepa+pasted",
    }  # fmt: skip


def test_a_study_that_ships_runs_from_another_folder(tmp_path: Path) -> None:
    """As the page has it: shown, saved, and changed there."""
    shown = (CONFIGS / "label_efficiency" / "lidar_zoo.yaml").read_text()
    (tmp_path / "study.yaml").write_text(shown)
    assert StudyConfig.read(tmp_path / "study.yaml").finetuning()["model"]["backbone"]
