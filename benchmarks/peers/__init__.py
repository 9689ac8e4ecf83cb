"""Other chat servers, measured by turns with the suite in one run: `./chatkit bench --peers`."""
