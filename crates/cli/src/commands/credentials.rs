//! `quorate credentials`: what a client needs to log in as the administrator.
//! The authority's certificate is written beside the cloud file, since clients
//! want a path.

use std::process::ExitCode;

use camino::Utf8PathBuf;
use vault::ExposeSecret as _;

use crate::args::{CredentialsArgs, CredentialsFormat};
use crate::failure::Failure;
use crate::project::Project;
use crate::say;

/// Runs it.
pub fn run(args: &CredentialsArgs, catalog: &[Utf8PathBuf]) -> Result<ExitCode, Failure> {
    let project = Project::open(&args.file, catalog)?;
    let vault = project.vault()?;
    // The service that others authenticate with is the one whose endpoint says so.
    let identity = project
        .model
        .served()
        .into_iter()
        .find(|s| s.endpoint.service_type == "identity");
    let Some(identity) = identity else {
        return Err(Failure::world(
            "this cloud has no identity service",
            "add it to `services`",
        ));
    };
    let secret = |name: &str| -> Result<String, Failure> {
        let found = vault.get(name).map(|s| s.expose_secret().to_owned());
        found.ok_or_else(|| Failure::world(format!("the vault has no `{name}`"), "run `quorate apply` first"))
    };
    let password = secret(&format!("{}/admin", identity.service))?;
    let ca = std::path::absolute(project.state.join("ca.pem"))?;
    fs_err::write(&ca, secret("tls/trust.crt")?)?;
    let ca = ca.display();
    let url = project
        .desired
        .apis
        .iter()
        .find(|a| a.name == identity.service)
        .map_or("", |a| a.url.as_str());
    let region = &project.model.cloud.region.value;
    let name = &project.model.cloud.name.value;
    match args.format {
        CredentialsFormat::Openrc => {
            for (key, value) in [
                ("AUTH_URL", url),
                ("USERNAME", "admin"),
                ("PASSWORD", &password),
                ("PROJECT_NAME", "admin"),
                ("USER_DOMAIN_NAME", "Default"),
                ("PROJECT_DOMAIN_NAME", "Default"),
                ("REGION_NAME", region),
                ("IDENTITY_API_VERSION", "3"),
                ("CACERT", &ca.to_string()),
            ] {
                say::outln!("export OS_{key}='{value}'");
            }
        }
        CredentialsFormat::CloudsYaml => say::outln!(
            "clouds:\n  {name}:\n    auth:\n      auth_url: {url}\n      username: admin\n      password: {password}\n      \
             project_name: admin\n      user_domain_name: Default\n      project_domain_name: Default\n    \
             region_name: {region}\n    cacert: {ca}\n    identity_api_version: 3"
        ),
    }
    Ok(ExitCode::SUCCESS)
}
