"""The table engine: Narwhals expressions on DuckDB or Spark, and reading and writing files and buckets."""
