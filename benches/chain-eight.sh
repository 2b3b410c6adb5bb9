#!/bin/bash
# The yardstick of `apply` for a cloud with all services: the commands that no tool
# could avoid, by plain ssh.
#
#   benches/chain-eight.sh SSH_CONFIG PREPARED
#
# From fresh hosts of a lab (packages installed, nothing configured) to a Galera of
# three, a RabbitMQ of three, a quorate Pacemaker that holds the addresses with balancers
# on them, and Keystone, Placement, Swift, Glance, Nova, Neutron with OVN, Cinder, Heat
# and Horizon, registered and answering at them. PREPARED is what playbook/prepare.py
# makes: the files of `quorate render` with their secrets, so that both start what is
# configured alike. Each part begins as soon as what it needs is there, all hosts at
# once. Each ends by a check of its own work or by its commands' own word, and one that
# fails ends the script with what it said. Prints the seconds to standard output, and a
# table of the parts to standard error.
#
# Which parts, and what waits for what:
#
#   files ─┬─ cluster (Corosync, Pacemaker, balancers, addresses) ─────────────────┐
#          ├─ rabbitmq ────────────────────────────────────────────────────────────┤
#          ├─ base (networks, storage, caches; the host for VMs) ──────────────────┤
#          ├─ galera-others ─ (and the first) galera-joins ────────────────────────┤
#          └─ galera-first ─ databases ─┬─ schema of each ─ start on all three ────┼─ answer ┆ proof
#                                       └─ keystone's ─┬─ bootstrap ─┬─ register ──┘
#                                                      └─ start ─────┘
#
# The clock stops when all addresses answer and all are registered, as `apply` does. The
# proof, beside it: the administrator gets a token, and every API answers what it knows
# only with its database, and Heat its engine; each member of Galera has the rows.
#
# It takes each short cut that is known: the cluster's first configuration and all keys
# are written as files, and Galera's members join by a few events.
#
# It leaves out fencing, and what makes a product: it looks at nothing before it begins,
# asks nothing of what was there, keeps no secret, masks nothing, starts nothing at the
# next boot, and cannot be run twice. Pacemaker runs balancers and addresses only; systemd
# starts the rest, at once. So it is a floor and not a competitor.
set -euo pipefail

usage="usage: benches/chain-eight.sh SSH_CONFIG PREPARED"
config=${1:?$usage}
prepared=${2:?$usage}
mapfile -t hosts < <(sed -n 's/^Host //p' "$config")
# first, and by host or service: addresses, vips, secrets, units, services.
# shellcheck source=/dev/null
. "$prepared/vars.sh"
controllers=()
for host in "${hosts[@]}"; do [[ ${units[$host]} != *pacemaker.service* ]] || controllers+=("$host"); done
[ "${#controllers[@]}" = 3 ] || { echo "three controllers are wanted in $config" >&2 && exit 1; }
others=()
for host in "${controllers[@]}"; do [ "$host" = "$first" ] || others+=("$host"); done
identity=https://${vips[keystone]}:5000/v3

# shellcheck source=benches/chain-parts.sh
. "$(dirname "$0")/chain-parts.sh"

# --- files ------------------------------------------------------------------

# A fresh Pacemaker takes a whole configuration as it finds it.
first_configuration() {
    local service
    cat <<'END'
<cib validate-with="pacemaker-3.9" epoch="1" num_updates="0" admin_epoch="0">
 <configuration>
  <crm_config><cluster_property_set id="o">
   <nvpair id="o1" name="dc-deadtime" value="1s"/>
   <nvpair id="o2" name="stonith-enabled" value="false"/>
  </cluster_property_set></crm_config>
  <nodes/>
  <resources>
   <clone id="haproxy-clone"><primitive id="haproxy" class="systemd" type="haproxy"/></clone>
END
    for service in "${!vips[@]}"; do
        cat <<END
   <primitive id="vip-$service" class="ocf" provider="heartbeat" type="IPaddr2"><instance_attributes id="v-$service">
    <nvpair id="v1-$service" name="ip" value="${vips[$service]}"/><nvpair id="v2-$service" name="cidr_netmask" value="32"/>
   </instance_attributes></primitive>
END
    done
    echo '  </resources><constraints>'
    for service in "${!vips[@]}"; do
        echo "   <rsc_colocation id=\"c-$service\" rsc=\"vip-$service\" with-rsc=\"haproxy-clone\" score=\"INFINITY\"/>"
    done
    echo '  </constraints></configuration><status/></cib>'
}

files() {
    ssh_to "$1" tar --extract --file=- --directory=/ <"$prepared/$1.tar"
    run "$1" <<FILES
sysctl --quiet --ignore --load /etc/sysctl.d/90-quorate.conf
# Who waits for an answer by message would look for it twice a second only.
sed -i 's/time\.sleep(0\.5)/time.sleep(0.02)/' /usr/lib/python3/dist-packages/oslo_messaging/_drivers/amqpdriver.py
systemctl daemon-reload
[ -d /var/lib/pacemaker/cib ] || exit 0
cat >/var/lib/pacemaker/cib/cib.xml <<'END'
$(first_configuration)
END
chown hacluster:haclient /var/lib/pacemaker/cib/cib.xml
chmod 600 /var/lib/pacemaker/cib/cib.xml
FILES
}

# --- cluster, brokers, and what needs no schema --------------------------------

start() { echo "systemctl start $1" | run "$2"; }

cluster() {
    on "${controllers[*]}" start "corosync pacemaker"
    run "$first" <<EOS
whole() {
    m=\$(crm_mon --one-shot --output-as=xml 2>/dev/null) || return 1
    case \$m in *'with_quorum="true"'*) ;; *) return 1 ;; esac
    [ "\$(grep -c '<node name=.* online="true"' <<<"\$m")" = 3 ] || return 1
    # Three balancers and the addresses.
    [ "\$(grep -c '<resource .*role="Started".*active="true"' <<<"\$m")" = $((3 + ${#vips[@]})) ]
}
until_true 120 whole
EOS
}

broker() {
    run "$1" <<EOS
systemctl start rabbitmq-server
# Asked by the shell itself: \`rabbitmqctl\` would cost two CPU seconds.
running() {
    exec 3<>/dev/tcp/127.0.0.1/15672 || return 1
    printf 'GET /api/nodes?columns=name,running HTTP/1.0\r\nAuthorization: Basic $(printf 'quorate:%s' "${secrets[rabbitmq/monitor]}" | base64 -w0)\r\n\r\n' >&3
    [ "\$(grep -o '"running":true' <&3 | wc -l)" = 3 ]
}
joined() { (running) 2>/dev/null; }
until_true 120 joined
EOS
}

rabbitmq() { on "${controllers[*]}" broker; }

base_of() {
    local more=
    [[ " ${controllers[*]} " != *" $1 "* ]] || more="${services[memcached]} ${services[ovn]} ${services[swift]}"
    # What is the cluster's is started there.
    start "$(tr ' ' '\n' <<<"${units[$1]}" | grep -v -e '^corosync' -e '^pacemaker' | tr '\n' ' ') $more" "$1"
}

base() { on "${hosts[*]}" base_of; }

# --- databases --------------------------------------------------------------

# Each alone, of one uuid and a position of its own; the first stays up.
galera_alone() {
    local which=other
    [ "$1" != "$first" ] || which=first
    echo "QUORATE_UUID=${secrets[cloud/id]} /usr/lib/quorate/galera-birth alone $which" | run "$1"
}

# One after the other: two at once tear the view apart.
galera_joins() {
    local host
    for host in "${others[@]}"; do echo "/usr/lib/quorate/galera-birth join" | run "$host"; done
}

databases() {
    {
        echo "mariadb <<'END'"
        while read -r user names; do
            echo "CREATE USER $user@'%' IDENTIFIED BY '${secrets[$user/database]}' REQUIRE SSL;"
            for name in $names; do
                echo "CREATE DATABASE $name CHARACTER SET utf8mb4; GRANT ALL ON $name.* TO $user@'%';"
            done
        done <<'NAMES'
keystone keystone
placement placement
glance glance
nova nova nova_api nova_cell0
neutron neutron
cinder cinder
heat heat
horizon horizon
NAMES
        echo END
    } | run "$first"
}

# Straight to a member: the address may come later.
connection() {
    echo "mysql+pymysql://$1:${secrets[$1/database]}@${addresses[$first]}/$2?charset=utf8&ssl_ca=/etc/$1/tls/ca.pem"
}

# manage SERVICE DATABASE COMMAND: a service's own tool. Placement spells the variable
# otherwise; Nova's has two databases at once.
manage() {
    run "$first" <<EOS
export OS_DATABASE__CONNECTION='$(connection "$1" "$2")'
export OS_PLACEMENT_DATABASE__CONNECTION=\$OS_DATABASE__CONNECTION
[ $1 != nova ] || export OS_API_DATABASE__CONNECTION='$(connection "$1" nova_api)'
runuser -u $1 -- $3
EOS
}

schema_keystone() { manage keystone keystone "keystone-manage db_sync"; }
schema_placement() { manage placement placement "placement-manage db sync"; }
schema_glance() { manage glance glance "glance-manage db_sync"; }
schema_cinder() { manage cinder cinder "cinder-manage db sync"; }
schema_heat() { manage heat heat "heat-manage db_sync"; }
schema_neutron() {
    manage neutron neutron "neutron-db-manage --config-file /etc/neutron/neutron.conf --config-file /etc/neutron/plugins/ml2/ml2_conf.ini upgrade heads"
}
schema_horizon() {
    run "$first" <<EOS
HORIZON_DATABASE_HOST=${addresses[$first]} runuser -u www-data -- /usr/share/openstack-dashboard/manage.py migrate --noinput sessions
EOS
}
nova_cells() {
    local cell='{scheme}://{username}:{password}@{hostname}'
    manage nova nova "nova-manage api_db sync"
    manage nova nova "/usr/lib/quorate/nova-cells '$cell/nova_cell0?{query}' '$cell/{path}?{query}' '$cell:{port}//'"
}
schema_nova() {
    local pids=()
    nova_cells & pids+=($!)
    manage nova nova "nova-manage db sync --local_cell" & pids+=($!)
    manage nova nova_cell0 "nova-manage db sync --local_cell" & pids+=($!)
    all_of "${pids[@]}"
}

# --- services ---------------------------------------------------------------

# The one that is fenced is on one host; what the cluster runs by the clock is not here.
start_service() {
    local wanted=${services[$1]} one
    one=$(tr ' ' '\n' <<<"$wanted" | grep -e cinder-volume || :)
    wanted=$(tr ' ' '\n' <<<"$wanted" | grep -v -e cinder-volume -e '\.timer$' | tr '\n' ' ')
    on "${controllers[*]}" start "$wanted"
    [ -z "$one" ] || start "$one" "$first"
}

service() {
    part "schema-$1" "schema_$1"
    part "start-$1" start_service "$1"
}

# answer URL...: until each answers with 200, asked by one process on the first host.
answer() {
    ssh_to "$first" python3 - "$@" <<'END'
import http.client, ssl, sys, time, urllib.request
tls = ssl.create_default_context(cafile="/etc/haproxy/tls/ca.pem")
left, limit = sys.argv[1:], time.monotonic() + 300
while left:
    for url in list(left):
        try:
            with urllib.request.urlopen(url, timeout=5, context=tls):
                left.remove(url)
        except (OSError, http.client.HTTPException):
            pass
    if left and time.monotonic() > limit:
        sys.exit(f"no answer: {' '.join(left)}")
    time.sleep(0.1 if left else 0)
END
}

bootstrap() {
    run "$first" <<EOS
export OS_BOOTSTRAP_PASSWORD='${secrets[keystone/admin]}' OS_DATABASE__CONNECTION='$(connection keystone keystone)'
runuser -u keystone -- keystone-manage bootstrap \\
    --bootstrap-username=admin --bootstrap-project-name=admin --bootstrap-role-name=admin \\
    --bootstrap-service-name=keystone --bootstrap-region-id=RegionOne \\
    --bootstrap-public-url=$identity --bootstrap-internal-url=$identity --bootstrap-admin-url=$identity
EOS
}

# register SERVICE JSON: what it is besides its name and password.
register() {
    run "$first" <<EOS
SERVICE='{"name": "$1", "password": "${secrets[$1/identity]}", $2}' /usr/lib/quorate/identity make
EOS
}

registrations() {
    local pids=()
    register placement '"type": "placement", "roles": ["service"], "url": "https://'"${vips[placement]}"':8778"' & pids+=($!)
    register swift '"type": "object-store", "roles": ["service"], "url": "https://'"${vips[swift]}"':8080/v1/AUTH_%(project_id)s"' & pids+=($!)
    register glance '"type": "image", "roles": ["service", "swiftoperator"], "url": "https://'"${vips[glance]}"':9292"' & pids+=($!)
    register nova '"type": "compute", "roles": ["admin", "service"], "url": "https://'"${vips[nova]}"':8774/v2.1"' & pids+=($!)
    register neutron '"type": "network", "roles": ["admin", "service"], "url": "https://'"${vips[neutron]}"':9696"' & pids+=($!)
    register cinder '"type": "block-storage", "roles": ["service"], "url": "https://'"${vips[cinder]}"':8776/v3/%(tenant_id)s"' & pids+=($!)
    register heat '"type": "orchestration", "roles": ["service"], "url": "https://'"${vips[heat]}"':8004/v1/%(tenant_id)s",
        "further": [{"name": "heat-cfn", "type": "cloudformation", "url": "https://'"${vips[heat]}"':8000/v1"}],
        "new-roles": ["heat_stack_owner", "heat_stack_user"],
        "domain": {"name": "heat", "admin": "heat_domain_admin", "password": "'"${secrets[heat/domain-admin]}"'"}' & pids+=($!)
    all_of "${pids[@]}"
}

keystone() {
    local pids=()
    part schema-keystone schema_keystone
    part bootstrap bootstrap & pids+=($!)
    part start-keystone start_service keystone & pids+=($!)
    all_of "${pids[@]}"
    # Its address may be later than it.
    part keystone answer "$identity"
    part register registrations
}

services_of_all() {
    local pids=() name
    part databases databases
    keystone & pids+=($!)
    for name in placement glance nova neutron cinder heat horizon; do service "$name" & pids+=($!); done
    all_of "${pids[@]}"
}

# What the clock stops at.
addresses_answer() {
    answer "$identity" "https://${vips[placement]}:8778/" "https://${vips[swift]}:8080/healthcheck" \
        "https://${vips[glance]}:9292/healthcheck" "https://${vips[nova]}:8774/" "https://${vips[nova]}:8775/" \
        "https://${vips[neutron]}:9696/" "https://${vips[cinder]}:8776/healthcheck" \
        "https://${vips[heat]}:8004/healthcheck" "https://${vips[heat]}:8000/healthcheck" \
        "https://${vips[horizon]}/healthcheck"
}

# The proof that it is no facade, beside the clock.
proof() {
    run "$first" <<'EOS'
. /root/openrc
python3 - <<'END'
import json, os, ssl, sys, time, urllib.request
tls = ssl.create_default_context(cafile=os.environ["OS_CACERT"])
def ask(url, body=None, **headers):
    limit = time.monotonic() + 60
    while True:
        try:
            request = urllib.request.Request(url, body and json.dumps(body).encode(), {"Content-Type": "application/json", **headers})
            with urllib.request.urlopen(request, timeout=60, context=tls) as answer:
                text = answer.read()
                return answer.headers, json.loads(text) if text.startswith(b"{") else text
        except OSError as error:
            if time.monotonic() > limit:
                sys.exit(f"{url}: {error}")
            time.sleep(0.5)
user = {"name": "admin", "domain": {"id": "default"}, "password": os.environ["OS_PASSWORD"]}
scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
headers, token = ask(os.environ["OS_AUTH_URL"] + "/auth/tokens", {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}})
known = {s["type"]: next(e["url"] for e in s["endpoints"] if e["interface"] == "public") for s in token["token"]["catalog"] if s["endpoints"]}
reads = {"identity": "/users", "placement": "/resource_providers", "object-store": "", "image": "/v2/images", "compute": "/servers/detail",
    "network": "/v2.0/networks", "block-storage": "/volumes/detail", "orchestration": "/stacks"}
for kind, path in reads.items():
    ask(known[kind] + path, **{"X-Auth-Token": headers["X-Subject-Token"]})
END
EOS
    # Three interfaces of nine APIs.
    for host in "${controllers[@]}"; do
        echo "[ \"\$(mariadb -N -B -e 'SELECT COUNT(*) FROM keystone.endpoint')\" = 27 ]" | run "$host"
    done
}

# --- all of it --------------------------------------------------------------

part files on "${hosts[*]}" files
part galera-first galera_alone "$first" & founded=$!
part galera-others on "${others[*]}" galera_alone & alone=$!
part cluster cluster & waited=($!)
part rabbitmq rabbitmq & waited+=($!)
part base base & waited+=($!)
wait "$founded"
services_of_all & waited+=($!)
wait "$alone"
part galera-joins galera_joins & waited+=($!)
all_of "${waited[@]}"
part addresses addresses_answer
took=$(($(now) - began))
part proof proof
told $took
