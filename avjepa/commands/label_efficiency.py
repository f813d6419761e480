"""``avjepa label-efficiency``: score against labels for several ways of pre-training, and what follows from it."""

import contextlib
import json
import multiprocessing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avjepa.commands.parsing import run_function
from avjepa.commands.shipped import configuration_file
from avjepa.errors import UserError, counted
from avjepa.files import read_json, write_json
from avjepa.processes import end_with_parent

_RECORD = "study.json"
"""The file of ``--out`` that says what its jobs are made with."""


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
    """
    if processes < 1 or threads < 1:
        raise UserError(f"--processes {processes} --threads {threads}: at least one of each is needed")
    arguments: dict[str, Any] = dict(
        config=configuration_file(config, "label_efficiency"),
        data=data, out=out, version=version, split=split, eval_split=eval_split, threads=threads,
        on_bad_file=on_bad_file, cache=cache,
    )  # fmt: skip
    if publish is not None:  # what is wrong there is an error now, not when all is done
        from avjepa.study.results import other_sensors

        other_sensors(publish, sensor="")
    helpers = [
        multiprocessing.get_context("spawn").Process(target=_help, kwargs=arguments | {"slot": slot})
        for slot in range(1, 1 if report_only else processes)
    ]
    started = []
    try:
        # what is wrong with the options and the study is said once, before anything is started
        worker = prepared(**arguments, slot=0, check=not report_only)
        if publish is not None:
            publish.mkdir(parents=True, exist_ok=True)
        if retry_failed:
            worker.store.forget_failures()
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
    others = other_sensors(publish, worker.study.sensor) if publish is not None else []
    about = {name: value for name, value in _about_data(data, version).items() if name != "sample_bytes"}
    summary = write_results(worker.study, worker.store, out, command, about, others)
    if publish is not None:
        publish_results(out, publish, worker.study.sensor)
    print(summary)
    failures = {name: worker.store.failure(name) for name in sorted(worker.store.failed() & worker.jobs.keys())}
    if failures:
        name, failure = next(iter(failures.items()))
        reason = failure["reason"] if failure else ""
        raise UserError(
            f"{counted(len(failures), 'job')} failed, the first: {name}: {reason}; --retry_failed tries them again"
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
    slot: int,
    check: bool = False,
) -> Any:
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
    finetuning = read.finetuning()
    device = device_of_slot(slot, finetuning.get("trainer", {}).get("accelerator", "auto"))
    source = {"dataroot": str(data), "version": version, "on_bad_file": on_bad_file}
    if cache is not None:
        source["cache"] = str(cache)
    builder = ConfiguredBuilder(read, source, trainer_options(device))
    detection = builder.detection_data()
    dataset = detection.open()
    scenes_of(dataset, split, "--split")
    scenes_of(dataset, eval_split, "--eval_split")
    study = read.study(len(dataset.scenes_of(detection.train_split)))
    definition = read.definition() | {"splits": [split, eval_split], "data": _about_data(data, version)}
    record = _joint_record(out / _RECORD, definition)
    if check:
        builder.check()
    write_json(out / _RECORD, record)
    if device.type == "cuda":
        machine = torch.cuda.get_device_name(device)
    else:
        machine = f"{hardware()['processor']}, {threads} thread{'s' if threads > 1 else ''}"
    return Worker(
        study, Store(out), builder, validation=eval_split, test=split, hardware=machine, device=device, tell=status
    )


def _help(**arguments: Any) -> None:
    """A further worker on this machine; what it cannot do, the first one does, or says why not."""
    end_with_parent()
    with contextlib.suppress(UserError, KeyboardInterrupt):
        prepared(**arguments).run()


def _about_data(data: Path, version: str) -> dict[str, Any]:
    """What tells a dataset from others: the seed and options of a synthetic one, the size of its tables."""
    folder = data / version
    synthetic = folder / "synth.json"
    about = _read_object(synthetic, "restore it, or remove it") if synthetic.exists() else {}
    return {"version": version, "sample_bytes": (folder / "sample.json").stat().st_size, "synthetic": about}


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
    for name, value in {**definition, **{f"methods.{n}": m for n, m in definition["methods"].items()}}.items():
        before = (
            known.get("methods", {}).get(name[8:], value) if name.startswith("methods.") else known.get(name, value)
        )
        if name != "methods" and before != value:
            raise UserError(
                f"--out {path.parent}: its jobs were done with another '{name}' (see {path}); choose another folder"
            )
    methods = known.get("methods", {}) | definition["methods"]
    return definition | {"methods": methods}


def run(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("label-efficiency", label_efficiency, arguments)
