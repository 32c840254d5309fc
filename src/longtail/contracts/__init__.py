"""What flows between the stages: table columns, artifact directories, segments, settings, errors. Light imports."""
