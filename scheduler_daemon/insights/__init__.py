"""What is learnt from runs: statistics and small models, computed in a process that the scheduler never waits for."""
