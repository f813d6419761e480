"""BEV maps of a frozen backbone on disk, themselves a backbone."""
