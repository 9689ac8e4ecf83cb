"""Clients that do at random what users do, through the edge, and record all that they did and saw.

They repeat what the contract says may be repeated, and resume their streams, as any client would.
"""
