//! The Debian archive that this machine itself uses, found in its apt sources.
//!
//! The hosts' image is built from it, so that a mirror or a proxy which is set
//! up for the machine serves the lab too. Reads both of apt's formats, the
//! one-line and the stanza one; not a general parser of apt's settings.

use std::path::Path;

use crate::error::LabError;

/// One entry of apt's sources, with what the lab needs of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Source {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: Option<String>,
}

/// A Debian archive to build an image from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Archive {
    /// Where it is.
    pub(crate) uri: String,
    /// Its components, comma-separated.
    pub(crate) components: String,
    /// The keyring's path, if the machine names one.
    pub(crate) keyring: Option<String>,
}

/// The archive that serves this machine's own suite.
pub(crate) fn archive() -> Result<Archive, LabError> {
    let release = fs_err::read_to_string("/etc/os-release").unwrap_or_default();
    let suite = os_suite(&release);
    let mut found = vec![];
    let mut files = vec![Path::new("/etc/apt/sources.list").to_path_buf()];
    if let Ok(entries) = fs_err::read_dir("/etc/apt/sources.list.d") {
        let mut parts: Vec<_> = entries.flatten().map(|e| e.path()).collect();
        parts.sort();
        files.extend(parts);
    }
    for file in files {
        let text = fs_err::read_to_string(&file).unwrap_or_default();
        match file.extension().and_then(|e| e.to_str()) {
            Some("list") => found.extend(one_line(&text)),
            Some("sources") => found.extend(stanzas(&text)),
            _ => {}
        }
    }
    choose(&found, &suite).ok_or(LabError::NoArchive { suite })
}

/// The suite's name in `/etc/os-release`.
fn os_suite(release: &str) -> String {
    release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map_or_else(|| "stable".to_owned(), |name| name.trim_matches('"').to_owned())
}

/// The entry that is Debian's archive: it names the machine's suite itself and
/// the component `main`, and, where several do, its path ends in `debian`.
fn choose(sources: &[Source], suite: &str) -> Option<Archive> {
    let names = [suite, "stable", "testing", "unstable", "sid"];
    let mut fitting: Vec<(&Source, &String)> = sources
        .iter()
        .filter(|s| {
            s.components.iter().any(|c| c == "main") && s.suites.iter().any(|s| names.contains(&s.as_str()))
        })
        .flat_map(|s| s.uris.iter().map(move |uri| (s, uri)))
        .collect();
    fitting.sort_by_key(|(source, uri)| {
        let own = source.suites.iter().any(|s| s == suite);
        (!uri.trim_end_matches('/').ends_with("/debian"), !own)
    });
    let (source, uri) = fitting.first()?;
    Some(Archive {
        uri: (*uri).clone(),
        components: source.components.join(","),
        keyring: source
            .signed_by
            .clone()
            .filter(|k| k.starts_with('/') && !k.contains(' ')),
    })
}

/// Parses the one-line format: `deb [options] uri suite component…`.
fn one_line(text: &str) -> Vec<Source> {
    let mut found = vec![];
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(rest) = line.strip_prefix("deb").filter(|r| r.starts_with([' ', '\t'])) else {
            continue;
        };
        let mut rest = rest.trim_start();
        let mut signed_by = None;
        if let Some((options, after)) = rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
            signed_by = options
                .split_whitespace()
                .find_map(|o| o.strip_prefix("signed-by="))
                .map(str::to_owned);
            rest = after;
        }
        let mut words = rest.split_whitespace().map(str::to_owned);
        if let (Some(uri), Some(suite)) = (words.next(), words.next()) {
            found.push(Source {
                uris: vec![uri],
                suites: vec![suite],
                components: words.collect(),
                signed_by,
            });
        }
    }
    found
}

/// Parses the stanza format: fields and continuation lines, stanzas apart by an
/// empty line. An embedded key is not taken as a path.
fn stanzas(text: &str) -> Vec<Source> {
    let mut found = vec![];
    let mut source = Source::default();
    let mut binary = false;
    let mut enabled = true;
    let mut field = String::new();
    for line in text.lines().chain(Some("")) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            if binary && enabled && !source.uris.is_empty() {
                found.push(source);
            }
            (source, binary, enabled, field) = (Source::default(), false, true, String::new());
            continue;
        }
        let value = if line.starts_with([' ', '\t']) {
            line.trim()
        } else if let Some((name, value)) = line.split_once(':') {
            field = name.trim().to_ascii_lowercase();
            value.trim()
        } else {
            continue;
        };
        let words = value.split_whitespace().map(str::to_owned);
        match field.as_str() {
            "types" => binary |= value.split_whitespace().any(|t| t == "deb"),
            "enabled" => enabled = !matches!(value, "no" | "false" | "0" | "off"),
            "uris" => source.uris.extend(words),
            "suites" => source.suites.extend(words),
            "components" => source.components.extend(words),
            "signed-by" if value.starts_with('/') => source.signed_by = Some(value.to_owned()),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANZAS: &str = "Types: deb\n# a comment\nURIs: http://mirror.example/debian\n\
        Suites: bookworm bookworm-updates\nComponents: main contrib\n\
        Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
        Types: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\n\
        Components: main\n";

    #[test]
    fn the_machines_own_archive_is_chosen() {
        let mut all = one_line(
            "# deb http://no.example/debian bookworm main\n\
             deb [arch=amd64 signed-by=/k] https://tools.example/linux/debian bookworm stable\n\
             deb https://packages.example/apt some-bookworm main\n",
        );
        all.extend(stanzas(STANZAS));
        let archive = choose(&all, "bookworm").unwrap();
        assert_eq!(archive.uri, "http://mirror.example/debian");
        assert_eq!(archive.components, "main,contrib");
        assert_eq!(
            archive.keyring.as_deref(),
            Some("/usr/share/keyrings/debian-archive-keyring.gpg")
        );
    }

    #[test]
    fn one_line_options_are_read() {
        let found = one_line("deb [ signed-by=/k arch=amd64 ] http://a/debian/ trixie main # x\n");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].signed_by.as_deref(), Some("/k"));
        assert_eq!(choose(&found, "trixie").unwrap().uri, "http://a/debian/");
    }

    #[test]
    fn what_is_off_or_source_only_is_passed_over() {
        assert!(stanzas("Types: deb-src\nURIs: http://a\nSuites: x\nComponents: main\n").is_empty());
        assert!(stanzas("Enabled: no\nTypes: deb\nURIs: http://a\nSuites: x\nComponents: main\n").is_empty());
        assert!(one_line("deb-src http://a/debian x main").is_empty());
    }

    #[test]
    fn an_embedded_key_is_no_path() {
        let found = stanzas(
            "Types: deb\nURIs: http://a/debian\nSuites: x\nComponents: main\nSigned-By:\n -----BEGIN\n .\n",
        );
        assert_eq!(choose(&found, "x").unwrap().keyring, None);
    }

    #[test]
    fn the_suite_is_read() {
        assert_eq!(os_suite("ID=debian\nVERSION_CODENAME=bookworm\n"), "bookworm");
        assert_eq!(os_suite("ID=debian\n"), "stable");
    }
}
