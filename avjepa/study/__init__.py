"""Score against labels: the grid of methods, label amounts, modes and seeds; its workers, outcomes and conclusions."""
