"""The files for clusters do what they say: two nodes by torchrun, and a SLURM job that is killed and requeued."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.commands.test_label_efficiency import PRETRAIN
from tests.commands.test_training import VERSION
from tests.distributed.processes import command_on_two_processes, free_port

CLUSTER = Path(__file__).resolve().parents[2] / "tools" / "cluster"


@pytest.fixture
def surroundings(tmp_path: Path, tiny: Path) -> dict[str, str]:
    """The programs that the files call, and what a user sets."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {
        "torchrun": f'#!/bin/sh\nexec "{sys.executable}" -m torch.distributed.run "$@"\n',
        "srun": """#!/bin/sh\nprintf '%s\\n' "$@"\n""",  # which tasks it would start
    }.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(PRETRAIN))
    return {
        **os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1", "VERSION": VERSION,
        "CONFIG": str(tmp_path / "small.yaml"), "DATA": str(tiny), "OUT": str(tmp_path / "run"),
    }  # fmt: skip


def provenance(out: Path) -> dict[str, object]:
    result: dict[str, object] = json.loads((out / "provenance.json").read_text())
    return result


def test_torchrun_on_two_nodes(surroundings: dict[str, str], tmp_path: Path) -> None:
    where = {"NODES": "2", "GPUS": "1", "HOST": "localhost", "PORT": str(free_port())}
    command = ["bash", str(CLUSTER / "torchrun.sh"), "--steps", "1"]
    nodes = [
        subprocess.Popen(command, env={**surroundings, **where}, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    try:
        said = [node.communicate(timeout=300)[0] for node in nodes]
    finally:
        for node in nodes:
            node.kill()
    assert [node.returncode for node in nodes] == [0, 0]
    assert provenance(tmp_path / "run")["processes"] == 2
    assert json.loads((tmp_path / "run" / "backbone" / "config.json").read_text())["tensors"] > 0
    assert sum("tensors" in text for text in said) == 1, "one process writes the bundle and says so"


def test_a_slurm_job_on_two_nodes_goes_on_when_it_is_requeued(surroundings: dict[str, str], tmp_path: Path) -> None:
    slurm = {
        "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "1", "SLURM_NNODES": "2", "SLURM_NODELIST": "localhost",
        "SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "job", "CHECKPOINT_EVERY": "1",
    }  # fmt: skip

    def of_task(rank: int, port: int) -> dict[str, str]:
        own = {"SLURM_LOCALID": "0", "SLURM_PROCID": str(rank), "SLURM_NODEID": str(rank)}
        return {**slurm, **own, "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}

    def submitted(steps: int) -> str:
        command = ["bash", str(CLUSTER / "pretrain.sbatch"), "--steps", str(steps)]
        done = subprocess.run(command, env={**surroundings, **slurm}, capture_output=True, text=True, check=True)
        option, program, *arguments = done.stdout.splitlines()
        assert (option, program) == ("--kill-on-bad-exit=1", "avjepa")
        ended = command_on_two_processes(*arguments, surroundings=of_task)
        assert ended.codes == [0, 0], ended.stderr
        return "".join(ended.said)

    submitted(1)
    shutil.rmtree(tmp_path / "run" / "backbone")  # as if it had been killed before its end
    assert "goes on from step 1" in submitted(2)
    assert provenance(tmp_path / "run")["processes"] == 2
    assert (tmp_path / "run" / "backbone" / "config.json").is_file()


def test_a_value_that_is_missing_is_asked_for() -> None:
    for name in ("pretrain.sbatch", "study.sbatch", "torchrun.sh"):
        surroundings = {name: value for name, value in os.environ.items() if name not in ("CONFIG", "STUDY")}
        done = subprocess.run(["bash", str(CLUSTER / name)], env=surroundings, capture_output=True, text=True)
        assert done.returncode != 0 and ": the " in done.stderr.splitlines()[0]


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_scripts_pass_shellcheck() -> None:
    scripts = [*CLUSTER.glob("*.s*"), *CLUSTER.parent.glob("*.sh")]
    done = subprocess.run(["shellcheck", *map(str, scripts)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_kubernetes_job_is_one(tmp_path: Path) -> None:
    service, job = yaml.safe_load_all((CLUSTER / "kubernetes.yaml").read_text())
    pod = job["spec"]["template"]["spec"]
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == 2
    assert service["metadata"]["name"] == pod["subdomain"]
    arguments = pod["containers"][0]["args"]
    assert f"--nnodes={job['spec']['completions']}" in arguments and "--trainer.num_nodes=2" in arguments
    gpus = pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]
    assert f"--nproc_per_node={gpus}" in arguments and f"--trainer.devices={gpus}" in arguments
    mounted = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
