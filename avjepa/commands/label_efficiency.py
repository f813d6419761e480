"""``avjepa label-efficiency``: score against labels for several ways of pre-training, and what follows from it."""

import contextlib
import hashlib
import json
import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avjepa.commands.parsing import run_function
from avjepa.commands.shipped import configuration_file
from avjepa.errors import UserError, counted
from avjepa.files import read_json, write_json
from avjepa.processes import end_with_parent

if TYPE_CHECKING:
    from avjepa.study.worker import Worker

_RECORD = "study.json"
"""The file of ``--out`` that says what its jobs are made with."""


@dataclass(frozen=True)
class Prepared:
    """A study that can begin."""

    worker: "Worker"
    about: dict[str, Any]
    """Its data in words."""
    shared: str
    """For what else the scored scenes are used; empty for nothing."""


def label_efficiency(
    config: Path,
    data: Path,
    out: Path,
    version: str = "v1.0-trainval",
    split: str = "test",
    eval_split: str = "val",
    processes: int = 1,
    threads: int = 1,
    retry_failed: bool = False,
    report_only: bool = False,
    publish: Path | None = None,
    on_bad_file: str = "stop",
    cache: Path | None = None,
    sensor: str | None = None,
) -> None:
    """Run a grid of methods, label amounts, modes and seeds; write table, plots and the answers they give.

    Interrupted, it goes on where it stopped. Start it on several machines with one shared --out and they share the
    work: each cell is done once, and the cell of a machine that dies is taken over.

    Args:
        config: the study, a file or the name of one of configs/label_efficiency.
        data: the dataset's root folder.
        out: folder of the jobs and of the results.
        version: name of the folder of tables.
        split: the split that is reported.
        eval_split: the split on which learning rates are chosen.
        processes: workers on this machine.
        threads: processor threads of each.
        retry_failed: have cells done again that failed before.
        report_only: train nothing; write table, plots and answers of what is done, also while others work on.
        publish: also copy the results there, into the table of all sensors.
        on_bad_file: "stop" or "skip".
        cache: folder that avjepa pack wrote, to read samples from instead of the sensor files.
        sensor: the study's name in tables in place of its file's, where one study is made of several datasets.
    """
    if processes < 1 or threads < 1:
        raise UserError(f"--processes {processes} --threads {threads}: at least one of each is needed")
    arguments: dict[str, Any] = dict(
        config=configuration_file(config, "label_efficiency"),
        data=data, out=out, version=version, split=split, eval_split=eval_split, threads=threads,
        on_bad_file=on_bad_file, cache=cache, sensor=sensor,
    )  # fmt: skip
    if publish is not None:  # what is wrong there is an error now, not when all is done
        from avjepa.study.results import other_sensors

        if publish.exists() and not publish.is_dir():
            raise UserError(f"--publish {publish}: is a file; name a folder")
        other_sensors(publish, sensor="")
    if report_only and not (out / _RECORD).is_file():
        raise UserError(f"--out {out}: holds no study ({_RECORD}) to report; name the folder of one")
    helpers = [
        multiprocessing.get_context("spawn").Process(target=_help, kwargs=arguments | {"slot": slot})
        for slot in range(1, 1 if report_only else processes)
    ]
    started = []
    try:
        # what is wrong with the options and the study is said once, before anything is started
        study = prepared(**arguments, slot=0, check=not report_only)
        worker = study.worker
        if retry_failed:
            worker.store.forget_failures()
        worker.store.require_readable(worker.jobs)
        if publish is not None:
            publish.mkdir(parents=True, exist_ok=True)
        for process in helpers:
            process.start()
            started.append(process)
        if not report_only:
            worker.run()
        for process in started:
            process.join()
    finally:
        for process in started:
            process.terminate()
    from avjepa.study.results import other_sensors, publish_results, write_results

    command = f"avjepa label-efficiency --config {config} --data DIR --version {version} --out DIR --split {split}"
    if eval_split != "val":
        command += f" --eval_split {eval_split}"
    if sensor is not None:
        command += f" --sensor {sensor}"
    others = other_sensors(publish, worker.study.sensor) if publish is not None else []
    summary = write_results(worker.study, worker.store, out, command, study.about, others, study.shared)
    if publish is not None:
        publish_results(out, publish, worker.study.sensor)
    print(summary)
    failures = {name: worker.store.failure(name) for name in sorted(worker.store.failed() & worker.jobs.keys())}
    if failures:
        name, failure = next(iter(failures.items()))
        reason = failure["reason"] if failure else ""
        raise UserError(
            f"{counted(len(failures), 'job')} failed, the first: {name}: {reason}; once that is mended, --retry_failed "
            "tries them again"
        )


def prepared(
    config: Path,
    data: Path,
    out: Path,
    version: str,
    split: str,
    eval_split: str,
    threads: int,
    on_bad_file: str,
    cache: Path | None,
    sensor: str | None,
    slot: int,
    check: bool = False,
) -> Prepared:
    """A worker that is ready to run: the one in a place of those on this machine.

    Args:
        slot: that place.
        check: build every training of the study once before anything is written.

    Other parameters are the command's.
    """
    import torch

    from avjepa.commands.splits import scenes_of
    from avjepa.commands.study import StudyConfig
    from avjepa.commands.study_builder import ConfiguredBuilder
    from avjepa.provenance import hardware
    from avjepa.study.store import Store
    from avjepa.study.worker import Worker
    from avjepa.training.allocator import keep_freed_memory
    from avjepa.training.console import quiet_lightning, status
    from avjepa.training.devices import device_of_slot, trainer_options

    torch.set_num_threads(threads)
    quiet_lightning()
    keep_freed_memory()
    read = StudyConfig.read(config)
    if sensor is not None:
        read = replace(read, sensor=sensor)
    with _naming(config):
        finetuning = read.finetuning()
    device = device_of_slot(slot, finetuning.get("trainer", {}).get("accelerator", "auto"))
    source = {"dataroot": str(data), "version": version, "on_bad_file": on_bad_file}
    if cache is not None:
        source["cache"] = str(cache)
    with _naming(config):
        builder = ConfiguredBuilder(read, source, trainer_options(device))
        detection = builder.detection_data()
    dataset = detection.open()
    scored, chosen = set(scenes_of(dataset, split, "--split")), set(scenes_of(dataset, eval_split, "--eval_split"))
    trained = set(dataset.scenes_of(detection.train_split))
    with _naming(config):
        study = read.study(len(trained))
        made_with = read.definition()
    about = _about_data(data, version)
    contents = (dataset.fingerprint(), dataset.label_fingerprint(), *map(sorted, (trained, chosen, scored)))
    digest = hashlib.sha256(json.dumps(contents).encode()).hexdigest()
    definition = made_with | {"splits": [split, eval_split], "data": {**about, "digest": digest}}
    record = _joint_record(out / _RECORD, definition)
    if check:
        with _naming(config):
            builder.check()
    write_json(out / _RECORD, record)
    if device.type == "cuda":
        machine = torch.cuda.get_device_name(device)
    else:
        machine = f"{hardware()['processor']}, {threads} thread{'s' if threads > 1 else ''}"
    worker = Worker(
        study, Store(out), builder, validation=eval_split, test=split, hardware=machine, device=device, tell=status
    )
    uses = {"the training": trained, "the choice of settings": chosen if study.has_trials() else set()}
    shared = " and ".join(name for name, scenes in uses.items() if scenes & scored)
    return Prepared(worker, about, shared)


@contextlib.contextmanager
def _naming(config: Path) -> Iterator[None]:
    """Let what is wrong with keys of a study name its file too."""
    try:
        yield
    except UserError as error:
        if str(config) in str(error):
            raise
        raise UserError(f"--config {config}: {error}") from error


def _help(**arguments: Any) -> None:
    """A further worker on this machine; what it cannot do, the first one does, or says why not."""
    end_with_parent()
    with contextlib.suppress(UserError, KeyboardInterrupt):
        prepared(**arguments).worker.run()


def _about_data(data: Path, version: str) -> dict[str, Any]:
    """What data there are, in words: the seed and options of synthetic ones."""
    folder = data / version
    synthetic = folder / "synth.json"
    about = _read_object(synthetic, "restore it, or remove it") if synthetic.exists() else {}
    return {"version": version, "synthetic": about}


def _read_object(path: Path, remedy: str) -> dict[str, Any]:
    """What a JSON file says.

    Raises:
        UserError: it cannot be read, or is no object.
    """
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({' '.join(str(error).split())[:200]}); {remedy}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a JSON object; {remedy}")
    return content


def _joint_record(path: Path, definition: dict[str, Any]) -> dict[str, Any]:
    """The record of a study with the methods that its jobs were done with before.

    Raises:
        UserError: the jobs that lie beside the record were done with another configuration; methods may be added.
    """
    definition = json.loads(json.dumps(definition))
    known = _read_object(path, "restore it, or choose another --out") if path.exists() else {}
    if not isinstance(known.get("methods", {}), dict):
        raise UserError(f"{path}: 'methods' is no object; restore it, or choose another --out")
    done = [job.stem for job in (path.parent / "outcomes").glob("[!.]*.json")]
    before = {name: value for name, value in known.get("methods", {}).items() if _of(name, done)}
    for name, value in definition.items():
        if name != "methods" and known.get(name, value) != value:
            raise _other(path, name)
    for name, value in definition["methods"].items():
        if before.get(name, value) != value:
            raise _other(path, f"means.{name[1:]}" if name.startswith("+") else f"methods.{name}")
    return definition | {"methods": before | definition["methods"]}


def _of(name: str, jobs: Sequence[str]) -> bool:
    """Whether one of the jobs was done with a method, or with means whose name follows a plus."""
    if name.startswith("+"):
        return any(job.endswith(f"-{name[1:]}") for job in jobs)
    return any(f"-{name}-p" in job for job in jobs)


def _other(path: Path, name: str) -> UserError:
    return UserError(
        f"--out {path.parent}: its jobs were done with another '{name}' (see {path}); choose another folder"
    )


def run(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("label-efficiency", label_efficiency, arguments)
