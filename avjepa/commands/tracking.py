"""``avjepa reid track``: what embeddings are worth to a tracker."""

from dataclasses import asdict
from pathlib import Path

from avjepa.errors import UserError
from avjepa.ranges import LARGEST_SEED, require_number

LONGEST_LIFE = 3_600.0
"""Seconds, longer than any scene."""
GIVEN = "another tracker"
USUAL_TEMPERATURE = 0.1
"""Of embeddings of which nobody knows it."""


def track(
    data: Path,
    embeddings: Path,
    out: Path,
    version: str = "v1.0-trainval",
    channels: Path | None = None,
    taxonomy: str | None = None,
    split: str = "val",
    embedding: bool | None = None,
    temperature: float | None = None,
    life: float = 10.0,
    birth_score: float = 0.2,
    fit_split: str | None = None,
    fit_embeddings: Path | None = None,
    tracks: Path | None = None,
    fast: bool = False,
    seed: int = 0,
) -> None:
    """Track the boxes of a file of embeddings by motion, and by motion and embeddings; score both.

    Writes an official tracking.json for each into a folder of OUT, and tracking.csv (HOTA, AssA and DetA in per cent,
    the others as the devkit gives them) and scores.json with the classes into OUT.

    Args:
        data: the dataset's root folder.
        embeddings: an embeddings.json of the split, with detected boxes.
        out: folder for the results.
        version: name of its folder of tables.
        channels: a YAML file that says which channels are lidar, cameras and radars; those of the dataset by default.
        taxonomy: the classes: a YAML file, or the name of one of the package; those of the dataset by default.
        split: the split to track and score.
        embedding: true to track with embeddings alone, false to track without alone; both by default.
        temperature: divides the cosine of two embeddings; by default that of the file, else 0.1.
        life: seconds without a box after which an object is given up, with embeddings and without.
        birth_score: of boxes that a new object may begin with.
        fit_split: a split of other scenes, on which life, scores and motion are fitted so that motion alone has the
            highest HOTA, and then the temperature; takes minutes.
        fit_embeddings: the embeddings.json of that split.
        tracks: an official tracking.json of the split by another tracker, to score it too.
        fast: leave out the devkit's scores, which take minutes.
        seed: of the training that the file is from, for the table.
    """
    from rich.console import Console

    from avjepa.commands.opening import opened
    from avjepa.commands.splits import scenes_of
    from avjepa.data.sensor_inputs import letters_of
    from avjepa.evaluate.reidentification.methods import MOTION_EMBEDDING
    from avjepa.evaluate.reidentification.result_file import read_embeddings
    from avjepa.evaluate.tracking.fit import TrackedSplit, fitted_options, fitted_temperature
    from avjepa.evaluate.tracking.result_file import FILE_NAME, read_tracks, write_tracks
    from avjepa.evaluate.tracking.results import SCORES, TABLE, as_json, scores_table, write_scores_table
    from avjepa.evaluate.tracking.scoring import tracking_scores
    from avjepa.evaluate.tracking.tracker import TrackerOptions
    from avjepa.files import write_json

    require_number("--life", life, above=0, at_most=LONGEST_LIFE)
    if temperature is not None:
        require_number("--temperature", temperature, at_least=1e-4, at_most=1e4)
    require_number("--birth_score", birth_score, at_least=TrackerOptions.lowest_score, at_most=1)
    require_number("--seed", seed, at_least=0, at_most=LARGEST_SEED)
    if (fit_split is None) != (fit_embeddings is None):
        raise UserError("--fit_split and --fit_embeddings: belong together; give both, or neither")
    options = TrackerOptions(life=life, birth_score=birth_score)
    source = opened(data, version, channels, taxonomy)
    if not source.has_labels():
        raise UserError(f"{source.name}: has no annotations to score tracks with; choose an annotated dataset")
    scored_scenes = scenes_of(source, split, "--split")
    file = read_embeddings(embeddings, source.taxonomy)
    given = None if tracks is None else read_tracks(tracks, source.taxonomy)
    temperature = temperature or file.temperature or USUAL_TEMPERATURE
    boxes = TrackedSplit.of(source, split, file)
    if given is not None:
        given.arranged(boxes.keyframes.tokens)
    if fit_split is not None and fit_embeddings is not None:
        if both := set(scenes_of(source, fit_split, "--fit_split")) & set(scored_scenes):
            raise UserError(f"--fit_split {fit_split}: shares {min(both)} with --split {split}; fit on other scenes")
        of_others = read_embeddings(fit_embeddings, source.taxonomy)
        others = TrackedSplit.of(source, fit_split, of_others, "--fit_split")
        options = fitted_options(others, options)
        temperature = fitted_temperature(others, options, temperature)
    methods = {"motion": False, MOTION_EMBEDDING: True}
    files = {}
    for method, with_embedding in methods.items():
        if embedding in (None, with_embedding):
            files[method] = out / method.replace(" + ", "_") / FILE_NAME
            write_tracks(files[method], boxes.tracks(options, with_embedding, temperature), file.sensors)
    sensors = dict.fromkeys(files, letters_of(file.sensors))
    if given is not None:
        files[GIVEN], sensors[GIVEN] = given.path, letters_of(given.sensors)
    scores = tracking_scores(files, source, split, boxes.truth, fast)
    about = {
        "version": version, "split": split, "seed": seed, "sensors": list(file.sensors), "fit_split": fit_split,
        "options": asdict(options), "temperature": temperature, "label_fingerprint": source.label_fingerprint(),
    }  # fmt: skip
    write_json(out / SCORES, about | as_json(scores))
    write_scores_table(out / TABLE, scores, sensors, seed)
    console = Console()
    wide = Console(file=console.file, width=max(console.width, 112))
    wide.print(scores_table(f"{version} {split}", scores))
    for note in scores.notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    print(out / TABLE)
