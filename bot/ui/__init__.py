"""The pages: the chat for customers and the help articles it links to."""
