"""What a service has in the identity service: see `catalog/openstack/keystone/identity`."""
import io
import json
import os
import ssl
import time
import unittest
import urllib.error
import urllib.request
from unittest import mock

from load import load

OPENRC = "".join(
    f"export {key}={value}\n"
    for key, value in {
        "OS_AUTH_URL": "https://198.18.0.100:5000/v3",
        "OS_REGION_NAME": "RegionOne",
        "OS_CACERT": "/none",
        "OS_PROJECT_NAME": "admin",
        "OS_USERNAME": "admin",
        "OS_PASSWORD": "x",
    }.items()
)


class Answer(io.BytesIO):
    """An answer with a token and nothing else in it."""

    status = 200
    headers = {"X-Subject-Token": "t"}


class Refused(unittest.TestCase):
    def play(self, refusals):
        """The script takes away what is not there; the first so many of its questions are refused."""
        asked = []

        def urlopen(request, **_):
            if request.full_url.endswith("/auth/tokens"):
                return Answer(b"{}")
            asked.append(request.full_url)
            if len(asked) <= refusals:
                raise urllib.error.HTTPError(request.full_url, 403, "Forbidden", {}, io.BytesIO(b"no"))
            return Answer(b'{"services": [], "users": []}')

        service = json.dumps({"name": "heat", "type": "orchestration"})
        with (
            mock.patch.object(urllib.request, "urlopen", urlopen),
            mock.patch.object(ssl, "create_default_context"),
            mock.patch.object(time, "sleep"),
            mock.patch.dict(os.environ, {"SERVICE": service}),
        ):
            load("openstack/keystone/identity", ["remove"], {"/root/openrc": OPENRC})
        return len(asked)

    def test_an_api_that_has_just_begun_is_asked_again(self):
        questions = self.play(0)
        self.assertEqual(self.play(2), questions + 2)

    def test_a_refusal_that_stays_is_told(self):
        with self.assertRaisesRegex(SystemExit, "403"):
            self.play(100)


unittest.main()
