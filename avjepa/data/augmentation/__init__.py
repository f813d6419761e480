"""Samples moved in the BEV frame, and filled up with objects of other samples."""
