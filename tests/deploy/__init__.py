"""Images and compose: what they say is held against what the processes really use."""
