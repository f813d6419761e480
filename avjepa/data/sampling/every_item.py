"""Every item once, in batches that several processes share out."""

from avjepa.data.sampling.sampler import SampleRequest


def batches_of_every_item(
    items: int, batch_size: int, rank: int, world_size: int, *, some_for_each: bool
) -> list[list[SampleRequest]]:
    """The batches of one process. Each is what one process alone would have made, whatever their number.

    Args:
        items: number of items of the dataset.
        batch_size: items per batch; the last one may have fewer.
        rank: number of this process.
        world_size: number of processes.
        some_for_each: where there are fewer batches than processes, each process has all of them, rather than some
            none: every one has to take part in a mean over processes, and that of equal losses is theirs.
    """
    draws = [SampleRequest(item, item) for item in range(items)]
    batches = [draws[first : first + batch_size] for first in range(0, items, batch_size)]
    return batches if some_for_each and len(batches) < world_size else batches[rank::world_size]
