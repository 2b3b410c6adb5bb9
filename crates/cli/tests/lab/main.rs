//! Stories on lab hosts: the built program, from outside, as an operator has it.
//!
//! They need root and a cached image, and go one after the other:
//! `cargo test -p quorate --test lab -- --ignored --test-threads=1 --nocapture`.
//! Each has clouds and networks of its own, and leaves nothing, also when it fails.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may panic like the test"
)]

mod anew;
mod api;
mod architectures;
mod backup;
mod bad_luck;
mod caches;
mod clients;
mod cloud;
mod confirms;
mod copies;
mod departs;
mod drift;
mod eight;
mod evacuates;
mod flaps;
mod frozen;
mod grows;
mod guide;
mod images;
mod killed;
mod lost;
mod machines;
mod minority;
#[path = "../../../backup/tests/support/moto.rs"]
mod moto;
mod moves;
mod networks;
mod nothing_left;
mod observed;
mod power;
mod recovers;
mod reexec;
mod rolls;
mod sabotage;
mod said;
mod services;
mod site;
mod support;
mod survives;
mod upkeep;
mod user;
mod volumes;
mod walks;
mod writers;
