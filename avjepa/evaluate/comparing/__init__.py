"""Two releases scored on the same scenes: what changed, how sure that is, and whether it may go out."""
