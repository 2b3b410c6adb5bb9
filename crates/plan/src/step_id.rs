//! Ids of steps: how they are made up of words, and what the words tell.
//!
//! An id is a text in kept plans and in what is shown. Only this file knows its form, so
//! nobody else takes it apart.

/// Steps of one host's turn while it is changed under running instances.
const TURNS: [&str; 5] = ["gate", "reload", "drain", "change", "resume"];

names::text_type! {
    /// The id of a step, the same in every plan that has it: `prepare/c1`, `database/keystone`.
    StepId of any text
}

impl StepId {
    /// Its words: what is done, and to what.
    fn words(&self) -> impl Iterator<Item = &str> {
        self.as_str().split('/')
    }

    /// True if the step is about something, such as a host or a resource.
    pub fn is_about(&self, name: &str) -> bool {
        self.words().any(|word| word == name)
    }

    /// True for the step of that name, and for one whose name begins with its words.
    pub fn is_within(&self, name: &str) -> bool {
        let rest = self.as_str().strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The host whose turn the step belongs to, in `drain/c1/c2` that of c1. A turn is done
    /// whole or not at all: half of one leaves a host out of the balancers.
    pub fn turn(&self) -> Option<&str> {
        let mut words = self.words();
        let verb = words.next()?;
        words.next().filter(|_| TURNS.contains(&verb))
    }

    /// The host that the step takes out of the balancers.
    pub fn drains(&self) -> Option<&str> {
        self.turn().filter(|_| self.words().next() == Some("drain"))
    }

    /// True if the step needs one that it goes after. That one host is changed after
    /// another is an order and no need.
    pub fn needs(&self, after: &Self) -> bool {
        after.turn().zip(self.turn()).is_none_or(|(a, b)| a == b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_an_id_tell_what_it_is_about() {
        let check = |id: &str, turn: Option<&str>, drains: Option<&str>| {
            let id = StepId::from(id);
            assert_eq!((id.turn(), id.drains()), (turn, drains), "{id}");
        };
        check("prepare/c1", None, None);
        check("settle", None, None);
        check("gate", None, None);
        check("gate/c1", Some("c1"), None);
        check("drain/c1/c2", Some("c1"), Some("c1"));
        check("resume/c1/c2", Some("c1"), None);

        let id = StepId::from("drain/c1/c2");
        assert!(["drain", "c1", "c2"].iter().all(|word| id.is_about(word)));
        assert!(!id.is_about("c") && !id.is_about("c1/c2"));
        assert!(
            ["drain", "drain/c1", "drain/c1/c2"]
                .iter()
                .all(|name| id.is_within(name))
        );
        assert!(!id.is_within("dr") && !id.is_within("c1") && !id.is_within("drain/c1/c22"));
    }

    #[test]
    fn an_order_of_turns_is_no_need() {
        let check = |id: &str, after: &str, needs: bool| {
            assert_eq!(
                StepId::from(id).needs(&StepId::from(after)),
                needs,
                "{id} after {after}"
            );
        };
        check("change/c1", "drain/c1/c2", true);
        check("drain/c2/c1", "change/c1", false);
        check("change/c1", "prepare/c2", true);
        check("settle", "change/c1", true);
    }
}
