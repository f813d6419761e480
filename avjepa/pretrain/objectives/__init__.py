"""JEPA and the objectives that it is compared with."""
