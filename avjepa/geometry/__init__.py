"""Rigid transforms, boxes and the BEV grid. Knows no sensor."""
