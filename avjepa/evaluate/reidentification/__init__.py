"""Re-identification after occlusion: events, what is compared with them, and scores."""
