//! What services say that they cannot be run with. The words and conditions are
//! the catalogue's; the place is the operator's file.

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
            let message = format!("`{setting}` of `{service}` does not fit this cloud: {why}");
            let at = model.place(service, setting);
            let label = "cannot be so";
            templates
                .push(Diagnostic::error("settings::refused", &model.source, at, message, label).help(help));
        }
    }
}
