"""The page of `--format html`: what it says, its charts, and how they become one offline file."""
