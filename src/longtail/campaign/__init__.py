"""Whom to reach, with what, and what it brought: states of users, uplift, plan, hold-out, measurement. No torch, no kfp."""
