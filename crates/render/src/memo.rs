//! Results of templates and expressions, kept from host to host. Most texts of the
//! catalogue say nothing of the host that they are rendered for: each of those is worked
//! out once a cloud, and its result is shared.

use std::collections::HashMap;

use minijinja::Environment;

use crate::context::Scope;

/// Names of its scope that a text reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reads {
    /// `host`: the result is one host's.
    pub host: bool,
    /// `item`: the result is one item's.
    pub item: bool,
}

impl Reads {
    /// A text without templates.
    pub const NONE: Self = Self {
        host: false,
        item: false,
    };
    /// A text that cannot be read: nothing is known of it.
    const ALL: Self = Self {
        host: true,
        item: true,
    };

    /// A template's.
    pub fn template(env: &Environment<'_>, text: &str) -> Self {
        env.template_from_str(text)
            .map_or(Self::ALL, |t| Self::among(&t.undeclared_variables(false)))
    }

    /// An expression's.
    pub fn expression(env: &Environment<'_>, text: &str) -> Self {
        env.compile_expression(text)
            .map_or(Self::ALL, |e| Self::among(&e.undeclared_variables(false)))
    }

    fn among(names: &std::collections::HashSet<String>) -> Self {
        Self {
            host: names.contains("host"),
            item: names.contains("item"),
        }
    }

    /// Both together.
    pub fn or(self, other: Self) -> Self {
        Self {
            host: self.host || other.host,
            item: self.item || other.item,
        }
    }
}

/// One result, with the service and the item that it is of.
struct Made<T> {
    service: String,
    item: Option<String>,
    value: T,
}

/// Results of one text.
struct Entry<T> {
    reads: Reads,
    made: Vec<Made<T>>,
}

/// Results by text.
pub(crate) struct Memo<T>(HashMap<String, Entry<T>>);

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Clone> Memo<T> {
    /// Names that a text reads, looked up or found out.
    pub fn reads(&mut self, text: &str, find: impl FnOnce() -> Reads) -> Reads {
        if let Some(entry) = self.0.get(text) {
            return entry.reads;
        }
        let reads = find();
        let made = Vec::new();
        self.0.insert(text.to_owned(), Entry { reads, made });
        reads
    }

    /// The result of a text in a scope, where it has one for all hosts.
    pub fn get(&self, text: &str, scope: &Scope<'_>) -> Option<T> {
        let entry = self.0.get(text)?;
        let item = scope.item.filter(|_| entry.reads.item);
        let mut all = entry.made.iter();
        all.find(|m| m.service == scope.service && m.item.as_deref() == item)
            .map(|m| m.value.clone())
    }

    /// Keeps the result of a text whose [`Memo::reads`] is known, unless it is one host's.
    pub fn keep(&mut self, text: &str, scope: &Scope<'_>, value: &T) {
        if let Some(entry) = self.0.get_mut(text).filter(|e| !e.reads.host) {
            entry.made.push(Made {
                service: scope.service.to_owned(),
                item: scope.item.filter(|_| entry.reads.item).map(str::to_owned),
                value: value.clone(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_text_reads_is_known() {
        let env = Environment::new();
        let check = |text: &str, host: bool, item: bool| {
            assert_eq!(Reads::template(&env, text), Reads { host, item }, "{text}");
        };
        check("{{ cloud.name }}", false, false);
        check("{{ host.name }}", true, false);
        check(
            "{% for h in roles.all if h.name != host.name %}{% endfor %}",
            true,
            false,
        );
        check(
            "{% for host in roles.all %}{{ host.name }}{% endfor %}",
            false,
            false,
        );
        check("{% set m = host.name in roles.cluster %}", true, false);
        check(
            "{% if x %}{% for y in [1] %}{{ [item] | join }}{% endfor %}{% endif %}",
            false,
            true,
        );
        check("{{ broken", true, true);
        let reads = Reads::expression(&env, "'api' in host.roles or item == 'x'");
        assert_eq!(reads, Reads::ALL);
    }

    #[test]
    fn results_are_kept_by_service_and_item() {
        let scope = |service, host, item| Scope { service, host, item };
        let mut memo: Memo<u32> = Memo::default();
        let reads = Reads {
            host: false,
            item: true,
        };
        assert_eq!(memo.get("t", &scope("a", Some("c1"), Some("x"))), None);
        memo.reads("t", || reads);
        memo.keep("t", &scope("a", Some("c1"), Some("x")), &1);
        assert_eq!(memo.get("t", &scope("a", Some("c2"), Some("x"))), Some(1));
        assert_eq!(memo.get("t", &scope("a", None, Some("y"))), None);
        assert_eq!(memo.get("t", &scope("b", None, Some("x"))), None);
        // One host's is nobody else's.
        memo.reads("h", || Reads::ALL);
        memo.keep("h", &scope("a", Some("c1"), None), &1);
        assert_eq!(memo.get("h", &scope("a", Some("c1"), None)), None);
    }
}
