"""The table engine: where files come from, and who runs the Narwhals expressions over them (DuckDB or Spark)."""
