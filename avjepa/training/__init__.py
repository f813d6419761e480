"""What pre-training and fine-tuning share: optimiser and schedule, exact resume, safe checkpoints, progress, logs."""
