"""What every service process needs: gRPC, PostgreSQL, identity and policy.

Of chat it knows only whom to ask who may act, and who exists.
"""

import os

# Before grpc is imported: no service forks, and the support for it costs CPU on every call.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
