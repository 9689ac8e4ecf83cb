"""Pictures of what a run of the benchmarks has found."""
