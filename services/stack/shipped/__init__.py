"""What each image has that others made, with its licence: docs/licences.md and `./chatkit sbom` are made from this.

`pins` reads what is pinned, `packages` what is installed of it, `contents` declares what is inside of wheels,
`licences` judges it.
"""
