"""A night after the other in one folder, the history: measured by a job, judged, reported, pruned.

`settings` is the file that says what a night is (`nightly.toml`); `schedule` when it begins, as text for
cron, scrontab and systemd; `scrontab` installs it. `nights` are the folders, by time and job. `tonight`
submits a night's jobs, `morning` is what follows them whatever became of them, `retention` what is
removed.
"""
