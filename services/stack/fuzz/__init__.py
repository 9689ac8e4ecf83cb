"""`./chatkit fuzz`: what nobody sends on purpose, sent to a suite of its own, and a judge of what it does then."""
