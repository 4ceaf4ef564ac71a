"""What was found, as a page to read: words, figures, tables and drawings in one HTML file."""
