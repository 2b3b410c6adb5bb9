//! The client against a server in this process: tokens, the fate of requests, and answers
//! that are not whole.
//!
//! The answers have the shapes of Nova 2025.1, Neutron and Placement as their API references
//! describe them; none was captured from a running cloud.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use openstack::{Cells, Client, Error, MigrationFilter, Power, ServiceChange, carries_ports};
use serde_json::{Value, json};
use support::{Asked, Fake, Reply, an_hour};
use wire::Fact;

fn identity(asked: &Asked) -> bool {
    asked.path.starts_with("/identity")
}

fn ok(body: Value) -> Reply {
    Reply::Json(200, body)
}

fn compute(host: &str) -> Value {
    json!({
        "id": "6f4ed1ae-6c3c-4a3e-9f7c-b5c4ba2ea9d4", "binary": "nova-compute", "host": host,
        "state": "up", "status": "enabled", "disabled_reason": null, "forced_down": false,
        "updated_at": "2025-04-02T10:00:00.000000", "zone": "nova",
    })
}

fn services() -> Reply {
    ok(json!({"services": [compute("n1")]}))
}

fn server(id: &str, host: &str) -> Value {
    json!({
        "id": id, "name": "web", "tenant_id": "p1", "status": "ACTIVE", "locked": false,
        "OS-EXT-SRV-ATTR:host": host, "OS-EXT-SRV-ATTR:hypervisor_hostname": host,
        "OS-EXT-STS:vm_state": "active", "OS-EXT-STS:task_state": null, "OS-EXT-STS:power_state": 1,
        "OS-EXT-AZ:availability_zone": "nova", "created": "2025-04-02T10:00:00Z",
        "tags": ["evac:1"], "metadata": {"a": "b"}, "image": "",
        "flavor": {"original_name": "tiny", "vcpus": 1, "ram": 64, "disk": 0, "ephemeral": 0,
                   "swap": 0, "extra_specs": {"hw:cpu_policy": "shared"}},
        "os-extended-volumes:volumes_attached": [{"id": "v1", "delete_on_termination": false}],
    })
}

async fn cells(client: &Client) -> Cells {
    Cells::all(&client.services().await.unwrap()).unwrap()
}

/// Asks with a server that answers all but the identity API by `answer`.
async fn with(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Fake, Client) {
    let fake = Fake::start(move |asked| if identity(asked) { an_hour() } else { answer(asked) }).await;
    let client = fake.client();
    (fake, client)
}

#[tokio::test]
async fn the_endpoint_is_of_the_region_and_interface() {
    let (fake, client) = with(|_| services()).await;
    client.services().await.unwrap();
    let asked = fake.asked();
    assert_eq!(asked[0].path, "/compute/v2.1/os-services");
    assert_eq!(asked[0].version, "compute 2.90");
    assert_eq!(asked[0].token, "token-1");
}

#[tokio::test]
async fn a_token_is_kept_and_a_refused_one_renewed_once() {
    let (fake, client) = with(|asked| match asked.token.as_str() {
        "token-1" => Reply::Json(401, json!({"error": {"message": "expired"}})),
        _ => services(),
    })
    .await;
    for _ in 0..3 {
        client.services().await.unwrap();
    }
    assert_eq!((fake.tokens(), fake.asked().len()), (2, 4));

    let (fake, client) = with(|_| Reply::Json(401, json!({"error": {"message": "no rights"}}))).await;
    let refused = client.evacuate("vm", None).await.unwrap_err();
    assert_eq!(
        refused,
        Error::Refused {
            status: 401,
            message: "no rights".to_owned()
        }
    );
    assert_eq!((fake.tokens(), fake.asked().len()), (2, 2));
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end_whatever_the_clocks_say() {
    // Moments of the identity API's clock lie in the past; only their difference counts.
    let lives = AtomicUsize::new(0);
    let fake = Fake::start(move |asked| {
        if !identity(asked) {
            return services();
        }
        match lives.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::Json(0, json!(0)),
            _ => an_hour(),
        }
    })
    .await;
    let client = fake.client();
    for _ in 0..3 {
        client.services().await.unwrap();
    }
    assert_eq!(fake.tokens(), 2);
}

#[tokio::test]
async fn many_requests_at_once_share_one_token() {
    let (fake, client) = with(|_| services()).await;
    let all = futures::future::join_all((0..20).map(|_| client.services())).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(fake.tokens(), 1);
}

#[tokio::test]
async fn a_change_without_a_token_was_not_sent() {
    let fake = Fake::start(|_| Reply::Json(0, json!("no"))).await;
    let error = fake.client().evacuate("vm", None).await.unwrap_err();
    assert_eq!(
        error,
        Error::NotSent("no token: refused with status 401: wrong password".to_owned())
    );
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn nobody_listening_is_not_sent() {
    let (fake, _) = with(|_| services()).await;
    let mut credentials = fake.credentials();
    credentials.auth_url = "http://127.0.0.1:1/v3".to_owned();
    let client = Client::new(credentials, openstack::Limits::default()).unwrap();
    let error = client.evacuate("vm", None).await.unwrap_err();
    assert!(
        matches!(&error, Error::NotSent(why) if why.ends_with("Connection refused (os error 111)")),
        "{error}"
    );
}

/// The fate of a change by how its answer ends; it is never sent a second time.
#[tokio::test]
async fn the_fate_of_a_change() {
    async fn check(reply: fn() -> Reply, expect: &str) {
        let (fake, client) = with(move |_| reply()).await;
        let got = match client.evacuate("vm", Some("n2")).await {
            Ok(()) => "done".to_owned(),
            Err(error) => error.to_string().replace(&fake.url, ""),
        };
        assert_eq!(got, expect);
        assert_eq!(fake.asked().len(), 1, "{expect}");
    }
    let path = "/compute/v2.1/servers/vm/action";
    check(|| ok(json!({})), "done").await;
    check(|| Reply::Text(202, ""), "done").await;
    check(
        || {
            Reply::Json(
                400,
                json!({"badRequest": {"code": 400, "message": "n1 is in use"}}),
            )
        },
        "refused with status 400: n1 is in use",
    )
    .await;
    check(
        || {
            Reply::Json(
                409,
                json!({"conflictingRequest": {"code": 409, "message": "in task_state"}}),
            )
        },
        "refused with status 409: in task_state",
    )
    .await;
    check(
        || Reply::Text(503, "<h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n"),
        &format!("not sent: {path}: <h1>503 Service Unavailable</h1> No server is available to handle this request."),
    )
    .await;
    check(
        || Reply::Text(503, "The Keystone service is temporarily unavailable."),
        &format!("not sent: {path}: The Keystone service is temporarily unavailable."),
    )
    .await;
    check(
        || Reply::Text(503, "busy"),
        &format!("unknown: POST {path} was answered with status 503: busy"),
    )
    .await;
    check(
        || {
            Reply::Json(
                500,
                json!({"computeFault": {"code": 500, "message": "Unexpected API Error"}}),
            )
        },
        &format!("unknown: POST {path} was answered with status 500: Unexpected API Error"),
    )
    .await;
    check(
        || Reply::Text(504, "late"),
        &format!("unknown: POST {path} was answered with status 504: late"),
    )
    .await;
    check(
        || Reply::Hang,
        &format!("unknown: POST {path} was not answered within 400 ms"),
    )
    .await;
    check(
        || Reply::Close,
        &format!("unknown: {path}: connection closed before message completed"),
    )
    .await;
    check(
        || Reply::Noise,
        &format!("unknown: {path}: invalid HTTP version parsed"),
    )
    .await;
}

#[tokio::test]
async fn what_is_asked_for() {
    let (fake, client) = with(|_| ok(json!({}))).await;
    client.evacuate("a/b", None).await.unwrap();
    client.evacuate("vm", Some("n2")).await.unwrap();
    client.live_migrate("vm", None).await.unwrap();
    client.migrate("vm").await.unwrap();
    client.confirm("vm").await.unwrap();
    client.switch("vm", Power::Stop).await.unwrap();
    client.switch("vm", Power::Start).await.unwrap();
    client.switch("vm", Power::HardReboot).await.unwrap();
    client.reset_state("vm", true).await.unwrap();
    let down = ServiceChange {
        enabled: Some(false),
        reason: Some("dead".to_owned()),
        forced_down: Some(true),
    };
    client.change_service("s1", &down).await.unwrap();
    let up = ServiceChange {
        forced_down: Some(false),
        ..ServiceChange::default()
    };
    client.change_service("s1", &up).await.unwrap();
    let said: Vec<String> = fake
        .asked()
        .iter()
        .map(|a| format!("{} {} {}", a.method, a.path.replace("/compute/v2.1", ""), a.body))
        .collect();
    let expect = [
        r#"POST /servers/a%2Fb/action {"evacuate":{}}"#,
        r#"POST /servers/vm/action {"evacuate":{"host":"n2"}}"#,
        r#"POST /servers/vm/action {"os-migrateLive":{"host":null,"block_migration":"auto"}}"#,
        r#"POST /servers/vm/action {"migrate":null}"#,
        r#"POST /servers/vm/action {"confirmResize":null}"#,
        r#"POST /servers/vm/action {"os-stop":null}"#,
        r#"POST /servers/vm/action {"os-start":null}"#,
        r#"POST /servers/vm/action {"reboot":{"type":"HARD"}}"#,
        r#"POST /servers/vm/action {"os-resetState":{"state":"active"}}"#,
        r#"PUT /os-services/s1 {"status":"disabled","disabled_reason":"dead","forced_down":true}"#,
        r#"PUT /os-services/s1 {"forced_down":false}"#,
    ];
    assert_eq!(said, expect);
}

#[tokio::test]
async fn all_pages_of_a_host() {
    let (fake, client) = with(|asked| {
        let next = json!([{"rel": "next", "href": "http://elsewhere/"}]);
        if asked.path.contains("os-services") {
            services()
        } else if asked.path.contains("marker=b") {
            ok(json!({"servers": [server("c", "n1")]}))
        } else {
            ok(json!({"servers": [server("a", "n1"), server("b", "n1")], "servers_links": next}))
        }
    })
    .await;
    let found = client.servers_on(&cells(&client).await, "n1").await.unwrap();
    let ids: Vec<&str> = found.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    let first = &found[0];
    assert_eq!(first.image, Fact::Absent);
    assert_eq!(first.task_state, Fact::Absent);
    assert_eq!(first.flavor.ram_mib, Fact::Known(64));
    assert!(matches!(first.groups, Fact::Unknown(_)));
    let pages: Vec<String> = fake
        .asked()
        .into_iter()
        .filter(|a| a.path.contains("servers"))
        .map(|a| a.path)
        .collect();
    assert_eq!(
        pages,
        [
            "/compute/v2.1/servers/detail?all_tenants=1&host=n1&limit=200",
            "/compute/v2.1/servers/detail?all_tenants=1&host=n1&limit=200&marker=b",
        ]
    );
}

/// A list that may lack a VM is no list: what was not seen is not taken for absent.
#[tokio::test]
async fn a_list_that_may_not_be_whole_is_unknown() {
    async fn check(answer: fn(&Asked) -> Reply, expect: &str) {
        let (fake, client) = with(answer).await;
        let error = client.servers_on(&cells(&client).await, "n1").await.unwrap_err();
        assert_eq!(error.to_string().replace(&fake.url, ""), expect);
    }
    check(
        |asked| {
            if asked.path.contains("servers") {
                ok(json!({"servers": [{"id": "a", "status": "UNKNOWN", "tenant_id": "p", "created": "2025-04-02T10:00:00Z"}]}))
            } else {
                services()
            }
        },
        "unknown: VM a is told in part: no `OS-EXT-SRV-ATTR:host` in the answer",
    )
    .await;
    check(
        |asked| {
            if asked.path.contains("servers") {
                ok(json!({"servers": [server("a", "n2")]}))
            } else {
                services()
            }
        },
        "unknown: VM a of another host than n1 is listed",
    )
    .await;
    check(
        |asked| {
            if asked.path.contains("servers") {
                let next = json!([{"rel": "next", "href": ""}]);
                ok(json!({"servers": [server("a", "n1")], "servers_links": next}))
            } else {
                services()
            }
        },
        "unknown: the pages of /servers/detail?all_tenants=1&host=n1 do not go on",
    )
    .await;
    check(
        |asked| {
            if asked.path.contains("servers") {
                ok(json!({"other": []}))
            } else {
                services()
            }
        },
        "unknown: no list `servers` in the answer",
    )
    .await;
    check(
        |asked| {
            if asked.path.contains("servers") {
                Reply::Text(200, "{\"servers\": [")
            } else {
                services()
            }
        },
        "unknown: the answer of /compute/v2.1/servers/detail?all_tenants=1&host=n1&limit=200 is no JSON: \
         EOF while parsing a list at line 1 column 13",
    )
    .await;
}

/// With a filter, VMs of a cell that cannot be reached are left out without a word.
#[tokio::test]
async fn an_unreachable_cell_leaves_no_list_whole() {
    let (_fake, client) = with(|_| {
        let lost = json!({"binary": "nova-compute", "host": "n2", "status": "UNKNOWN"});
        ok(json!({"services": [compute("n1"), lost]}))
    })
    .await;
    let services = client.services().await.unwrap();
    assert_eq!(services[0].up, Fact::Known(true));
    assert!(matches!(services[1].up, Fact::Unknown(_)));
    assert!(matches!(services[1].enabled, Fact::Unknown(_)));
    let error = Cells::all(&services).unwrap_err().to_string();
    assert_eq!(
        error,
        "unknown: the cell of n2 cannot be reached: lists are not whole"
    );
}

#[tokio::test]
async fn an_older_api_is_asked_without_images() {
    let (fake, client) = with(|asked| {
        if asked.path.contains("os-services") {
            services()
        } else if asked.version == "compute 2.98" {
            Reply::Json(
                406,
                json!({"computeFault": {"message": "Version 2.98 is not supported"}}),
            )
        } else {
            ok(json!({"servers": [server("a", "n1")]}))
        }
    })
    .await;
    for _ in 0..2 {
        client.servers_on(&cells(&client).await, "n1").await.unwrap();
    }
    let asked = fake.asked();
    let versions: Vec<&str> = asked
        .iter()
        .filter(|a| a.path.contains("servers"))
        .map(|a| a.version.as_str())
        .collect();
    assert_eq!(versions, ["compute 2.98", "compute 2.90", "compute 2.90"]);
}

#[tokio::test]
async fn a_vm_is_absent_only_by_the_apis_own_word() {
    async fn check(reply: fn() -> Reply, expect: &str) {
        let (_fake, client) = with(move |_| reply()).await;
        let got = match client.server("a").await {
            Fact::Known(server) => server.id,
            Fact::Absent => "absent".to_owned(),
            Fact::Unknown(_) => "unknown".to_owned(),
        };
        assert_eq!(got, expect);
    }
    check(|| ok(json!({"server": server("a", "n1")})), "a").await;
    let gone = || {
        Reply::Json(
            404,
            json!({"itemNotFound": {"code": 404, "message": "Instance a could not be found."}}),
        )
    };
    check(gone, "absent").await;
    check(|| Reply::Text(404, "no such page"), "unknown").await;
    check(|| Reply::Close, "unknown").await;
}

#[tokio::test]
async fn moves_of_a_host() {
    let (fake, client) = with(|asked| {
        if asked.path.contains("os-services") {
            return services();
        }
        ok(json!({"migrations": [{
            "id": 4, "uuid": "m4", "instance_uuid": "vm", "migration_type": "evacuation", "status": "accepted",
            "source_compute": "n1", "source_node": "n1", "dest_compute": null, "dest_node": null,
            "dest_host": null, "created_at": "2025-04-02T10:00:00.000000", "updated_at": null,
            "old_instance_type_id": 1, "new_instance_type_id": 1, "user_id": "u", "project_id": "p",
        }]}))
    })
    .await;
    let filter = MigrationFilter {
        host: Some("n1".to_owned()),
        vm: Some("vm".to_owned()),
        ..MigrationFilter::default()
    };
    let found = client.migrations(&cells(&client).await, &filter).await.unwrap();
    let shown = serde_json::to_value(&found).unwrap();
    assert_eq!(
        shown,
        json!([{
            "id": "m4", "number": {"Known": 4}, "vm": "vm", "kind": {"Known": "evacuation"}, "status": {"Known": "accepted"},
            "source": {"Known": "n1"}, "dest": "Absent", "created": {"Known": "2025-04-02T10:00:00Z"},
            "updated": "Absent",
        }])
    );
    let path = fake
        .asked()
        .into_iter()
        .map(|a| a.path)
        .find(|p| p.contains("migrations"));
    assert_eq!(
        path.unwrap(),
        "/compute/v2.1/os-migrations?host=n1&instance_uuid=vm&limit=200"
    );
}

#[tokio::test]
async fn room_groups_and_agents() {
    let (fake, client) = with(|asked| {
        if asked.path.starts_with("/placement") {
            ok(json!({"allocation_requests": [], "provider_summaries": {
                "h1": {"traits": [], "resources": {
                    "VCPU": {"capacity": 16, "used": 3}, "MEMORY_MB": {"capacity": 4096, "used": 5000},
                    "DISK_GB": {"capacity": 0, "used": 0}}},
                "other": {"resources": {"VCPU": {"capacity": 1, "used": 0}}},
            }}))
        } else if asked.path.contains("os-hypervisors") {
            ok(json!({"hypervisors": [
                {"id": "h1", "hypervisor_hostname": "n1.cloud", "service": {"host": "n1", "id": "s"}},
                {"id": "h2", "hypervisor_hostname": "n2.cloud", "service": {"host": "n2", "id": "s"}},
            ]}))
        } else if asked.path.contains("os-server-groups") {
            ok(json!({"server_groups": [
                {"id": "g", "name": "g", "policy": "anti-affinity", "rules": {}, "members": ["a", "b"], "metadata": {}},
            ]}))
        } else {
            ok(json!({"agents": [
                {"host": "n1", "agent_type": "OVN Controller agent", "alive": true, "admin_state_up": true},
                {"host": "n1", "agent_type": "OVN Metadata agent", "alive": false, "admin_state_up": true},
                {"host": "n2", "agent_type": "OVN Controller agent", "alive": false, "admin_state_up": true},
                {"host": "n3", "agent_type": "OVN Metadata agent", "alive": true, "admin_state_up": true},
                {"host": "n4", "agent_type": "Open vSwitch agent", "admin_state_up": true},
            ]}))
        }
    })
    .await;
    let capacity = client.capacity().await.unwrap();
    assert_eq!(capacity.keys().collect::<Vec<_>>(), ["n1"]);
    let room = capacity["n1"];
    assert_eq!(
        (room.vcpus.free(), room.ram_mib.free(), room.disk_gib.free()),
        (13, 0, 0)
    );
    let groups = client.server_groups().await.unwrap();
    assert_eq!(
        groups[0].members,
        Fact::Known(vec!["a".to_owned(), "b".to_owned()])
    );
    let agents = client.network_agents().await.unwrap();
    let alive = ["n1", "n2", "n3", "n4"].map(|host| carries_ports(&agents, host));
    assert_eq!(alive[0], Fact::Known(true));
    assert_eq!(alive[1], Fact::Known(false));
    assert_eq!(alive[2], Fact::Absent);
    assert!(matches!(alive[3], Fact::Unknown(_)));
    let paths: Vec<String> = fake.asked().into_iter().map(|a| a.path).collect();
    assert!(paths.contains(&"/network/v2.0/agents".to_owned()), "{paths:?}");
    assert!(paths.contains(&"/placement/allocation_candidates?resources=VCPU:1,MEMORY_MB:1".to_owned()));
}

#[tokio::test]
async fn no_debug_output_has_the_password() {
    let (fake, client) = with(|_| services()).await;
    client.services().await.unwrap();
    for shown in [format!("{:?}", fake.credentials()), format!("{client:?}")] {
        assert!(
            !shown.contains("hunter2") && !shown.contains("token-1"),
            "{shown}"
        );
    }
}
