"""What a model's score loses where sensors are missing or degraded."""
