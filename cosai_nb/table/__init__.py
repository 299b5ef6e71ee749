"""Records to a DataFrame. No network in this layer."""
