"""Ranking, beyond-accuracy and significance. numpy only."""
