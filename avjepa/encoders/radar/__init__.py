"""Pillars of returns -> BEV map."""

from avjepa.encoders.radar.encoder import RadarEncoder

__all__ = ["RadarEncoder"]
