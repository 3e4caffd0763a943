"""Random faults under every kind of load, and a checker that holds the record against what was promised."""
