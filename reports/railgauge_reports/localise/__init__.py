"""Who is at fault, from what pairs measured.

`pairs`: the input. `meetings`: centred on the fleet. `explain`: the model, Bayes over factors.
`decompose`: which factors there are, and the passes. `suspects`, `told`: what a person gets. `verify`,
`confirm`: rounds against good partners, and what they say. `hangs`: who makes a job hang.
"""

#: Nodes known to be good that a suspect meets before it is confirmed or refuted.
PARTNERS = 3
