"""How inputs are made: each is what its seed and its number say, and nothing else."""
