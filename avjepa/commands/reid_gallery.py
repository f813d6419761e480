"""``avjepa reid gallery``: pictures of objects that come back, and what they are taken for."""

from pathlib import Path

from avjepa.errors import UserError
from avjepa.ranges import LARGEST_SEED, require_number

MOST_EVENTS = 50


def gallery(
    data: Path,
    embeddings: Path,
    out: Path = Path("gallery"),
    version: str = "v1.0-trainval",
    channels: Path | None = None,
    taxonomy: str | None = None,
    split: str = "val",
    k: int = 5,
    method: str = "embedding",
    fit_split: str | None = None,
    fit_embeddings: Path | None = None,
    events: int = 1,
    seed: int = 0,
) -> None:
    """Draw objects before and after they were hidden, and the ranked gallery of what they could be taken for.

    Writes gallery.html, which holds all it shows, and a PNG for each event into OUT. Events are drawn at random, right
    and wrong ones of every range of gaps; the page says how, and how many there are.

    Args:
        data: the dataset's root folder.
        embeddings: an embeddings.json of the split.
        out: folder for the page.
        version: name of its folder of tables.
        channels: a YAML file that says which channels are lidar, cameras and radars; those of the dataset by default.
        taxonomy: the classes: a YAML file, or the name of one of the package; those of the dataset by default.
        split: the split of the file.
        k: LiDAR points that make an object visible.
        method: what ranks the gallery: "embedding", "motion + embedding" or "motion + time unseen + embedding".
        fit_split: the split that the methods' few parameters are fitted on; "train" by default, where there is one.
        fit_embeddings: an embeddings.json of the split that parameters are fitted on.
        events: right ones and wrong ones of each of the four ranges of gaps.
        seed: of the draw.
    """
    from avjepa.commands.opening import opened
    from avjepa.commands.reid_baselines import fit_scenes
    from avjepa.commands.splits import scenes_of
    from avjepa.evaluate.reidentification.comparison import NO_EVENTS, questions
    from avjepa.evaluate.reidentification.gallery_page import GalleryPage
    from avjepa.evaluate.reidentification.methods import WITH_EMBEDDINGS
    from avjepa.evaluate.reidentification.result_file import read_embeddings

    require_number("--k", k, at_least=1)
    require_number("--events", events, at_least=1, at_most=MOST_EVENTS)
    require_number("--seed", seed, at_least=0, at_most=LARGEST_SEED)
    if method not in WITH_EMBEDDINGS:
        known = ", ".join(f"'{name}'" for name in WITH_EMBEDDINGS)
        raise UserError(f"--method {method!r:.80}: is none of {known}")
    source = opened(data, version, channels, taxonomy)
    if not source.has_labels():
        raise UserError(f"{source.name}: has no annotations, which say what was hidden; choose an annotated dataset")
    scenes = scenes_of(source, split, "--split")
    fit = fit_scenes(source, split, fit_split, fit_embeddings)
    file = read_embeddings(embeddings, source.taxonomy)
    asked = questions(source, scenes, minimum_points=k, seed=seed, file=file, fit=fit)
    if not ((asked.queries.gallery_size > 1) & ~asked.queries.is_newborn).any():
        raise UserError(f"--split {split}: {NO_EVENTS}, or none has a choice; choose a smaller k, or another split")
    page = GalleryPage(source, asked, method, file.sensors, events, seed)
    print(page.write(out, f"{version} {split}, objects of {k} LiDAR points or more"))
