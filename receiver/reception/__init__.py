"""Store what an authentic delivery means: in Redis, in the spool, or in the quarantine."""
