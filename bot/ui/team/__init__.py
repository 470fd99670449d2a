"""The team's own pages, behind its login."""
