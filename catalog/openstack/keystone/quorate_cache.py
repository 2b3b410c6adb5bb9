"""Named in [cache] proxies: with it the client of the caches unpickles nothing.

Whoever can write to a cache runs code in each process that unpickles what is there, and
the client (python-memcached) knows no other way. Here a value is MessagePack, by the
registry that Keystone packs the same values with for the length of a request. Anything
else in a cache is taken for nothing there, so that it is made anew.

It is imported before the first client is made. Without it Keystone does not start.
"""

from dogpile.cache import api
from dogpile.cache import proxy
import memcache
from oslo_serialization import msgpackutils

# What was not written by this is nothing of ours: other formats, other versions.
MARK = b"quorate1"


def pack(self, val, min_compress_len):
    data = MARK + msgpackutils.dumps({"payload": val.payload, "metadata": val.metadata})
    if self.server_max_value_length and len(data) > self.server_max_value_length:
        return 0  # and it is not kept, as without this
    # Marked as the client marks its own: a Keystone without this, as while this comes to a
    # cloud that runs, takes it for a pickle that is broken, so for nothing.
    return memcache.Client._FLAG_PICKLE, len(data), data


def unpack(self, server, flags, rlen):
    # The two bytes behind it end the line.
    data = server.recv(rlen + 2)
    if len(data) != rlen + 2:
        raise memcache._Error("received %d bytes when expecting %d" % (len(data), rlen + 2))
    if flags != memcache.Client._FLAG_PICKLE or not data.startswith(MARK):
        return None
    try:
        value = msgpackutils.loads(data[len(MARK):-2])
        return api.CachedValue(value["payload"], value["metadata"])
    except Exception:
        return None


for name, ours in {"_val_to_store_info": pack, "_recv_value": unpack}.items():
    if not callable(getattr(memcache.Client, name, None)):
        raise ImportError("python-memcached has no %s: it might unpickle what is in a cache" % name)
    setattr(memcache.Client, name, ours)


class Plain(proxy.ProxyBackend):
    """Changes nothing: its import did."""
