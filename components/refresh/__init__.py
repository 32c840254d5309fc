"""Stage 5: Student bundle that passed the gate -> the bundle that is served, which has learnt from all events."""
