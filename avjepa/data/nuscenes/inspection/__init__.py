"""What a dataset holds, what is broken in it, and what can be done with it."""
