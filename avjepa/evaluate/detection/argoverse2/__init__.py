"""What the competition of Argoverse 2 asks for: its file of detections, and its composite detection score."""
