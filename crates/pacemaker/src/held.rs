//! What a cluster has of one resource, from `cibadmin --query`: in its
//! configuration, and in what its members remember of having run it.

use crate::read::CibRead;

/// What the cluster has of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Neither in the configuration nor in the history of any member.
    Nothing,
    /// No longer configured, and some member remembers it: the cluster stops
    /// what it so knows, unless `stop-orphan-resources` is false.
    Remembered,
    /// Configured, and neither started nor stopped (`is-managed` is false).
    Unmanaged,
    /// Configured and ruled.
    Managed,
}

/// What the cluster has of the primitive `id`, alone or in a clone.
///
/// # Errors
/// When the text is not XML.
pub fn held(cib: &str, id: &str) -> Result<Held, String> {
    CibRead::new(cib).map(|read| read.held(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(configuration: &str, status: &str, expect: Held) {
        let cib = format!(
            "<cib><configuration><resources>{configuration}</resources></configuration><status>{status}</status></cib>"
        );
        assert_eq!(held(&cib, "api"), Ok(expect), "{cib}");
    }

    fn meta(value: &str) -> String {
        format!(
            "<meta_attributes id=\"m\"><nvpair id=\"n\" name=\"is-managed\" value=\"{value}\"/></meta_attributes>"
        )
    }

    #[test]
    fn configured_remembered_or_nothing() {
        let history = "<lrm_resource id=\"api\" class=\"systemd\"/>";
        let of_another = "<lrm_resource id=\"api-2\"/><primitive id=\"other\"/>";
        check("", "", Held::Nothing);
        check("", of_another, Held::Nothing);
        check("", history, Held::Remembered);
        let plain = "<primitive id=\"api\"/>";
        check(plain, history, Held::Managed);
        check(
            &format!("<clone id=\"api-clone\">{}{plain}</clone>", meta("true")),
            "",
            Held::Managed,
        );
        check(
            &format!("<clone id=\"api-clone\">{}{plain}</clone>", meta("false")),
            history,
            Held::Unmanaged,
        );
        let inside = format!(
            "<clone id=\"api-clone\"><primitive id=\"api\">{}</primitive></clone>",
            meta("false")
        );
        check(&inside, "", Held::Unmanaged);
        // Another's attribute is another's.
        check(
            &format!(
                "<clone id=\"o\">{}<primitive id=\"o\"/></clone>{plain}",
                meta("false")
            ),
            "",
            Held::Managed,
        );
        assert!(held("no XML", "api").is_err());
    }
}
