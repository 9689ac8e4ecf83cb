"""A call as a service takes it: admission, the handlers of gRPC, pages."""
