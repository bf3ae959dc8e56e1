"""Closed forms of collective algorithms on a cluster: bytes and steps, bounds, and NCCL's own model.

`shape` says who takes part and what each resource carries, `algorithms` is the table of forms, `estimate`
puts both together, `nccl_tuning` predicts as NCCL does. Pure functions; no measurement, no judgement.
"""
