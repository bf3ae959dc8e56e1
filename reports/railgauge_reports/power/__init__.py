"""Would this plan find it? Trials of a plan on a modelled cluster with planted faults, and what they found.

`matching`: which suspect stands for which fault. `trial`: one run with its follow-up. `table`: many of
them, with intervals.
"""
