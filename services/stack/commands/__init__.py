"""The commands of `./chatkit`, one module for each."""
