"""Tracking by detection, with and without embeddings: a tracker, official files and scores."""
