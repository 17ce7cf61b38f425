"""Model text to parameter table and back."""
