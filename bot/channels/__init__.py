"""Ways to reach the bot from other programs and pages, all over one Chatbot and one turn."""
