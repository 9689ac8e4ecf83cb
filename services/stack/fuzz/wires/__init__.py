"""HTTP as it is written and read by hand, because what is sent here no library would send."""
