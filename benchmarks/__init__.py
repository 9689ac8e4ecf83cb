"""How fast the suite is and what it costs, measured by `./chatkit bench`."""
