"""What a sweep will take in time and memory: from theory, a few probes, and what was seen."""
