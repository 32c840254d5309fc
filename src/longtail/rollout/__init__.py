"""A bundle onto KServe: readiness, diagnosis, traffic, canary, rollback. No stage lives here."""
