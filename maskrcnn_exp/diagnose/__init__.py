"""What is wrong with a run, the evidence, and the command that mends it. Reads records; imports no torch."""
