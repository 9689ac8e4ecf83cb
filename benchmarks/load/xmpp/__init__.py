"""The generator of peers that speak XMPP: the same loads on rooms, with bytes that were made beforehand."""
