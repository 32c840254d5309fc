"""The command `longtail`, one module a group of commands."""
