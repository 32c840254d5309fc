"""Policies that learn from logs of what was shown: bandits, policy gradients, and when they are kept. No torch, no kfp."""
