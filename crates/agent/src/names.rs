//! User and group names by the host's own tables, read as text. Not by NSS: a
//! static binary that asks NSS loads the host's modules into itself and dies
//! of it. Users of a directory service are therefore not seen; files of a
//! control plane belong to none.

use std::collections::HashMap;

/// The tables of users and groups.
pub(crate) struct Names {
    users: HashMap<String, u32>,
    groups: HashMap<String, u32>,
    uids: HashMap<u32, String>,
    gids: HashMap<u32, String>,
}

impl Names {
    /// Reads the host's tables; what cannot be read is empty.
    pub(crate) fn read() -> Self {
        let text = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self::parse(&text("/etc/passwd"), &text("/etc/group"))
    }

    fn parse(passwd: &str, group: &str) -> Self {
        let (users, uids) = table(passwd);
        let (groups, gids) = table(group);
        Self {
            users,
            groups,
            uids,
            gids,
        }
    }

    /// The number of a user, by name or by number.
    pub(crate) fn uid(&self, name: &str) -> Option<u32> {
        self.users.get(name).copied().or_else(|| name.parse().ok())
    }

    /// The number of a group, by name or by number.
    pub(crate) fn gid(&self, name: &str) -> Option<u32> {
        self.groups.get(name).copied().or_else(|| name.parse().ok())
    }

    /// A user's name, or the number where it has none.
    pub(crate) fn user(&self, uid: u32) -> String {
        self.uids.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }

    /// A group's name, or the number where it has none.
    pub(crate) fn group(&self, gid: u32) -> String {
        self.gids.get(&gid).cloned().unwrap_or_else(|| gid.to_string())
    }
}

/// `name:x:number:…`, the first line of a name or number counting, as in libc.
fn table(text: &str) -> (HashMap<String, u32>, HashMap<u32, String>) {
    let mut by_name = HashMap::new();
    let mut by_number = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        let (Some(name), Some(number)) = (fields.next(), fields.nth(1)) else {
            continue;
        };
        let Ok(number) = number.parse::<u32>() else {
            continue;
        };
        by_name.entry(name.to_owned()).or_insert(number);
        by_number.entry(number).or_insert_with(|| name.to_owned());
    }
    (by_name, by_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let names = Names::parse(
            "root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/:/bin/sh\napp:x:42:43::/:/x\n+@nis\nbad:x:y\n",
            "root:x:0:\nadm:x:4:syslog,app\n",
        );
        assert_eq!(names.uid("app"), Some(42));
        assert_eq!(names.uid("toor"), Some(0));
        assert_eq!(names.uid("1000"), Some(1000));
        assert_eq!(names.uid("nobody-here"), None);
        assert_eq!(names.user(0), "root");
        assert_eq!(names.user(7), "7");
        assert_eq!(names.gid("adm"), Some(4));
        assert_eq!(names.group(4), "adm");
        assert_eq!(names.group(43), "43");
    }
}
