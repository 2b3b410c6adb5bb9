//! A database server of its own for a test, on loopback, with TLS, in a folder that goes with it.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::{SqlStore, StoreConfig};
use mysql_async::prelude::Queryable as _;
use openstack::Secret;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// A running server.
pub struct Server {
    folder: TempDir,
    root: PathBuf,
    port: u16,
    child: Child,
}

impl Server {
    /// Starts the server that lies under the root that `QUORATE_SQLD_ROOT` names.
    pub async fn start() -> Self {
        let root =
            std::env::var("QUORATE_SQLD_ROOT").expect("QUORATE_SQLD_ROOT: a root folder with mariadbd");
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        certificates(folder.path());
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let child = spawn(folder.path(), Path::new(&root), port);
        let server = Self {
            folder,
            root: root.into(),
            port,
            child,
        };
        server.wait().await;
        server
    }

    /// Ends it at once and starts it again with the same data.
    pub async fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(self.folder.path(), &self.root, self.port);
        self.wait().await;
    }

    pub fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn wait(&self) {
        let config = self.config();
        let opts = mysql_async::OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(config.port)
            .prefer_socket(Some(false))
            .user(Some("evac"));
        for _ in 0..600 {
            if let Ok(mut conn) = mysql_async::Conn::new(opts.clone()).await {
                conn.query_drop("CREATE DATABASE IF NOT EXISTS evac")
                    .await
                    .unwrap();
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("the server did not start:\n{log}");
    }

    pub fn config(&self) -> StoreConfig {
        StoreConfig {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: self.port,
            user: "evac".to_owned(),
            password: Secret::new("any".to_owned()),
            ca: Some(self.folder.path().join("ca.pem")),
            database: "evac".to_owned(),
        }
    }

    pub fn store(&self) -> SqlStore {
        SqlStore::new(&self.config()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path, root: &Path, port: u16) -> Child {
    let at = |path: &str| root.join(path).display().to_string();
    let own = |path: &str| folder.join(path).display().to_string();
    let libraries = format!(
        "{}:{}",
        at("usr/lib/x86_64-linux-gnu"),
        at("lib/x86_64-linux-gnu")
    );
    Command::new(at("lib64/ld-linux-x86-64.so.2"))
        .args([
            "--library-path",
            &libraries,
            &at("usr/sbin/mariadbd"),
            "--no-defaults",
            "--user=root",
        ])
        .args([
            "--bind-address=127.0.0.1",
            "--skip-grant-tables",
            "--skip-networking=0",
        ])
        .args(["--innodb-buffer-pool-size=16M", "--skip-log-bin"])
        .arg(format!("--port={port}"))
        .arg(format!("--datadir={}", own("data")))
        .arg(format!("--socket={}", own("socket")))
        .arg(format!("--pid-file={}", own("pid")))
        .arg(format!("--ssl-cert={}", own("cert.pem")))
        .arg(format!("--ssl-key={}", own("key.pem")))
        .arg(format!("--plugin-dir={}", at("usr/lib/mysql/plugin")))
        .arg(format!(
            "--character-sets-dir={}",
            at("usr/share/mariadb/charsets")
        ))
        .arg(format!("--lc-messages-dir={}", at("usr/share/mariadb")))
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("log")).unwrap())
        .spawn()
        .unwrap()
}

/// An authority, and a certificate of it for the address.
fn certificates(folder: &Path) {
    let ca_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let cert = params.signed_by(&key, &issuer).unwrap();
    for (name, text) in [
        ("ca.pem", ca.pem()),
        ("cert.pem", cert.pem()),
        ("key.pem", key.serialize_pem()),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
}
