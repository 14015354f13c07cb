"""What is measured: this service and its peers, under one interface."""
