"""The report on a run: a page that needs nothing else, for whoever leads the support team, and its figures as JSON."""
