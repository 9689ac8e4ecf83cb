"""The screen of `chatkit chat`: what is drawn of a session, and what keys do."""
