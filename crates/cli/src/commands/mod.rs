//! One file a verb.

pub mod agent;
pub mod apply;
pub mod audit;
pub mod backup;
pub mod check;
pub mod confirm;
pub mod credentials;
pub mod engine;
pub mod evac;
pub mod explain;
pub mod host;
pub mod init;
pub mod lab;
pub mod observe;
pub mod plan;
pub mod power;
pub mod recover;
pub mod render;
pub mod restore;
pub mod rotate;
pub mod schema;
pub mod ssh;
pub mod status;
pub mod support;
pub mod upkeep;
