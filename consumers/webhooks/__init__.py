"""Topic ``webhook``: what is sent, to whom it may be sent, and what an answer means."""
