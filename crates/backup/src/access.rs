//! Who asks a bucket and where it is, as the AWS tools are told: from the
//! environment, or from the files `~/.aws/credentials` and `~/.aws/config`. So no
//! cloud file ever holds a credential.

use camino::{Utf8Path, Utf8PathBuf};

use crate::Error;

/// What is needed to ask for something of a bucket.
#[derive(Clone)]
pub struct Access {
    pub(crate) key: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
    pub(crate) region: String,
    /// The service's URL; none: that of AWS.
    pub(crate) endpoint: Option<String>,
    /// A file of the only authorities trusted, PEM; none: the system's.
    pub(crate) authorities: Option<Utf8PathBuf>,
}

/// The credentials are not shown.
impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// A file's keys; none where it is not there.
fn read(path: &Utf8Path) -> Result<Vec<ini::Key>, Error> {
    match fs_err::read_to_string(path) {
        Ok(text) => Ok(ini::keys(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

impl Access {
    /// A pair of keys, for a region and perhaps a service that is not AWS.
    pub fn new(key: &str, secret: &str, region: &str, endpoint: Option<String>) -> Self {
        Self {
            key: key.to_owned(),
            secret: secret.to_owned(),
            token: None,
            region: region.to_owned(),
            endpoint,
            authorities: None,
        }
    }

    /// What the environment and the files in it say.
    ///
    /// # Errors
    /// [`Error::NoCredentials`] where neither has any, and a file that cannot be read.
    pub fn find() -> Result<Self, Error> {
        Self::of(&|name| std::env::var(name).ok())
    }

    /// The same, with the variables by `var`.
    fn of(var: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let var = |name: &str| var(name).filter(|value| !value.trim().is_empty());
        let home = var("HOME").map(Utf8PathBuf::from);
        let file = |name: &str, usual: &str| {
            let usual = home.as_ref().map(|home| home.join(usual));
            let path = var(name).map(Utf8PathBuf::from).or(usual);
            path.map_or_else(|| Ok(Vec::new()), |path| read(&path))
        };
        let profile = var("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
        let credentials = file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")?;
        let config = file("AWS_CONFIG_FILE", ".aws/config")?;
        let section = match profile.as_str() {
            "default" => profile.clone(),
            named => format!("profile {named}"),
        };
        let last =
            |keys: &[ini::Key], section: &str, name: &str| ini::values(keys, section, name).last().cloned();
        let secret =
            |name: &str| last(&credentials, &profile, name).or_else(|| last(&config, &section, name));
        let own = var("AWS_ACCESS_KEY_ID").zip(var("AWS_SECRET_ACCESS_KEY"));
        // The token belongs to the pair beside which it stands.
        let (pair, token) = match own {
            Some(pair) => (Some(pair), var("AWS_SESSION_TOKEN")),
            None => (
                secret("aws_access_key_id").zip(secret("aws_secret_access_key")),
                secret("aws_session_token"),
            ),
        };
        let (key, secret) = pair.ok_or(Error::NoCredentials)?;
        let setting = |names: &[&str], key: &str| {
            let named = names.iter().find_map(|name| var(name));
            named.or_else(|| last(&config, &section, key))
        };
        Ok(Self {
            key,
            secret,
            token,
            region: setting(&["AWS_REGION", "AWS_DEFAULT_REGION"], "region")
                .unwrap_or_else(|| "us-east-1".to_owned()),
            endpoint: setting(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"], "endpoint_url"),
            authorities: setting(&["AWS_CA_BUNDLE"], "ca_bundle").map(Utf8PathBuf::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_goes_before_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_str().unwrap();
        fs_err::create_dir(dir.path().join(".aws")).unwrap();
        fs_err::write(
            dir.path().join(".aws/credentials"),
            "[default]\naws_access_key_id = k1\naws_secret_access_key = s1\n[site]\naws_access_key_id = k2\naws_secret_access_key = s2\naws_session_token = t2\n",
        )
        .unwrap();
        fs_err::write(
            dir.path().join(".aws/config"),
            "[default]\nregion = eu\n[profile site]\nendpoint_url = https://s3.example.org\nca_bundle = /ca\n",
        )
        .unwrap();
        let check = |vars: &[(&str, &str)], expect: [&str; 6]| {
            let var = |name: &str| {
                let given = vars.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
                given.or((name == "HOME").then_some(home)).map(str::to_owned)
            };
            let found = Access::of(&var).unwrap();
            let or_none = |text: Option<String>| text.unwrap_or_default();
            let ca = found.authorities.map(Utf8PathBuf::into_string);
            let all = [
                found.key,
                found.secret,
                or_none(found.token),
                found.region,
                or_none(found.endpoint),
                or_none(ca),
            ];
            assert_eq!(all, expect);
        };
        check(&[], ["k1", "s1", "", "eu", "", ""]);
        check(
            &[("AWS_PROFILE", "site")],
            ["k2", "s2", "t2", "us-east-1", "https://s3.example.org", "/ca"],
        );
        check(
            &[
                ("AWS_ACCESS_KEY_ID", "k3"),
                ("AWS_SECRET_ACCESS_KEY", "s3"),
                ("AWS_REGION", "here"),
                ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
            ],
            ["k3", "s3", "", "here", "http://127.0.0.1:9", ""],
        );
        assert!(matches!(Access::of(&|_| None), Err(Error::NoCredentials)));
    }
}
