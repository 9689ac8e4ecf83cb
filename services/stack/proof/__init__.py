"""Whether a suite has kept its promise, decided from what its clients have recorded and from nothing else."""
