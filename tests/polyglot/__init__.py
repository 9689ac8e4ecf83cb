"""Code for other languages, generated from a copy of protos/ alone, and compiled with what this machine has."""
