//! A world for the decider: hosts with guests, power devices, Nova, networks, the store and
//! engines on three controllers, with faults drawn from a seed; laws are looked at always.
//!
//! Not for the product: it is compiled for tests only, as is the way to take a guard out.

mod cloud;
mod draw;
mod end;
mod faults;
mod found;
mod hands;
mod laws;
mod machine;
mod named;
mod rng;
mod runs;
mod view;
mod world;
