"""What on this machine will disturb timings: fine, will disturb, or unknown, and what helps."""
