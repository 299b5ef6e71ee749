"""Taken over from S2 by S5 (issue 3, point 5): ``check_slo(jobs, threshold_s=, target=)`` will be here."""
