//! What services say that they cannot be run with. The words and conditions are
//! the catalogue's; the place is the operator's file.

use std::ops::Range;

use catalog::Refused;
use diagnostic::Diagnostic;
use model::Model;

use crate::context::{Scope, Templates};

/// A finding for each condition that holds in this cloud.
pub fn refuse(model: &Model, templates: &mut Templates) {
    for (service, placed) in &model.services {
        let scope = Scope {
            service,
            host: None,
            item: None,
        };
        for refused in &placed.service.refuse {
            if !templates.holds(&scope, &refused.when) {
                continue;
            }
            let setting = refused.at.value.as_str();
            let why = templates.text(&scope, &refused.why);
            let help = templates.text(&scope, &refused.help);
            let (of, at) = if setting == Refused::KEYS_EVERY {
                ("`keys-every` of `upkeep`".to_owned(), keys_every(model))
            } else {
                (
                    format!("`{setting}` of `{service}`"),
                    model.place(service, setting),
                )
            };
            let message = format!("{of} does not fit this cloud: {why}");
            let label = "cannot be so";
            let finding =
                Diagnostic::error("settings::refused", &model.source, at, message, label).help(help);
            templates.push(if refused.warning {
                finding.warning()
            } else {
                finding
            });
        }
    }
}

/// The period of keys where it is given, or else the beginning.
fn keys_every(model: &Model) -> Range<usize> {
    let key = "keys-every";
    let at = model.source.text.find(key);
    at.map_or(0..0, |at| at..at + key.len())
}
