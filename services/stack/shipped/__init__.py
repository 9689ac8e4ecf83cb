"""What each image has that others made, with its licence: docs/licences.md and `./chatkit sbom` are made from this.

`packages` reads it from what is installed, `contents` declares what is inside of wheels, `licences` judges it.
"""
