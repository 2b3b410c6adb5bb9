#!/bin/bash
# The yardstick of `apply`: the commands that no tool could avoid, by plain ssh.
#
#   benches/chain.sh SSH_CONFIG
#
# From fresh hosts of a lab (packages installed, nothing configured) to a Galera
# of three, a RabbitMQ of three, a quorate Pacemaker that holds an address with
# a balancer on it, and Keystone that answers at that address. Each part begins
# as soon as what it needs is there, all hosts at once. Each ends by a check of
# its own work, and one that fails ends the script with its words. Prints the
# seconds to standard output, and a table of the parts to standard error.
#
# Which parts, and what waits for what:
#
#   files ─┬─ cluster (Corosync, Pacemaker, balancer, address) ────────────────┐
#          ├─ rabbitmq ────────────────────────────────────────────────────────┤
#          └─ galera-first ─┬─ galera-joins ───────────────────────────────────┤
#                           └─ database ─ db_sync ─┬─ bootstrap ───────────────┤
#                                                  └─ keystone on all three ───┴─ address ┆ proof
#
# The clock stops when the address answers, as `apply` does; the proof is that the
# administrator gets a token there and that each member of Galera has the rows.
#
# It takes each short cut that is known but one: the keys and the cluster's first
# configuration are written as files (`keystone-manage fernet_setup` and a wait
# of 20 s for the first controller fall away), and names come from /etc/hosts.
# The one: Galera's other members take a copy, where `apply` lets them join by a
# few events.
#
# It leaves out what costs next to nothing (TLS, memcached, the time), fencing
# (each host asks each device's agent for its description: a CPU second in all),
# and what makes a product: it looks at nothing before it begins, asks nothing
# of what was there, keeps no secret, and cannot be run twice. Pacemaker runs the
# balancer and the address only; systemd starts the rest, at once. So it is a
# floor and not a competitor: what it stands on is less than a cloud.
set -euo pipefail

config=${1:?usage: benches/chain.sh SSH_CONFIG}
mapfile -t hosts < <(sed -n 's/^Host //p' "$config")
mapfile -t addresses < <(sed -n 's/^ *HostName //p' "$config")
[ "${#hosts[@]}" = 3 ] || { echo "three hosts are wanted in $config" >&2 && exit 1; }
first=${hosts[0]}
address=${addresses[0]}
vip=${address%.*}.100
password=throw-away

# shellcheck source=benches/chain-parts.sh
. "$(dirname "$0")/chain-parts.sh"

prelude+='
synced() {
    case "$(mariadb -N -B -e "SHOW GLOBAL STATUS WHERE Variable_name IN (\"wsrep_local_state_comment\", \"wsrep_ready\")" 2>/dev/null)" in
    *Synced*ON*) ;;
    *) return 1 ;;
    esac
}
'

# --- files ------------------------------------------------------------------

key() { head -c32 /dev/urandom | base64 | tr '+/' '-_'; }

# What is the same everywhere is made once.
secrets() {
    head -c256 /dev/urandom | base64 -w0 | head -c256 >"$here/authkey"
    key >"$here/fernet0" && key >"$here/fernet1" && key >"$here/credential0" && key >"$here/credential1"
    for i in 0 1 2; do printf '%s %s\n' "${addresses[i]}" "${hosts[i]}"; done >"$here/names"
    for i in 0 1 2; do
        printf 'node {\n name: %s\n nodeid: %s\n ring0_addr: %s\n}\n' "${hosts[i]}" $((i + 1)) "${addresses[i]}"
    done >"$here/nodes"
    for i in 0 1 2; do
        printf 'server %s %s:5000 check\n' "${hosts[i]}" "${addresses[i]}"
    done >"$here/servers"
    for i in 0 1 2; do
        printf 'cluster_formation.classic_config.nodes.%s = rabbit@%s\n' $((i + 1)) "${hosts[i]}"
    done >"$here/members"
}

address_of() {
    for i in 0 1 2; do [ "${hosts[i]}" != "$1" ] || echo "${addresses[i]}"; done
}

files() {
    local host=$1 own gcomm
    own=$(address_of "$host")
    gcomm=$(IFS=, && echo "${hosts[*]}")
    run "$host" <<FILES
printf '127.0.0.1 localhost\n%s\n' '$(<"$here/names")' >/etc/hosts
sysctl -q net.ipv4.ip_nonlocal_bind=1

cat >/etc/corosync/corosync.conf <<'END'
totem {
    version: 2
    cluster_name: chain
    transport: knet
    crypto_cipher: aes256
    crypto_hash: sha256
    token: 1000
    token_coefficient: 0
    consensus: 1200
}
quorum {
    provider: corosync_votequorum
    expected_votes: 3
}
nodelist {
$(<"$here/nodes")
}
END
printf %s '$(<"$here/authkey")' >/etc/corosync/authkey
chmod 400 /etc/corosync/authkey
# A fresh Pacemaker takes a whole configuration as it finds it.
cat >/var/lib/pacemaker/cib/cib.xml <<'END'
<cib validate-with="pacemaker-3.9" epoch="1" num_updates="0" admin_epoch="0">
 <configuration>
  <crm_config><cluster_property_set id="o">
   <nvpair id="o1" name="dc-deadtime" value="1s"/>
   <nvpair id="o2" name="stonith-enabled" value="false"/>
  </cluster_property_set></crm_config>
  <nodes/>
  <resources>
   <clone id="haproxy-clone"><primitive id="haproxy" class="systemd" type="haproxy"/></clone>
   <primitive id="vip" class="ocf" provider="heartbeat" type="IPaddr2"><instance_attributes id="v">
    <nvpair id="v1" name="ip" value="$vip"/><nvpair id="v2" name="cidr_netmask" value="32"/>
   </instance_attributes></primitive>
  </resources>
  <constraints><rsc_colocation id="c" rsc="vip" with-rsc="haproxy-clone" score="INFINITY"/></constraints>
 </configuration>
 <status/>
</cib>
END
chown hacluster:haclient /var/lib/pacemaker/cib/cib.xml
chmod 600 /var/lib/pacemaker/cib/cib.xml

cat >/etc/haproxy/haproxy.cfg <<'END'
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    default-server inter 500ms fastinter 250ms downinter 500ms fall 2 rise 2
listen keystone
    bind $vip:5000
    option httpchk GET /v3
$(<"$here/servers")
END

cat >/etc/mysql/mariadb.conf.d/99-chain.cnf <<'END'
[mariadbd]
bind-address = $own
skip-name-resolve = ON
binlog_format = ROW
innodb_autoinc_lock_mode = 2
innodb_flush_log_at_trx_commit = 1
innodb_buffer_pool_size = 256M
innodb_log_file_size = 96M
wsrep_on = ON
wsrep_provider = /usr/lib/galera/libgalera_smm.so
wsrep_cluster_name = chain
wsrep_cluster_address = gcomm://$gcomm
wsrep_node_name = $host
wsrep_node_address = $own
wsrep_sst_method = rsync
wsrep_provider_options = "gcache.size=128M"
END

printf throwawaycookie >/var/lib/rabbitmq/.erlang.cookie
chown rabbitmq:rabbitmq /var/lib/rabbitmq/.erlang.cookie
chmod 400 /var/lib/rabbitmq/.erlang.cookie
echo '[rabbitmq_management].' >/etc/rabbitmq/enabled_plugins
cat >/etc/rabbitmq/rabbitmq.conf <<'END'
listeners.tcp.default = $own:5672
management.tcp.ip = 127.0.0.1
management.tcp.port = 15672
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.discovery_retry_interval = 500
cluster_formation.target_cluster_size_hint = 3
$(<"$here/members")
END
cat >/etc/rabbitmq/rabbitmq-env.conf <<'END'
NODENAME=rabbit@$host
RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
END

cat >/etc/keystone/keystone.conf <<'END'
[database]
connection = mysql+pymysql://keystone:$password@$address/keystone?charset=utf8
[token]
provider = fernet
[fernet_tokens]
key_repository = /etc/keystone/fernet-keys/
[credential]
key_repository = /etc/keystone/credential-keys/
END
cd /etc/keystone
mkdir -p fernet-keys credential-keys
echo '$(<"$here/fernet0")' >fernet-keys/0
echo '$(<"$here/fernet1")' >fernet-keys/1
echo '$(<"$here/credential0")' >credential-keys/0
echo '$(<"$here/credential1")' >credential-keys/1
chown -R keystone:keystone fernet-keys credential-keys
chmod -R go= fernet-keys credential-keys
cat >/etc/keystone/chain-uwsgi.ini <<'END'
[uwsgi]
plugins = python3
master = true
enable-threads = true
thunder-lock = true
processes = 2
threads = 4
buffer-size = 65535
need-app = true
add-header = Connection: close
wsgi-file = /usr/bin/keystone-wsgi-public
http-socket = $own:5000
END
FILES
}

# --- cluster ----------------------------------------------------------------

cluster_start() {
    run "$1" <<'EOS'
systemctl start corosync pacemaker
EOS
}

cluster_whole() {
    run "$first" <<'EOS'
whole() {
    m=$(crm_mon --one-shot --output-as=xml 2>/dev/null) || return 1
    case $m in *'with_quorum="true"'*) ;; *) return 1 ;; esac
    [ "$(grep -c '<node name=.* online="true"' <<<"$m")" = 3 ] || return 1
    # Three balancers and the address.
    [ "$(grep -c '<resource .*role="Started".*active="true"' <<<"$m")" = 4 ]
}
until_true 120 whole
EOS
}

cluster() {
    on "${hosts[*]}" cluster_start
    cluster_whole
}

# --- brokers ----------------------------------------------------------------

broker() {
    run "$1" <<'EOS'
systemctl start rabbitmq-server
# Asked by the shell itself: `rabbitmqctl` would cost two CPU seconds.
running() {
    exec 3<>/dev/tcp/127.0.0.1/15672 || return 1
    printf 'GET /api/nodes?columns=name,running HTTP/1.0\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\r\n' >&3
    [ "$(grep -o '"running":true' <&3 | wc -l)" = 3 ]
}
joined() { (running) 2>/dev/null; }
until_true 120 joined
EOS
}

rabbitmq() { on "${hosts[*]}" broker; }

# --- databases --------------------------------------------------------------

member='
start() {
    install -d -o mysql -g mysql /run/mysqld
    systemd-run --quiet --unit=chain-mariadb -p Type=notify -p TimeoutStartSec=120 \
        -p User=mysql -p LimitNOFILE=65536 /usr/sbin/mariadbd --defaults-file=/etc/mysql/mariadb.cnf "$@"
    until_true 60 synced
}
'

galera_first() { echo "$member start --wsrep-new-cluster" | run "$first"; }

join() { echo "$member start" | run "$1"; }

galera_joins() {
    on "${hosts[*]:1}" join
    run "$first" <<'EOS'
[ "$(mariadb -N -B -e "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_size'" | cut -f2)" = 3 ]
EOS
}

database() {
    run "$first" <<EOS
mariadb -e "CREATE DATABASE keystone CHARACTER SET utf8mb4;
    CREATE USER keystone@'%' IDENTIFIED BY '$password';
    GRANT ALL ON keystone.* TO keystone@'%';"
EOS
}

db_sync() {
    run "$first" <<'EOS'
runuser -u keystone -- keystone-manage db_sync
[ "$(mariadb -N -B -e "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'keystone' AND table_name IN ('alembic_version', 'user', 'project', 'endpoint')")" = 4 ]
EOS
}

# --- Keystone ---------------------------------------------------------------

bootstrap() {
    run "$first" <<EOS
url=http://$vip:5000/v3
OS_BOOTSTRAP_PASSWORD=$password runuser -u keystone -- keystone-manage bootstrap \
    --bootstrap-username=admin --bootstrap-project-name=admin --bootstrap-role-name=admin \
    --bootstrap-service-name=keystone --bootstrap-region-id=RegionOne \
    --bootstrap-public-url=\$url --bootstrap-internal-url=\$url --bootstrap-admin-url=\$url
[ "\$(mariadb -N -B -e "SELECT COUNT(*) FROM keystone.endpoint WHERE url = '\$url'")" = 3 ]
EOS
}

# http ADDRESS REQUEST-LINE [BODY]: the status of the answer; by the shell itself.
http() {
    local body=${3:-} line
    exec 3<>"/dev/tcp/$1/5000" || return 1
    printf '%s HTTP/1.0\r\nHost: chain\r\nContent-Type: application/json\r\nContent-Length: %s\r\n\r\n%s' \
        "$2" "${#body}" "$body" >&3
    read -r line <&3 && cut -d' ' -f2 <<<"$line"
}

# answers ADDRESS STATUS REQUEST-LINE [BODY]: until it does.
answers() {
    local limit=$((SECONDS + 120))
    until [ "$( (http "$1" "${@:3}") 2>/dev/null)" = "$2" ]; do
        [ "$SECONDS" -lt "$limit" ] || { echo "$1 does not answer $3 with $2" >&2 && return 1; }
        sleep 0.1
    done
}

serve() {
    run "$1" <<'EOS'
install -d -o keystone -g keystone /var/lib/keystone
systemd-run --quiet --collect --unit=chain-keystone -p User=keystone -p Group=keystone \
    -p WorkingDirectory=/var/lib/keystone /usr/bin/uwsgi_python3 --ini /etc/keystone/chain-uwsgi.ini
EOS
    answers "$(address_of "$1")" 200 'GET /v3'
}

keystone() { on "${hosts[*]}" serve; }

# What the clock stops at.
address_answers() { answers "$vip" 200 'GET /v3'; }

# The proof that it is no facade, beside the clock: a token needs the address,
# balancer, process, database and what bootstrap wrote; each member has the rows.
proof() {
    answers "$vip" 201 'POST /v3/auth/tokens' \
        '{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"admin","domain":{"id":"default"},"password":"'$password'"}}},"scope":{"project":{"name":"admin","domain":{"id":"default"}}}}}'
    for host in "${hosts[@]}"; do
        echo "synced && [ \"\$(mariadb -N -B -e 'SELECT COUNT(*) FROM keystone.endpoint')\" = 3 ]" | run "$host"
    done
}

# --- all of it --------------------------------------------------------------

secrets
part files on "${hosts[*]}" files
part cluster cluster & cluster=$!
part rabbitmq rabbitmq & rabbitmq=$!
part galera-first galera_first
part galera-joins galera_joins & joins=$!
part database database
part db_sync db_sync
part keystone keystone & keystone=$!
part bootstrap bootstrap
all_of $keystone $joins $rabbitmq $cluster
part address address_answers
took=$(($(now) - began))
part proof proof
told $took
