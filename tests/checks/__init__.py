"""The steps of `./chatkit test`, and the record of what pytest ran and skipped."""
