//! Caches: nothing that another host can write is run, nobody else is heard, and what is
//! withdrawn or made through one controller is so through all.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::cloud::{Cloud, HOSTS};
use crate::said::tell;

/// The caches' port.
const PORT: u16 = 11211;
/// A peer on the same network that has not answered in this time is not heard.
const UNHEARD: Duration = Duration::from_secs(2);

/// Puts a pickle that makes a file in place of each key of each cache, from this host by the
/// addresses of all, in all forms that a client may take for one. With `left`: how many of
/// those that were planted nobody has written over since.
const PLANT: &str = r#"import pickle, re, socket, sys, zlib

class Run:
    def __reduce__(self):
        import os
        return os.system, ("touch /tmp/planted",)

PICKLES = [(1, pickle.dumps(Run(), 2)), (1, pickle.dumps(Run(), 0)), (9, zlib.compress(pickle.dumps(Run(), 2)))]

def told(cache, words, end):
    cache.sendall(words)
    out = b""
    while not out.endswith(end):
        more = cache.recv(65536)
        if not more:
            raise SystemExit("a cache has hung up after %r" % out)
        out += more
    return out

planted = left = 0
for address in sys.argv[2:]:
    cache = socket.create_connection((address, 11211), 5)
    keys = re.findall(rb"key=(\S+)", told(cache, b"lru_crawler metadump all\r\n", b"END\r\n"))
    for number, key in enumerate(keys):
        flags, value = PICKLES[number % len(PICKLES)]
        if sys.argv[1] == "left":
            left += any(value in told(cache, b"get %s\r\n" % key, b"END\r\n") for _, value in PICKLES)
        else:
            planted += told(cache, b"set %s %d 0 %d\r\n%s\r\n" % (key, flags, len(value), value), b"\r\n") == b"STORED\r\n"
print(left if sys.argv[1] == "left" else planted)"#;

/// A client of the Keystone of one host after the other, past the balancers. What must be
/// seen at once is asserted; what is withdrawn is asked for until all refuse it.
const USERS: &str = r#"import http.client, json, ssl, sys, time
what, password, *hosts = sys.argv[1:]
context = ssl._create_unverified_context()

def ask(host, method, path, token=None, subject=None, body=None):
    client = http.client.HTTPSConnection(host, 5000, context=context, timeout=20)
    headers = {"Content-Type": "application/json"}
    headers.update({"X-Auth-Token": token} if token else {}, **({"X-Subject-Token": subject} if subject else {}))
    client.request(method, "/v3" + path, json.dumps(body) if body else None, headers)
    answer = client.getresponse()
    text = answer.read()
    return answer.status, answer.headers.get("X-Subject-Token"), json.loads(text) if text else {}

def login(host, name, password, project):
    domain = {"id": "default"}
    return ask(host, "POST", "/auth/tokens", body={"auth": {
        "identity": {"methods": ["password"], "password": {"user": {"name": name, "domain": domain, "password": password}}},
        "scope": {"project": {"name": project, "domain": domain}}}})

def good(host, method, path, body=None):
    status, _, found = ask(host, method, path, admin, body=body)
    assert 200 <= status < 300, (host, method, path, status, found)
    return found

status, admin, _ = login(hosts[0], "admin", password, "admin")
assert status == 201, status

# What caches hold: tokens, users, projects, roles, by each host.
for host in hosts * 8:
    for path in ("/users", "/projects", "/roles", "/role_assignments", "/services", "/endpoints"):
        good(host, "GET", path)
    assert ask(host, "GET", "/auth/tokens", admin, admin)[0] == 200
if what == "read":
    sys.exit()

def withdrawn(what, refused, token):
    # Until nobody has taken it for a while: each thread of a process judges for itself.
    begin = time.monotonic()
    last = 0.0
    while last < 5 and time.monotonic() - begin < last + 2:
        for host in hosts:
            if not refused(host, token):
                last = time.monotonic() - begin
    print("%s: taken by nobody after %.1f s" % (what, last))
    assert last < 5, (what, last)

run = str(time.time())
roles = {role["name"]: role["id"] for role in good(hosts[0], "GET", "/roles")["roles"]}
for index, here in enumerate(hosts):
    there, third = hosts[(index + 1) % len(hosts)], hosts[(index + 2) % len(hosts)]
    name = "cache-%d-%s" % (index, run)
    # Made and changed through one, read through another at once.
    project = good(here, "POST", "/projects", {"project": {"name": name}})["project"]["id"]
    user = good(here, "POST", "/users", {"user": {"name": name, "password": "p" * 20}})["user"]["id"]
    for number in range(4):
        for other in (there, third):
            assert good(other, "GET", "/projects/" + project)["project"]["description"] == ("" if not number else str(number))
            good(other, "GET", "/users/" + user)
        good(here, "PATCH", "/projects/" + project, {"project": {"description": str(number + 1)}})
    # A role that was not there a moment ago.
    assert login(there, name, "p" * 20, name)[0] == 401
    grant = "/projects/%s/users/%s/roles/%s" % (project, user, roles["member"])
    good(here, "PUT", grant)
    for other in (there, third):
        status, token, _ = login(other, name, "p" * 20, name)
        assert status == 201, status

    def valid(host, token):
        return ask(host, "GET", "/auth/tokens", admin, token)[0]

    def used_by_all(token):
        for host in hosts * 4:
            assert valid(host, token) == 200, host
            assert ask(host, "GET", "/auth/projects", token)[0] == 200, host

    def refused(host, token):
        return valid(host, token) == 404 and ask(host, "GET", "/auth/projects", token)[0] == 401

    used_by_all(token)
    assert ask(here, "DELETE", "/auth/tokens", admin, token)[0] == 204
    withdrawn("a token, through " + here, refused, token)
    token = login(there, name, "p" * 20, name)[1]
    used_by_all(token)
    good(here, "DELETE", grant)
    withdrawn("a role, through " + here, refused, token)
    good(here, "PUT", grant)
    time.sleep(1.1)  # revocations count whole seconds
    token = login(there, name, "p" * 20, name)[1]
    used_by_all(token)
    good(here, "PATCH", "/users/" + user, {"user": {"enabled": False}})
    withdrawn("a user, through " + here, refused, token)
    good(here, "DELETE", "/users/" + user)
    good(here, "DELETE", "/projects/" + project)"#;

/// A token that a service has taken on each host, withdrawn: until none takes it.
const WITHDRAWN: &str = r#"import http.client, json, ssl, subprocess, sys, time
port, path, *hosts = sys.argv[1:]
context = ssl._create_unverified_context()
token = subprocess.check_output("openstack token issue -f value -c id", shell=True, text=True).strip()

def taken(host):
    client = http.client.HTTPSConnection(host, int(port), context=context, timeout=20)
    client.request("GET", path, headers={"X-Auth-Token": token})
    status = client.getresponse().status
    assert status in (200, 401), status
    return status == 200

for host in hosts * 16:
    assert taken(host), host
subprocess.check_call(["openstack", "token", "revoke", token])
begin = time.monotonic()
last = 0.0
while last < 6 and time.monotonic() - begin < last + 4:
    for host in hosts:
        if taken(host):
            last = time.monotonic() - begin
print("port %s: a withdrawn token is taken by nobody after %.1f s" % (port, last))
assert last < 5, last"#;

/// Another service than the identity service refuses a withdrawn token, on each host.
pub fn withdrawn_from(cloud: &Cloud, port: u16, path: &str) {
    let addresses = HOSTS.map(|host| cloud.address(host));
    let run = ". /root/openrc; exec python3 -c \"$@\"";
    let port = port.to_string();
    let words = ["c1", "sh", "-c", run, "sh", WITHDRAWN, &port, path].into_iter();
    let words: Vec<&str> = words.chain(addresses.iter().map(String::as_str)).collect();
    tell(&cloud.lab("shell", &words).good().out);
}

/// All of it, on a cloud that stands, with no service but the identity service.
pub fn unread(cloud: &Cloud) {
    unheard(cloud);
    let addresses = HOSTS.map(|host| cloud.address(host));
    let on_host = |script: &str, words: &[&str]| {
        let start = ["c2", "python3", "-c", script].into_iter();
        let words = start.chain(words.iter().copied());
        let words: Vec<&str> = words.chain(addresses.iter().map(String::as_str)).collect();
        cloud.lab("shell", &words).good().out
    };
    let password = cloud.secret("keystone/admin");
    // What is read is kept, what is planted is read again.
    on_host(USERS, &["read", &password]);
    let planted: usize = on_host(PLANT, &["set"]).trim().parse().unwrap();
    on_host(USERS, &["read", &password]);
    let left: usize = on_host(PLANT, &["left"]).trim().parse().unwrap();
    // Else nothing was asked for, and nothing is shown.
    assert!(left < planted, "{planted} keys were planted and {left} are left");
    for host in HOSTS {
        let said = cloud.shell(host, "ls -l /tmp/planted");
        assert!(!said.ok(), "{host} ran what was planted in a cache: {said}");
    }
    tell(&format!(
        "{planted} keys of caches were planted, {} asked for, and nothing ran",
        planted - left
    ));
    tell(&on_host(USERS, &["all", &password]));
}

/// The machine of the lab is a peer in the hosts' network that no role is given to.
fn unheard(cloud: &Cloud) {
    for host in HOSTS {
        let at: SocketAddr = format!("{}:{PORT}", cloud.address(host)).parse().unwrap();
        let found = TcpStream::connect_timeout(&at, UNHEARD);
        assert!(found.is_err(), "the cache of {host} hears whoever asks");
    }
}
