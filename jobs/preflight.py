"""Checks a job's data before anything starts, and assigns labels to images."""
