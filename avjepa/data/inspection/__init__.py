"""Does a data set say of its boxes what the rest of the package takes it to say? Asked through the protocol alone."""
