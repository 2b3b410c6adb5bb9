//! Orders of an operator by which the cluster acts on nothing: no plan is made over them.
//!
//! Every step that starts, stops or moves something would be waited for in vain, and an
//! empty plan would say that all is as it should be. They are taken back by whoever gave
//! them, never by an `apply`.

use engines::Refusal;
use status::Problem;

use crate::Observed;
use crate::refuse::refuse;

/// A reason against any plan for each order.
pub fn reasons(observed: &Observed) -> Vec<Refusal> {
    let orders = status::orders(observed).into_iter();
    let told = orders.map(|order| {
        let code = match order {
            Problem::NodeHeld { .. } => "host::in-maintenance",
            _ => "cluster::held",
        };
        refuse(code, order.text(), order.next())
    });
    told.collect()
}
