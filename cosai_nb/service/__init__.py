"""The wire: job IDs to records. No pandas in this layer."""
