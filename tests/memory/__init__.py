"""What is kept about a conversation and a customer."""
