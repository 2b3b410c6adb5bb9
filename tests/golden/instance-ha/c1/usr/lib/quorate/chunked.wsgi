"""Written by quorate. The application of the file QUORATE_APPLICATION, for uWSGI: a body of
unknown length (`Transfer-Encoding: chunked`) is read and handed on with its length.

uWSGI 2.0 gives an application such a body by a function of its own alone, which no
framework calls: it would be read as empty. What is larger than APIs take is refused (413).
"""
import importlib.machinery
import importlib.util
import io
import os

try:
    import uwsgi
except ImportError:  # a test
    uwsgi = None

AT_MOST = 16 << 20


def length_known(application, read):
    """The application behind it sees no chunks; `read` gives the next one, empty at the end."""

    def answer(environ, start_response):
        if environ.get("HTTP_TRANSFER_ENCODING", "").lower() != "chunked":
            return application(environ, start_response)
        body = bytearray()
        while chunk := read():
            body += chunk
            if len(body) > AT_MOST:
                start_response("413 Content Too Large", [("Content-Length", "0"), ("Connection", "close")])
                return [b""]
        del environ["HTTP_TRANSFER_ENCODING"]
        environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = io.BytesIO(body)
        return application(environ, start_response)

    return answer


def load(path):
    loader = importlib.machinery.SourceFileLoader("quorate_application", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module.application


if uwsgi:
    application = length_known(load(os.environ["QUORATE_APPLICATION"]), uwsgi.chunked_read)
