"""The synthetic scene whose truth is known exactly."""
