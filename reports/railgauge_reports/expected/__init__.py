"""What a number should be, and why.

`question` is what other modules call (`question_of`, `curve`), and `answer` (`expected`). `machine` derives
a cluster from a run folder, `words` puts the arithmetic into sentences, `traps` (traps.toml) warns of what
figures of that kind are mistaken for, `references` (references.toml) are published figures with their
sources. `thresholds` reads a file of limits, `lint` judges them.
"""
