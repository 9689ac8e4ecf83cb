"""The spans of a suite on one machine: how they are taken and kept, found, and shown as a tree."""
