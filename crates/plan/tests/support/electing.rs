//! The cluster elects its controller, or does not say whether it has quorum, while members
//! come and leave. Part of the tests of laws.

use super::growing::{beside, of};
use super::*;

fn codes(result: &Result<Plan, Vec<Refusal>>) -> Vec<&'static str> {
    result
        .as_ref()
        .err()
        .into_iter()
        .flatten()
        .map(|r| r.code)
        .collect()
}

/// A moment without a controller is not one in which nobody comes or leaves.
#[test]
fn an_election_is_no_account_of_the_members() {
    for (there, wanted) in [
        (&[1, 2, 3][..], &[1][..]),
        (&[1], &[1, 2, 3]),
        (&[1, 2, 3, 4, 5], &[1, 2, 3]),
        (&[1, 2, 3], &[1, 2, 3, 4, 5]),
    ] {
        let (there, wanted) = (of(there), of(wanted));
        for word in [Some("Yes"), None] {
            let mut observed = beside(&there, &wanted);
            world::elect(&mut observed);
            world::vote(&mut observed, word);
            for intent in [Intent::Converge, Intent::Recover] {
                let made = make(&wanted, &observed, intent);
                assert!(
                    codes(&made).contains(&"members::quorum-unknown"),
                    "{word:?}: {made:?}"
                );
            }
        }
    }
}

/// Members are not changed by who has no quorum: a few would be one of their own.
#[test]
fn without_quorum_no_members_change() {
    for (there, wanted) in [(&[1, 2, 3][..], &[1][..]), (&[1, 2, 3, 4, 5], &[1, 2, 3])] {
        let (there, wanted) = (of(there), of(wanted));
        let mut observed = beside(&there, &wanted);
        world::vote(&mut observed, Some("No"));
        let made = make(&wanted, &observed, Intent::Recover);
        assert!(codes(&made).contains(&"members::no-quorum"), "{made:?}");
        // Pacemaker's word stands for votequorum's where that cannot be asked.
        world::vote(&mut observed, None);
        let made = make(&wanted, &observed, Intent::Recover);
        assert!(!codes(&made).contains(&"members::quorum-unknown"), "{made:?}");
    }
}

/// No host tells the members.
#[test]
fn members_that_nobody_tells_are_unknown() {
    let (three, one) = (of(&[1, 2, 3]), of(&[1]));
    let mut observed = beside(&three, &one);
    for facts in observed.values_mut().flatten() {
        let silent = Fact::Unknown("timed out".to_owned());
        facts.answers.insert("corosync/running".to_owned(), silent);
    }
    let made = make(&one, &observed, Intent::Converge);
    assert!(codes(&made).contains(&"members::unknown"), "{made:?}");
}

/// A configuration that cannot be seen is not an empty one.
#[test]
fn a_configuration_that_cannot_be_seen_is_not_written() {
    for (cloud, desired) in CLOUDS.iter() {
        let mut observed = world::all(desired, world::applied);
        for facts in observed.values_mut().flatten() {
            if facts.cluster.known().is_some() {
                facts.cib = Fact::Unknown("cibadmin: timed out".to_owned());
            }
        }
        let made = make(desired, &observed, Intent::Converge);
        assert!(
            codes(&made).contains(&"host::cluster-unknown"),
            "{cloud}: {made:?}"
        );
    }
}

/// Nothing hinders those whose members are as the file names them.
#[test]
fn an_election_among_the_same_members_refuses_nothing() {
    let three = of(&[1, 2, 3]);
    for word in [Some("Yes"), Some("No"), None] {
        let mut observed = world::all(&three, world::applied);
        world::elect(&mut observed);
        world::vote(&mut observed, word);
        let made = make(&three, &observed, Intent::Recover);
        let about_members = codes(&made).iter().any(|c| c.starts_with("members::"));
        assert!(!about_members, "{word:?}: {made:?}");
    }
}

/// During an election nobody tells who left: a plan then is no word that nothing is left to do.
#[test]
fn who_left_is_looked_at_again_after_an_election() {
    let three = of(&[1, 2, 3]);
    let mut observed = world::all(&three, world::applied);
    let plan = make(&three, &observed, Intent::Converge).unwrap();
    assert!(plan.steps.is_empty() && !plan.barrier);
    world::elect(&mut observed);
    world::vote(&mut observed, Some("Yes"));
    let plan = make(&three, &observed, Intent::Converge).unwrap();
    assert!(plan.barrier, "{:?}", plan.explain);
}

/// Clouds by their controllers: one, three or all of five. Rendered once.
static OF: LazyLock<Vec<(Vec<u8>, Desired)>> = LazyLock::new(|| {
    let sets = (1..32_u8).filter(|set| set.count_ones() % 2 == 1);
    let names = sets.map(|set| (1..=5).filter(|n| (set >> (n - 1)) & 1 == 1).collect::<Vec<u8>>());
    names.map(|names| (names.clone(), of(&names))).collect()
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever hosts tell of quorum: where members differ, a plan is made by those alone of
    /// whom one that stays knows that it has it, and knows its members.
    #[test]
    fn members_change_with_quorum_alone(
        there in 0..16_usize,
        wanted in 0..16_usize,
        tells in prop::collection::vec((any::<bool>(), 0..3_usize, any::<bool>()), 5),
        recover in any::<bool>(),
    ) {
        let same = there == wanted;
        let (_, wanted) = &OF[wanted];
        let mut observed = beside(&OF[there].1, wanted);
        let mut knows = false;
        for ((name, facts), (elects, word, silent)) in observed.iter_mut().zip(&tells) {
            let mut one: Observed = std::iter::once((name.clone(), facts.clone())).collect();
            if *elects {
                world::elect(&mut one);
            }
            world::vote(&mut one, [Some("Yes"), Some("No"), None][*word]);
            *facts = one.swap_remove(name).unwrap();
            let facts = facts.as_mut().unwrap();
            if *silent {
                facts.answers.insert("corosync/running".to_owned(), Fact::Unknown("timed out".to_owned()));
            }
            let has = *word == 0 || (*word == 2 && !*elects);
            let runs = facts.cluster.known().is_some();
            knows |= runs && wanted.hosts.contains_key(name) && has && !elects && !silent;
        }
        let intent = if recover { Intent::Recover } else { Intent::Converge };
        if let Ok(plan) = make(wanted, &observed, intent) {
            prop_assert!(same || knows, "a plan by nobody's word:\n{}", plan::show(&plan, false));
        }
    }
}
