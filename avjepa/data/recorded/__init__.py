"""What an adapter to another data set needs to say of its scenes, and everything that follows from it."""
