"""Campaigns: whom to contact with what, the hold-out, and what was changed."""
