//! Files that the cloud file names beside itself: that they are there. Only here may
//! a file be looked for; what stands in the cloud file is judged without.

use camino::Utf8Path;
use cloud::PowerOption;
use diagnostic::Diagnostic;
use model::Model;

/// A finding for each file that is not there.
pub fn missing(model: &Model, folder: &Utf8Path) -> Vec<Diagnostic> {
    let mut out: Vec<Diagnostic> = Vec::new();
    let mut add = |finding: Diagnostic| {
        if !out.contains(&finding) {
            out.push(finding); // what holds for all hosts is said once
        }
    };
    for host in &model.cloud.hosts {
        for device in host.power.iter().flat_map(|l| &l.devices) {
            for (name, option) in &device.options {
                let PowerOption::File(path) = &option.value.value else {
                    continue;
                };
                if !folder.join(path).is_file() {
                    let message = format!("`{name}` of `{}` is in a file that is not there", device.agent);
                    let finding = Diagnostic::error(
                        "power::missing-file",
                        &model.source,
                        option.value.span.clone(),
                        message,
                        format!("no file `{}`", folder.join(path)),
                    );
                    add(finding.help("make it, relative to the cloud file, or name a secret of the vault"));
                }
            }
        }
        if let Some(config) = &host.ssh.config
            && !folder.join(&config.value).is_file()
        {
            let finding = Diagnostic::error(
                "ssh::missing-config",
                &model.source,
                config.span.clone(),
                "the hosts are reached by an ssh_config that is not there",
                format!("no file `{}`", folder.join(&config.value)),
            );
            add(finding.help("make it, relative to the cloud file, or leave `config` out to use your own"));
        }
    }
    out
}
