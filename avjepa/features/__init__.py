"""BEV maps of a frozen backbone on disk, read in its place."""
