"""The classic systems that a learned one has to beat."""
