"""What runs candidates on other machines."""
