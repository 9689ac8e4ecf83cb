"""Disturbances of the suite on one machine, by a seed: processes die and stand still, links break, disks are full.

`disturbed` runs a suite that can be disturbed, `KINDS` names what can be done to it, and `schedule` says in what order.
"""
