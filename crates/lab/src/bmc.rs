//! The lab's BMC: a Redfish service, one process for all hosts of a lab.
//!
//! As much of Redfish as a stock fence agent and a person with curl use: the
//! list of systems, their power state, and the reset action. It listens with
//! https on the first address of each network, with a certificate of its own
//! signature. It reads the lab's record at each request, so that hosts which
//! are added later are served too. Not a model of any vendor's.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::error::LabError;
use crate::spec::LabSpec;
use crate::state::{Actor, Power};
use crate::{cgroup, names, power, procfs, state, supervisor};

/// The part of the lab's cgroup that holds the BMC; no host can be named so.
pub(crate) const PART: &str = ".bmc";
/// How long a client may take for its handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long `up` waits for the BMC to listen.
const START_LIMIT: Duration = Duration::from_secs(10);
/// The resets that are understood.
const RESETS: [&str; 6] = [
    "On",
    "ForceOn",
    "ForceOff",
    "ForceRestart",
    "GracefulShutdown",
    "PushPowerButton",
];

/// Serves a lab's BMC until it is killed; what the hidden command `lab bmc LAB`
/// runs. Errors: the record is unreadable, or an address cannot be listened on.
pub async fn serve_bmc(lab: &str) -> Result<(), LabError> {
    let spec = state::load(lab)?;
    cgroup::enter(lab, &[PART])?;
    let addresses: Vec<IpAddr> = spec.networks.iter().map(crate::LabNetwork::gateway).collect();
    let acceptor = acceptor(&addresses).map_err(|why| LabError::Bmc {
        name: lab.to_owned(),
        address: addresses.first().copied().unwrap_or(IpAddr::from([0, 0, 0, 0])),
        why,
    })?;
    let (sender, connections) = mpsc::channel(64);
    for address in addresses {
        let failed = |e: std::io::Error| LabError::Bmc {
            name: lab.to_owned(),
            address,
            why: e.to_string(),
        };
        let listener = TcpListener::bind((address, names::BMC_PORT))
            .await
            .map_err(failed)?;
        tokio::spawn(listen(listener, acceptor.clone(), sender.clone()));
    }
    let local = SocketAddr::from(([0, 0, 0, 0], names::BMC_PORT));
    axum::serve(Connections { connections, local }, router(Arc::from(lab)))
        .await
        .map_err(LabError::io("serving the BMC"))
}

/// A certificate of its own signature for the addresses, made anew at each start.
fn acceptor(addresses: &[IpAddr]) -> Result<TlsAcceptor, String> {
    let names: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names).map_err(|e| e.to_string())?;
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .map_err(|e| e.to_string())?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

type Connection = (TlsStream<TcpStream>, SocketAddr);

/// Accepts on one address; each handshake in a task of its own, so that a mute
/// client keeps nobody waiting.
async fn listen(listener: TcpListener, acceptor: TlsAcceptor, sender: mpsc::Sender<Connection>) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await; // out of files, perhaps
            continue;
        };
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        tokio::spawn(async move {
            let handshake = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream));
            if let Ok(Ok(stream)) = handshake.await {
                let _ = sender.send((stream, peer)).await; // closed: the service has ended
            }
        });
    }
}

/// The connections of all addresses whose handshake is done.
struct Connections {
    connections: mpsc::Receiver<Connection>,
    local: SocketAddr,
}

impl axum::serve::Listener for Connections {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.connections.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await, // the listening tasks never end
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(self.local)
    }
}

/// A refusal, in Redfish's words.
struct Refusal(StatusCode, String);

impl From<LabError> for Refusal {
    fn from(error: LabError) -> Self {
        let status = match error {
            LabError::UnknownHost { .. } | LabError::UnknownLab { .. } => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": "Base.1.0.GeneralError", "message": self.1}});
        (self.0, Json(body)).into_response()
    }
}

fn router(lab: Arc<str>) -> Router {
    Router::new()
        .route("/redfish/v1/Systems", get(systems))
        .route("/redfish/v1/Systems/", get(systems))
        .route("/redfish/v1/Systems/{host}", get(system))
        .route(
            "/redfish/v1/Systems/{host}/Actions/ComputerSystem.Reset",
            post(reset),
        )
        .layer(axum::middleware::from_fn_with_state(lab.clone(), authenticate))
        .route("/redfish/v1", get(root))
        .route("/redfish/v1/", get(root))
        .with_state(lab)
}

/// Lets pass who knows the lab's user and password.
async fn authenticate(
    State(lab): State<Arc<str>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let spec = state::load(&lab)?;
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok());
    if given.is_some_and(|given| authorized(given, &spec)) {
        return Ok(next.run(request).await);
    }
    let why = "give the BMC's user and password by basic authentication".to_owned();
    let mut refused = Refusal(StatusCode::UNAUTHORIZED, why).into_response();
    let challenge = header::HeaderValue::from_static("Basic realm=\"lab\"");
    refused.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    Ok(refused)
}

fn authorized(given: &str, spec: &LabSpec) -> bool {
    let Some((scheme, token)) = given.split_once(' ') else {
        return false;
    };
    let wanted = format!("{}:{}", spec.bmc.user, spec.bmc.password);
    let given = base64::engine::general_purpose::STANDARD.decode(token.trim());
    scheme.eq_ignore_ascii_case("basic") && given.is_ok_and(|given| given == wanted.as_bytes())
}

async fn root() -> Json<Value> {
    Json(json!({
        "@odata.id": "/redfish/v1/",
        "@odata.type": "#ServiceRoot.v1_5_0.ServiceRoot",
        "Id": "RootService",
        "Name": "Lab",
        "RedfishVersion": "1.6.0",
        "Systems": {"@odata.id": "/redfish/v1/Systems"},
    }))
}

async fn systems(State(lab): State<Arc<str>>) -> Result<Json<Value>, Refusal> {
    let spec = state::load(&lab)?;
    let members: Vec<Value> = spec
        .hosts
        .iter()
        .map(|h| json!({"@odata.id": format!("/redfish/v1/Systems/{}", h.name)}))
        .collect();
    Ok(Json(json!({
        "@odata.id": "/redfish/v1/Systems",
        "@odata.type": "#ComputerSystemCollection.ComputerSystemCollection",
        "Name": "Systems",
        "Members@odata.count": members.len(),
        "Members": members,
    })))
}

async fn system(State(lab): State<Arc<str>>, Path(host): Path<String>) -> Result<Json<Value>, Refusal> {
    state::load(&lab)?.host(&host)?;
    let power = match state::power(&lab, &host)? {
        Power::On => "On",
        Power::Off => "Off",
    };
    let uri = format!("/redfish/v1/Systems/{host}");
    Ok(Json(json!({
        "@odata.id": uri,
        "@odata.type": "#ComputerSystem.v1_10_0.ComputerSystem",
        "Id": host,
        "Name": host,
        "SystemType": "Physical",
        "PowerState": power,
        "Actions": {"#ComputerSystem.Reset": {
            "target": format!("{uri}/Actions/ComputerSystem.Reset"),
            "ResetType@Redfish.AllowableValues": RESETS,
        }},
    })))
}

async fn reset(
    State(lab): State<Arc<str>>,
    Path(host): Path<String>,
    Json(body): Json<Value>,
) -> Result<StatusCode, Refusal> {
    let kind = body
        .get("ResetType")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    state::load(&lab)?.host(&host)?;
    if !RESETS.contains(&kind.as_str()) {
        let why = format!("ResetType {kind:?} is not one of {}", RESETS.join(", "));
        return Err(Refusal(StatusCode::BAD_REQUEST, why));
    }
    let work = move || match kind.as_str() {
        "ForceOff" => power::cut_by(&lab, &host, Actor::Bmc),
        "ForceRestart" => {
            power::cut_by(&lab, &host, Actor::Bmc)?;
            power::on_by(&lab, &host, Actor::Bmc)
        }
        "GracefulShutdown" | "PushPowerButton" => power::press(&lab, &host, Actor::Bmc),
        _ => power::on_by(&lab, &host, Actor::Bmc),
    };
    // A task of its own: the work goes on although the client hangs up.
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map(|()| StatusCode::NO_CONTENT).map_err(Refusal::from),
        Err(e) => Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, e.to_string())),
    }
}

/// The processes that serve a lab's BMC.
pub(crate) fn processes(lab: &str) -> Vec<i32> {
    procfs::processes()
        .into_iter()
        .filter(|p| matches!(p.argv.as_slice(), [.., a, b, c] if a == "lab" && b == "bmc" && c == lab))
        .map(|p| p.pid)
        .collect()
}

/// Starts the BMC, detached, unless it serves; returns when it listens.
pub(crate) fn ensure(spec: &LabSpec) -> Result<(), LabError> {
    if processes(&spec.name).is_empty() {
        supervisor::detach(spec, &["lab", "bmc", &spec.name])?;
    }
    let began = Instant::now();
    for network in &spec.networks {
        let address = network.gateway();
        let target = SocketAddr::new(address, names::BMC_PORT);
        while let Err(e) = std::net::TcpStream::connect_timeout(&target, Duration::from_secs(1)) {
            if began.elapsed() > START_LIMIT {
                let log = names::run_dir(&spec.name).join("bmc.out");
                let why = format!("{e}; {}", crate::tools::tail_of(&log, 5));
                return Err(LabError::Bmc {
                    name: spec.name.clone(),
                    address,
                    why,
                });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}
