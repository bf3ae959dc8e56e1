"""Rules that name the fault of a fabric from what was counted, set and sent.

`rules.toml` is the catalogue, data alone; `catalogue` reads it. `evidence` is what a rule may look at
and `recorded` takes it from a run folder. The predicates stand in one module a stage: `link`,
`configuration`, `congestion`, `transport`; they see the evidence through `sight`. `judge` asks them in
this order and finds out which finding is a consequence of which. `pause` holds the share of time that
somebody was told to stop. `told` puts it into words.
"""
