"""`rotate-epoch`: what others know by positions of before is void."""

from services.runtime.process.rotation import rotating

rotate_epoch = rotating("messages")
