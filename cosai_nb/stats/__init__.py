"""A frame or a histogram to summaries. No network, no drawing."""
