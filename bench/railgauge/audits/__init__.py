"""Checks of a configuration, one file a subject: the file's name is the subject's."""
