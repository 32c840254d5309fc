"""Stage 3: Teacher -> Student bundle."""
