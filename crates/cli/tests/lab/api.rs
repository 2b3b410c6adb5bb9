//! The identity API as a client sees it, by `curl`.

use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::said::run;

/// A client of one cloud, with the certificate of its authority.
pub struct Api<'a> {
    cloud: &'a Cloud,
    url: String,
    ca: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    pub token: Option<String>,
    pub body: Value,
}

impl<'a> Api<'a> {
    pub fn of(cloud: &'a Cloud) -> Self {
        let ca = cloud.state().join("story-ca.pem");
        fs_err::write(&ca, cloud.secret("tls/ca.crt")).unwrap();
        Self {
            cloud,
            url: format!("https://{}/v3", cloud.url("keystone", 5000)),
            ca: ca.into_string(),
        }
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[String], body: Option<&Value>) -> Answered {
        let url = format!("{}{path}", self.url);
        let mut words = vec![
            "-sS",
            "-D",
            "-",
            "--max-time",
            "20",
            "--cacert",
            &self.ca,
            "-X",
            method,
            &url,
        ];
        for header in headers {
            words.extend(["-H", header]);
        }
        let text = body.map(Value::to_string);
        if let Some(text) = &text {
            words.extend(["-H", "Content-Type: application/json", "-d", text]);
        }
        let said = run("curl".as_ref(), &words).good();
        let (head, rest) = said.out.split_once("\r\n\r\n").unwrap();
        let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
        let token = head.lines().find_map(|l| {
            let (name, value) = l.split_once(": ")?;
            name.eq_ignore_ascii_case("x-subject-token")
                .then(|| value.trim().to_owned())
        });
        Answered {
            status,
            token,
            body: serde_json::from_str(rest).unwrap_or(Value::Null),
        }
    }

    /// Logs in; the token and what it says.
    pub fn login(&self, user: &str, password: &str, project: &str) -> Answered {
        let domain = json!({ "id": "default" });
        self.ask(
            "POST",
            "/auth/tokens",
            &[],
            Some(&json!({ "auth": {
                "identity": { "methods": ["password"], "password": { "user": {
                    "name": user, "domain": domain, "password": password,
                } } },
                "scope": { "project": { "name": project, "domain": domain } },
            } })),
        )
    }

    /// A token of the administrator.
    pub fn admin(&self) -> String {
        let answered = self.login("admin", &self.cloud.secret("keystone/admin"), "admin");
        assert_eq!(answered.status, 201, "{answered:?}");
        answered.token.unwrap()
    }

    /// As the administrator; the body of a good answer.
    pub fn good(&self, token: &str, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answered = self.ask(method, path, &[format!("X-Auth-Token: {token}")], body);
        assert!(
            (200..300).contains(&answered.status),
            "{method} {path}: {answered:?}"
        );
        answered.body
    }

    /// What the cloud says of a token.
    pub fn token(&self, admin: &str, token: &str) -> Answered {
        let headers = [
            format!("X-Auth-Token: {admin}"),
            format!("X-Subject-Token: {token}"),
        ];
        self.ask("GET", "/auth/tokens", &headers, None)
    }

    /// Names and ids of all of a kind, in order.
    pub fn all(&self, admin: &str, kind: &str) -> Vec<(String, String)> {
        let body = self.good(admin, "GET", &format!("/{kind}"), None);
        let mut out: Vec<(String, String)> = body[kind]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["name"].to_string(), one["id"].to_string()))
            .collect();
        out.sort();
        out
    }
}
