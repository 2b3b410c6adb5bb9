//! The cost of watching, by a swarm of stand-ins.

fn main() {}
