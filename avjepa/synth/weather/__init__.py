"""What rain does to the sensors, after they have measured: drops in the way, wet roads, spray, wet lenses."""
