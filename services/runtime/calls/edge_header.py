"""The header by which an edge says its name with each call."""

EDGE_HEADER = "x-chatkit-edge"
