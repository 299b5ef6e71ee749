"""Taken over from S2 by S5 (issue 3, point 5): ``compare(before, after)`` and ``change_points(jobs)`` will be here."""
