"""The processes of one machine: what they are started with, and who starts, watches and ends them."""
