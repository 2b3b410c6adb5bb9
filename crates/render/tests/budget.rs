//! The budget of times: the page of it, its laws in every example and profile, and
//! that it is the only place of its numbers.

#![allow(clippy::unwrap_used, reason = "the helpers of a test may panic like the test")]

#[path = "../../../tests/golden/compare.rs"]
mod compare;
#[path = "../../../tests/golden/examples.rs"]
mod examples;

/// The settings on which the page stands.
const EXAMPLE: &str = "three-controllers";

#[test]
fn the_page_is_as_the_catalogue() {
    let (_, desired) = examples::example(EXAMPLE);
    let page = format!(
        "# The budget of times\n\n\
         <!-- Generated from catalog/budget.yaml: QUORATE_BLESS=1 cargo test -p render --test budget -->\n\n\
         When something is lost, each layer waits a while before it believes it. Who waits for \
         another must wait longer than that other does: else a client gives up while what it asks \
         is about to be whole again, or hangs on something long gone. So these times are one budget, \
         worked out from the cloud file, and files read them from there.\n\n\
         These are the numbers of [{EXAMPLE}](../../examples/{EXAMPLE}.yaml); `quorate render \
         cloud.yaml --to FOLDER` writes those of your cloud into `FOLDER/budget.md`. They follow \
         from `profile` and from the settings of `corosync` and `haproxy`; `quorate check` says \
         when one of these breaks a law.\n\n{}",
        render::budget_page(&desired)
    );
    compare::text("docs/concepts/budget.md", &page);
}

#[test]
fn every_number_serves() {
    let (_, desired) = examples::example(EXAMPLE);
    let (numbers, laws) = &desired.budget;
    assert!(numbers.len() > 20 && laws.len() > 8);
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.map(str::to_owned).collect()
    };
    let used: Vec<String> = numbers
        .iter()
        .flat_map(|n| words(&n.from))
        .chain(laws.iter().flat_map(|l| words(&l.holds)))
        .collect();
    let sources =
        ["chain", "stores", "times", "work"].map(|f| compare::read(&format!("crates/losses/src/{f}.rs")));
    let chain = sources.concat();
    for n in numbers {
        // What is neither read nor part of another number or law tells what a loss costs.
        let told = n.name == "server_out" || chain.contains(&format!("\"{}\"", n.name));
        assert!(
            told || !n.readers.is_empty() || used.contains(&n.name),
            "nobody reads {}",
            n.name
        );
    }
}

#[test]
fn the_laws_hold_in_every_profile() {
    for profile in ["steady", "fast"] {
        let text = format!(
            "cloud: demo\nrelease: \"2025.1\"\nprofile: {profile}\nhosts:\n  \
             c1: {{ role: controller, address: 198.18.0.11 }}\n\
             vips: {{ pool: 198.18.0.100-198.18.0.119 }}\nservices: [keystone]\n"
        );
        // It must be without findings, and a broken law is one.
        let desired = examples::desired_of(&examples::model_of(profile, &text, &[]));
        let membership = desired.budget.0.iter().find(|n| n.name == "membership").unwrap();
        assert_eq!(membership.value, if profile == "fast" { "1100" } else { "2200" });
    }
}
