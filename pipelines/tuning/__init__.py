"""Searches settings on the validation targets."""
