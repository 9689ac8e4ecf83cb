"""The users service: who exists. It owns the schema `users` and asks rooms who may."""
