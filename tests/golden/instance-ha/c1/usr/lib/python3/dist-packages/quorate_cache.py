"""Named in [cache] proxies: with it the client of the caches unpickles nothing.

Whoever can write to a cache runs code in each process that unpickles what is there, and
the client (python-memcached) knows no other way. Here a value is MessagePack, by the
registry that Keystone packs the same values with for the length of a request. Anything
else in a cache is taken for nothing there, so that it is made anew.

And what Keystone keeps for the length of a request ends with the request. It lies in the
thread's context, which is that of the request before until the token of this one has been
judged: so a token was judged by what was so when the thread last did something. Worse, of
regions that are begun anew when something is withdrawn it had one from before and asked
for another, and put a token with roles that were taken away among the new ones, for all
hosts, for ten minutes.

It is imported before the first client is made. Without it Keystone does not start.
"""

import functools

from dogpile.cache import api
from dogpile.cache import proxy
from keystone.server.flask.request_processing.middleware import auth_context
import memcache
from oslo_context import context
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


def of_its_own(process_request):
    @functools.wraps(process_request)
    def fresh(self, request):
        vars(context._request_store).pop("context", None)
        return process_request(self, request)

    return fresh


judge = auth_context.AuthContextMiddleware
judge.process_request = of_its_own(judge.process_request)


class Plain(proxy.ProxyBackend):
    """Changes nothing: its import did."""
