//! Machines of users that run on hosts of a service: how they are told of, shut down, and
//! moved to other hosts and back. Not for what a single machine is.

use cloud::tree::{Fields, Spanned, Walker};

use crate::Step;
use crate::read::{Keys, plain, roles, step_named, timeout};

const GUESTS_KEYS: Keys<'_> = &["on", "list", "shut", "timeout", "empty", "fill"];
/// Of a command that is run on a host of a role, about another host.
const MOVE_KEYS: Keys<'_> = &["run", "user", "on", "timeout"];

/// Machines of users on hosts of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guests {
    /// Roles of the hosts.
    pub on: Vec<Spanned<String>>,
    /// Program that prints the names of those that run, one a line.
    pub list: Vec<String>,
    /// Program that has all of them shut down, and fails if some still run at its end.
    pub shut: Vec<String>,
    /// Seconds after which that is ended.
    pub timeout: u64,
    /// Commands that move them while they run; none where they cannot be moved.
    pub moves: Option<Moves>,
}

/// Commands that empty one host, and let it have machines again. `{host}` in their words is
/// its name; each may be said again at any time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moves {
    /// Lets no machine come any more and moves all away; fails, with a list, while one is left.
    pub empty: Step,
    /// Lets machines come again, and ends once they can.
    pub fill: Step,
}

/// Reads `guests:`.
pub(crate) fn read(w: &mut Walker, fields: &Fields<'_>) -> Option<Guests> {
    let f = w.fields(fields.get("guests")?, "machines of users", GUESTS_KEYS)?;
    let mut words = |key| {
        let node = w.require(&f, key)?;
        Some(plain(w.texts(node, "a word of a command")))
    };
    let (list, shut) = (words("list"), words("shut"));
    Some(Guests {
        on: roles(w, &f, "on")?,
        list: list?,
        shut: shut?,
        timeout: timeout(w, &f),
        moves: moves(w, &f),
    })
}

/// `empty:` and `fill:`, of which neither is of use alone.
fn moves(w: &mut Walker, fields: &Fields<'_>) -> Option<Moves> {
    if fields.get("empty").is_none() && fields.get("fill").is_none() {
        return None;
    }
    let mut command = |key| {
        let node = w.require(fields, key)?;
        let f = w.fields(node, "a command about a host", MOVE_KEYS)?;
        let name = Spanned {
            value: key.to_owned(),
            span: node.span.clone(),
        };
        step_named(w, &f, name)
    };
    let (empty, fill) = (command("empty"), command("fill"));
    Some(Moves {
        empty: empty?,
        fill: fill?,
    })
}
