"""Messages of a Chatkit export, taken and given with their times, senders and ids."""
